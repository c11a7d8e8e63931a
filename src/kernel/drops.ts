// Crashes that the kernel started no handler for, as its log tells them: fs/coredump.c and include/linux/coredump.h, in their
// wordings before and since Linux 6.12. Pure.
import { decodeUtf8 } from '../printable.ts'
import type { KmsgRecord } from './kmsg-reader.ts'

export type DropCause =
  | 'pipe-limit' // as many handlers were at work as kernel.core_pipe_limit allows
  | 'pipe-failed' // the handler could not be started

export interface KernelDrop {
  readonly cause: DropCause
  /**
   * Hostile. Since 6.12 the kernel escapes what is not printable (`\n`, `\033`), but not the backslash: it cannot be told
   * from a name that has these very characters, and is left as it is. Empty: not told.
   */
  readonly comm: string
  /** In the crashed process's own pid namespace: in a pod, the pod's (task_tgid_vnr). undefined: not told. */
  readonly pid: number | undefined
  readonly time: Date
  /** Of its record in the log. */
  readonly sequence: number
  /** More than one where the kernel only says how many lines it left out. */
  readonly count: number
}

/** Crashes of the same cause and name. */
export interface DropGroup {
  readonly cause: DropCause
  /** Empty: not told, or of more names than are told apart. */
  readonly comm: string
  readonly count: number
  readonly first: Date
  readonly last: Date
  /** Of the first record: with the boot id it names the group, which a time does not (it is computed at each reading). */
  readonly sequence: number
}

/** Since 6.12, "coredump: %d(%*pE): ": 15 bytes, each of which may have become an escape of four. */
const SUBJECT = String.raw`^coredump: (?<pid>\d{1,10})\((?<comm>.{0,60})\): `

const WORDINGS: readonly (readonly [DropCause, RegExp])[] = [
  ['pipe-limit', new RegExp(`${SUBJECT}over core_pipe_limit, skipping core dump$`, 's')],
  ['pipe-failed', new RegExp(String.raw`${SUBJECT}\|.* pipe failed$`, 's')],
  // CONFIG_STATIC_USERMODEHELPER_PATH="": the kernel starts nothing at all.
  ['pipe-failed', new RegExp(String.raw`${SUBJECT}Core dump to \|.* disabled$`, 's')],
  ['pipe-failed', new RegExp(String.raw`${SUBJECT}\w+ failed to allocate memory$`, 's')],
  ['pipe-failed', new RegExp(`${SUBJECT}format_corename failed, aborting core$`, 's')],
  // Before: the comm as it is, and only here; up to 5.2 the path is followed by the handler's arguments.
  ['pipe-limit', /^Pid (?<pid>\d{1,10})\((?<comm>.{0,15})\) over core_pipe_limit$/s],
  ['pipe-failed', /^Core dump to \|.* (?:pipe failed|disabled)$/s],
  ['pipe-failed', /^(?:do_coredump failed to allocate memory|format_corename failed)$/],
]

