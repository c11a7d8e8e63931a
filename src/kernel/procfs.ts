// What /proc says of the crashed process: proc(5). All of it is the workload's to choose: bytes, bounded, never a name.
// Read before stdin is drained, because the kernel may reap the process afterwards.
import { closeSync, constants, openSync, readdirSync, readlinkSync, readSync } from 'node:fs'
import type { CrashFacts, HostileBytes, PidfdState } from '../crash.ts'
import { checkPidfd } from './pidfd.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** Files that are kept as they are, with the most that is read of each. */
const FILES = {
  comm: KIB,
  cmdline: MIB, // the kernel bounds it by the stack: up to 6 MiB of arguments
  status: 64 * KIB,
  stat: 4 * KIB,
  limits: 16 * KIB,
  cgroup: 64 * KIB,
  mountinfo: 2 * MIB,
  maps: 8 * MIB, // 70,000 mappings
  auxv: 4 * KIB,
} as const
const LINKS = ['exe', 'cwd', 'root'] as const
const ENVIRON_BYTES_MAX = MIB
const OPEN_FILES_MAX = 512
const FDINFO_BYTES_MAX = 4 * KIB
/** Parents to look at for the container's first process. */
const ANCESTORS_MAX = 64

export type ProcFile = keyof typeof FILES
export type ProcLink = (typeof LINKS)[number]

export interface OpenFile {
  readonly fd: number
  readonly target: HostileBytes
  readonly info: HostileBytes
}

/** What could be read; whatever could not is absent. */
export interface ProcessFacts {
  readonly files: Readonly<Partial<Record<ProcFile, HostileBytes>>>
  readonly links: Readonly<Partial<Record<ProcLink, HostileBytes>>>
  readonly openFiles: readonly OpenFile[]
  /** Comm of the thread that crashed. */
  readonly threadComm: HostileBytes | undefined
  /** Configured names only, in the environment's order. */
  readonly environ: readonly (readonly [name: string, value: HostileBytes])[]
  /** Command line of the first process of the crasher's pid namespace, where that is not the host's. */
  readonly containerCmdline: HostileBytes | undefined
  readonly stat: ProcessStat | undefined
  /** Files of which only the beginning was kept. */
  readonly cut: readonly string[]
}

export interface ProcessStat {
  readonly ppid: number
  readonly threads: number
  /** Clock ticks after boot: with the pid it names one process of this boot. */
  readonly startTimeTicks: bigint
}

export type ProcessReading =
  | { readonly state: 'read'; readonly pidfd: PidfdState; readonly process: ProcessFacts }
  /** Nothing of what /proc said may be used. */
  | { readonly state: 'refused'; readonly pidfd: PidfdState; readonly detail: string }

/**
 * Reads the crashed process, and proves before and after that it is that process: by the pidfd, or, where the kernel
 * gave none, by the start time.
 * @param environNames - Environment variables to keep.
 */
export function readProcess(
  crash: Pick<CrashFacts, 'pid' | 'tid' | 'pidfd'>,
  environNames: readonly string[],
): ProcessReading {
  const before = checkPidfd(crash.pid, crash.pidfd)
  if (before === 'other-process')
    return { state: 'refused', pidfd: before, detail: `pid ${crash.pid} is not the process that crashed` }
  const startTime = readStat(crash.pid)?.startTimeTicks
  if (startTime === undefined)
    return { state: 'refused', pidfd: before, detail: `no process has pid ${crash.pid}` }
  const process = readFacts(crash, environNames)
  const after = checkPidfd(crash.pid, crash.pidfd)
  if (
    after !== before ||
    readStat(crash.pid)?.startTimeTicks !== startTime ||
    process.stat?.startTimeTicks !== startTime
  )
    return { state: 'refused', pidfd: after, detail: `process ${crash.pid} ended while /proc was read` }
  return { state: 'read', pidfd: after, process }
}

function readFacts(crash: Pick<CrashFacts, 'pid' | 'tid'>, environNames: readonly string[]): ProcessFacts {
  const proc = `/proc/${crash.pid}`
  const cut: string[] = []
  const files: Partial<Record<ProcFile, HostileBytes>> = {}
  for (const [name, bytesMax] of Object.entries(FILES) as [ProcFile, number][]) {
    const bytes = readBounded(`${proc}/${name}`, bytesMax)
    if (bytes === undefined) continue
    files[name] = bytes
    if (bytes.length === bytesMax) cut.push(name)
  }
  const links: Partial<Record<ProcLink, HostileBytes>> = {}
  for (const name of LINKS) {
    const target = readLink(`${proc}/${name}`)
    if (target !== undefined) links[name] = target
  }
  const openFiles = readOpenFiles(proc)
  if (openFiles.length === OPEN_FILES_MAX) cut.push('fd')
  return {
    files,
    links,
    openFiles,
    threadComm: readBounded(`${proc}/task/${crash.tid}/comm`, FILES.comm),
    environ: environNames.length === 0 ? [] : readEnviron(proc, environNames),
    containerCmdline: readContainerCmdline(crash.pid),
    stat: files.stat && parseStat(files.stat),
    cut,
  }
}

