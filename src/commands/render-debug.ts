// What `debug --debugger none`, `bt` and `cache` print.
import type { CacheEntry, Pruned } from '../debug/cache-prune.ts'
import { printable } from '../printable.ts'
import { renderSections } from './render-fields.ts'
import { renderBytes } from './render.ts'
import type { Colors } from './terminal.ts'

/** As `--json` prints them. */
export interface DebugPaths {
  readonly core: string
  readonly coreKind: 'full' | 'trimmed' | 'mini'
  readonly executable: string | null
  readonly sysroot: string
  readonly searchPaths: readonly string[]
  /** gdb's, to be copied. */
  readonly command: readonly string[]
}

export function renderPaths({ core, executable, sysroot, command }: DebugPaths): string {
  const lines = [
    `executable  ${executable ?? '–'}`,
    `core        ${core}`,
    `sysroot     ${sysroot}`,
    '',
    command.map(shellQuote).join(' '),
  ]
  return `${lines.join('\n')}\n`
}

/** For people who copy it; nothing here runs a shell. */
function shellQuote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

/** A debugger's line, with what a terminal would take for its own escaped. */
export function renderLine(line: string): string {
  // Backslashes are the debugger's own escapes.
  return `${line
    .split('\\')
    .map(part => printable(part, Infinity))
    .join('\\')}\n`
}

/** As `cache --json` prints it. */
export interface CacheReport {
  readonly directory: string
  readonly bytes: number
  readonly bytesMax: number
  readonly entries: readonly CacheEntry[]
  /** What `--prune` or `--clear` did. */
  readonly removed?: Pick<Pruned, 'removed' | 'bytesRemoved'>
  readonly inUse?: number
}

export function renderCache(report: CacheReport, colors: Colors): string {
  const { directory, bytes, bytesMax, entries, removed } = report
  const count = (kind: CacheEntry['kind']): string => {
    const those = entries.filter(entry => entry.kind === kind)
    const sum = those.reduce((total, entry) => total + entry.bytes, 0)
    return those.length === 0 ? '0' : `${those.length}, ${renderBytes(sum)}`
  }
  const sections = [
    [
      ['cache', directory],
      ['size', `${renderBytes(bytes)} of ${renderBytes(bytesMax)}`],
      ['cores', count('core')],
      ['executables and libraries', count('file')],
      ['trees of links', count('sysroot')],
    ] as const,
    removed === undefined
      ? []
      : ([['removed', `${removed.removed.length} entries, ${renderBytes(removed.bytesRemoved)}`]] as const),
  ]
  return renderSections(sections, colors)
}