/** Any line that fs/coredump.c writes since 6.12; each is limited to ten in five seconds by itself (printk_ratelimited). */
const REPORT = /^coredump: \d{1,10}\(/

/** lib/ratelimit.c, with the function that reports: do_coredump, since 6.17 coredump_pipe and vfs_coredump. */
const SUPPRESSED = /^(?:do_coredump|vfs_coredump|coredump_\w+): (?<count>\d{1,9}) callbacks suppressed$/

/** Whether `dropsIn` needs a record: only the kernel's own do, whoever else writes to the log. */
export function isDropLine({ facility, text }: KmsgRecord): boolean {
  return facility === 0 && (REPORT.test(text) || SUPPRESSED.test(text) || matchWording(text) !== undefined)
}

/**
 * Finds the crashes that got no handler.
 * @param records - In the log's order, of any kind.
 * @returns One for each line, in that order. The kernel tells of lines that it left out when it next writes one of their
 * kind: without a further crash, never.
 */
export function dropsIn(records: readonly KmsgRecord[]): KernelDrop[] {
  const drops: KernelDrop[] = []
  const suppressed: KmsgRecord[] = []
  for (const record of records.filter(isDropLine)) {
    if (SUPPRESSED.test(record.text)) {
      suppressed.push(record)
      continue
    }
    const drop = dropOf(record)
    // The line that was limited follows at once: of which kind the others were is only known by it.
    const leftOut = suppressed.shift()
    if (leftOut && drop) drops.push(leftOutOf(leftOut, drop.cause, drops))
    if (drop) drops.push(drop)
  }
  // The line that follows is not written yet. Lines are left out of those that a storm makes, and that is the limit's.
  for (const record of suppressed) {
    drops.push(leftOutOf(record, drops.at(-1)?.cause ?? 'pipe-limit', drops))
  }
  return drops
}

function dropOf({ text, time, sequence }: KmsgRecord): KernelDrop | undefined {
  const match = matchWording(text)
  if (match === undefined) return undefined
  const { cause, pid, comm } = match
  return {
    cause,
    comm: nameOf(comm),
    pid: pid === undefined ? undefined : Number(pid),
    time,
    sequence,
    count: 1,
  }
}

/** They were left out within five seconds of a line of their kind, not when the kernel said so. */
function leftOutOf(record: KmsgRecord, cause: DropCause, before: readonly KernelDrop[]): KernelDrop {
  const count = Number(SUPPRESSED.exec(record.text)!.groups!['count'])
  const time = before.findLast(drop => drop.cause === cause)?.time ?? record.time
  return { cause, comm: '', pid: undefined, time, sequence: record.sequence, count }
}

function matchWording(text: string): { cause: DropCause; pid?: string; comm: string } | undefined {
  for (const [cause, pattern] of WORDINGS) {
    const match = pattern.exec(text)
    if (match) return { cause, comm: '', ...match.groups }
  }
  return undefined
}

/**
 * The kernel takes bytes for Latin-1, in which 0x80 to 0x9f are not printable: in the midst of UTF-8 these alone are escaped.
 * @param comm - A character for each byte.
 */
function nameOf(comm: string): string {
  const whole = comm.replaceAll(/\\(2[0-3][0-7])/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  )
  return decodeUtf8(Buffer.from(whole, 'latin1')) ?? Buffer.from(comm, 'latin1').toString('utf8')
}

/** More names than crash on a node within a minute, unless somebody makes them up. */
export const GROUPS_MAX = 32

/**
 * Adds up by cause and name.
 * @returns In the order of the first of each, `GROUPS_MAX` at most: of more names the most frequent are kept, and the
 * rest are told as one for each cause.
 */
export function groupDrops(drops: readonly KernelDrop[]): DropGroup[] {
  const all = new Map<string, DropGroup>()
  for (const { cause, comm, time, count, sequence } of drops) {
    add(all, { cause, comm, count, first: time, last: time, sequence })
  }
  if (all.size <= GROUPS_MAX) return inOrder(all.values())

  const named = [...all.values()].filter(({ comm }) => comm !== '').sort((a, b) => b.count - a.count)
  // Two places are for what has no name.
  const kept = new Set(named.slice(0, GROUPS_MAX - 2))
  const groups = new Map<string, DropGroup>()
  for (const group of all.values()) add(groups, kept.has(group) ? group : { ...group, comm: '' })
  return inOrder(groups.values())
}

function add(groups: Map<string, DropGroup>, group: DropGroup): void {
  const key = `${group.cause} ${group.comm}`
  const known = groups.get(key)
  groups.set(key, known ? merge(known, group) : group)
}

function merge(one: DropGroup, other: DropGroup): DropGroup {
  return {
    ...one,
    count: one.count + other.count,
    first: one.first <= other.first ? one.first : other.first,
    last: one.last >= other.last ? one.last : other.last,
    sequence: Math.min(one.sequence, other.sequence),
  }
}

const inOrder = (groups: Iterable<DropGroup>): DropGroup[] =>
  [...groups].sort((a, b) => a.sequence - b.sequence)
