// What people and programs read. Every text that a workload or a server chose is made printable here, on its way out.

import { ERROR_CODES, type CoreliftError, type ErrorCode, type ExitCode } from '../errors.ts'
import { printable } from '../printable.ts'
import type { LsEntry } from './ls.ts'
import type { Colors } from './terminal.ts'

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** @returns `1.5 GiB`; `–` for nothing known. */
export function renderBytes(bytes: number | null): string {
  if (bytes === null) return '–'
  const exponent = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), UNITS.length - 1)
  const value = bytes / 1024 ** exponent
  return `${exponent === 0 ? value : value.toFixed(1)} ${UNITS[exponent]}`
}

/** @returns JSON with every character escaped that a terminal might act on: it may be one that reads it. */
export function renderJson(value: unknown): string {
  const escape = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  const json = JSON.stringify(value, null, 2)
  return `${json.replaceAll(/[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, escape)}\n`
}

const SGR = /\x1b\[\d+m/g
/** East Asian letters and emoji fill two columns of a terminal; marks that combine fill none (UAX #11). */
const WIDE =
  /[\p{sc=Han}\p{sc=Hangul}\p{sc=Hiragana}\p{sc=Katakana}\p{Emoji_Presentation}\uff01-\uff60\uffe0-\uffe6]/gu
const COMBINING = /[\p{Mn}\p{Me}]/gu

/** Columns that a text fills on a terminal. */
function widthOf(cell: string): number {
  const text = cell.replaceAll(SGR, '')
  return [...text.replaceAll(COMBINING, '')].length + (text.match(WIDE)?.length ?? 0)
}

/** @returns Aligned columns without borders, as kubectl prints them. */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows]
  const widths = head.map((_, column) =>
    lines.reduce((width, cells) => Math.max(width, widthOf(cells[column] ?? '')), 0),
  )
  const pad = (cell: string, column: number) => cell + ' '.repeat((widths[column] ?? 0) - widthOf(cell))
  return lines.map(cells => `${cells.map(pad).join('  ').trimEnd()}\n`).join('')
}

function outcomeCell(entry: LsEntry, colors: Colors): string {
  const { outcome, complete, reason } = entry
  if (outcome === 'unfinished' || outcome === 'unreadable') return colors.red(outcome)
  if (outcome === 'full' && complete) return colors.green('full')
  const kept = outcome === 'record' || complete ? outcome : 'incomplete'
  return colors.yellow(reason === null ? kept : `${kept} (${reason})`)
}

/** @returns `ls`'s table: sizes, nodes where they were looked up. */
export function renderList(entries: readonly LsEntry[], colors: Colors): string {
  const isDetailed = entries.some(entry => entry.node !== null)
  const head = ['TIME (UTC)', 'NAMESPACE', 'POD', 'CONTAINER', 'SIGNAL', 'COMM', 'OUTCOME', 'ID']
  if (isDetailed) head.splice(-1, 0, 'SIZE', 'NODE')
  const rows = entries.map(entry => [
    entry.time.slice(0, 19).replace('T', ' '),
    printable(entry.namespace),
    printable(entry.pod),
    printable(entry.container || '–'),
    printable(entry.signal ?? '–'),
    printable(entry.comm || '–'),
    outcomeCell(entry, colors),
    ...(isDetailed ? [renderBytes(entry.bytes), printable(entry.node ?? '–')] : []),
    entry.id,
  ])
  return renderTable(
    head.map(name => colors.bold(name)),
    rows,
  )
}

/** @returns An error as people read it, or as programs do. */
export function renderError(error: CoreliftError, json: boolean, colors: Colors): string {
  const { code, message, hint } = error
  if (json) return renderJson({ error: { code, message, hint: hint ?? null } })
  // A configuration's problems are one to a line.
  const lines = message.split('\n').map(line => printable(line, Infinity))
  const advice = hint === undefined ? '' : `  hint: ${printable(hint, Infinity)}\n`
  return `${colors.red('corelift:')} ${lines.join('\n  ')} [${code}]\n${advice}`
}

/** @returns What nobody foresaw, with all that a report of it needs. */
export function renderBug(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
  const lines = stack.split('\n').map(line => printable(line, Infinity))
  return `corelift: a bug: ${lines.join('\n')}\n`
}

/** @returns The end of a help page: exit codes with what they mean. */
export function renderExitCodes(codes: readonly ErrorCode[]): string {
  const rows: string[][] = [['0', '', 'done']]
  let previous: ExitCode | undefined
  for (const code of codes.toSorted((left, right) => ERROR_CODES[left].exit - ERROR_CODES[right].exit)) {
    const { exit, meaning } = ERROR_CODES[code]
    rows.push([exit === previous ? '' : String(exit), code, meaning])
    previous = exit
  }
  const lines = rows.map(
    ([exit = '', code = '', meaning = '']) => `  ${exit.padEnd(3)} ${code.padEnd(24)} ${meaning}`,
  )
  return `Exit codes:\n${lines.map(line => line.trimEnd()).join('\n')}\n`
}