/**
 * Parses /proc/<pid>/stat. The second field is the comm in parentheses, and may hold parentheses, blanks and newlines
 * of the workload's choice: what follows the last `)` is the kernel's.
 */
export function parseStat(stat: HostileBytes): ProcessStat | undefined {
  const text = Buffer.from(stat).toString('latin1')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  // proc(5) counts from 1 and the state, the third, is fields[0]: ppid is 4, num_threads 20, starttime 22.
  const [ppid, threads, start] = [fields[1], fields[17], fields[19]]
  if (!/^\d+$/.test(ppid ?? '') || !/^\d+$/.test(threads ?? '') || !/^\d+$/.test(start ?? ''))
    return undefined
  return { ppid: Number(ppid), threads: Number(threads), startTimeTicks: BigInt(start!) }
}

/**
 * A thread's id in its process's own pid namespace: the last of `NSpid:`, proc_pid_status(5), where the kernel escapes a comm
 * that would begin a line.
 */
export function idInOwnNamespace(pid: number, tid: number): number | undefined {
  const status = readBounded(`/proc/${pid}/task/${tid}/status`, FILES.status) ?? Buffer.alloc(0)
  const id = /^NSpid:.*\t(\d+)$/m.exec(status.toString('latin1'))?.[1]
  return id === undefined ? undefined : Number(id)
}

/** Splits NUL-separated text, such as cmdline: an empty last element is only the terminator. */
export function splitNul(bytes: HostileBytes): HostileBytes[] {
  const parts: HostileBytes[] = []
  let from = 0
  for (let at = bytes.indexOf(0); at !== -1; at = bytes.indexOf(0, from)) {
    parts.push(bytes.subarray(from, at))
    from = at + 1
  }
  if (from < bytes.length) parts.push(bytes.subarray(from))
  return parts
}

/** Mounts as the handler sees them: the host's. */
export function hostMountinfo(): Uint8Array {
  return readBounded('/proc/self/mountinfo', FILES.mountinfo) ?? new Uint8Array(0)
}

function readStat(pid: number): ProcessStat | undefined {
  const stat = readBounded(`/proc/${pid}/stat`, FILES.stat)
  return stat && parseStat(stat)
}

/** @returns The file's first `bytesMax` bytes, or undefined when it cannot be read. */
function readBounded(path: string, bytesMax: number): Buffer | undefined {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
  } catch {
    return undefined
  }
  try {
    let buffer = Buffer.allocUnsafe(Math.min(bytesMax, 16 * KIB))
    let filled = 0
    for (;;) {
      const bytes = readSync(fd, buffer, filled, buffer.length - filled, null)
      filled += bytes
      if (bytes === 0 || filled === bytesMax) return buffer.subarray(0, filled)
      if (filled === buffer.length) buffer = Buffer.concat([buffer], Math.min(bytesMax, buffer.length * 2)) // procfs tells no size beforehand
    }
  } catch {
    return undefined
  } finally {
    closeSync(fd)
  }
}

function readLink(path: string): Buffer | undefined {
  try {
    return readlinkSync(path, { encoding: 'buffer' })
  } catch {
    return undefined
  }
}

function readOpenFiles(proc: string): OpenFile[] {
  let names: string[]
  try {
    names = readdirSync(`${proc}/fd`)
  } catch {
    return []
  }
  const open: OpenFile[] = []
  for (const fd of names.map(Number).sort((a, b) => a - b)) {
    if (open.length === OPEN_FILES_MAX) break
    const target = readLink(`${proc}/fd/${fd}`)
    if (target === undefined) continue
    open.push({ fd, target, info: readBounded(`${proc}/fdinfo/${fd}`, FDINFO_BYTES_MAX) ?? Buffer.alloc(0) })
  }
  return open
}

function readEnviron(proc: string, names: readonly string[]): [string, HostileBytes][] {
  const wanted = new Set(names)
  const found: [string, HostileBytes][] = []
  for (const entry of splitNul(readBounded(`${proc}/environ`, ENVIRON_BYTES_MAX) ?? Buffer.alloc(0))) {
    const equals = entry.indexOf(0x3d)
    const name = Buffer.from(entry.subarray(0, Math.max(equals, 0))).toString('latin1')
    if (wanted.has(name)) found.push([name, entry.subarray(equals + 1)])
  }
  return found
}

/** As systemd-coredump's COREDUMP_CONTAINER_CMDLINE: up the parents, within the crasher's own pid namespace. */
function readContainerCmdline(pid: number): HostileBytes | undefined {
  const namespaceOf = (of: number | 'self'): string =>
    readLink(`/proc/${of}/ns/pid`)?.toString('latin1') ?? ''
  const namespace = namespaceOf(pid)
  if (namespace === '' || namespace === namespaceOf('self')) return undefined
  let first = pid
  for (let step = 0; step < ANCESTORS_MAX; step++) {
    const parent = readStat(first)?.ppid
    if (parent === undefined || parent === 0 || namespaceOf(parent) !== namespace) break
    first = parent
  }
  return readBounded(`/proc/${first}/cmdline`, FILES.cmdline)
}
