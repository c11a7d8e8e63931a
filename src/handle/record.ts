// The record of a crash: everything that became known, as the manifest says it and as the log line sums it up.
import { basename } from 'node:path'
import type { Policy } from '../budget/policy.ts'
import type { CrashFacts, Outcome, PidfdState, Place, RefusalReason, Workload } from '../crash.ts'
import { LOG_LEVEL, type LogLevel } from '../kernel/kmsg.ts'
import { type ProcessFacts, type ProcessReading, splitNul } from '../kernel/procfs.ts'
import { printable } from '../printable.ts'
import { signalName } from '../signals.ts'
import {
  MANIFEST_VERSION,
  type Manifest,
  type ManifestCore,
  type ManifestFiles,
  type ManifestKit,
  type ManifestMini,
  type ManifestProcess,
  type ManifestStacks,
  manifestText,
} from '../store/manifest.ts'
import type { HeadReading } from './input.ts'

/** What the handler found out, step by step. */
export interface CrashRecord {
  readonly id: string
  readonly node: string
  readonly crash: CrashFacts
  readonly reading: ProcessReading
  readonly workload: Workload
  readonly place: Place
  readonly policy: Policy
  readonly head: Pick<HeadReading, 'scan'>
  readonly outcome: Outcome
  readonly core: ManifestCore | null
  readonly mini: ManifestMini | null
  /** Why it is not the full core. */
  readonly reduction: { readonly reason: RefusalReason; readonly text: string } | undefined
  readonly signature: string | undefined
  readonly stacks: ManifestStacks | undefined
  readonly files: ManifestFiles | undefined
  readonly kit: ManifestKit | null
  readonly durations: Readonly<Record<string, number>>
  readonly warnings: readonly string[]
  readonly version: string
}

const RLIM_INFINITY = 2n ** 64n - 1n

export function manifestOf(record: CrashRecord): Manifest {
  const { crash, reading, reduction, signature, stacks, files } = record
  const { scan } = record.head
  return {
    version: MANIFEST_VERSION,
    id: record.id,
    time: new Date(crash.timeSeconds * 1000).toISOString(),
    node: record.node,
    crash: {
      pid: crash.pid,
      tid: crash.tid,
      signal: crash.signal,
      signalName: signalName(crash.signal),
      coreRlimitBytes: crash.coreRlimitBytes === RLIM_INFINITY ? 'unlimited' : String(crash.coreRlimitBytes),
      dumpable: crash.dumpable,
      uid: crash.uid,
      gid: crash.gid,
      hostname: crash.hostname,
      pidfd: reading.pidfd,
    },
    process: reading.state === 'read' ? manifestProcess(reading.process) : null,
    ...(reading.state === 'read' ? {} : { processGone: reading.detail }),
    workload: record.workload,
    policy: record.policy,
    outcome: record.outcome,
    reason: reduction?.reason ?? null,
    reasonText: reduction?.text ?? null,
    core: record.core,
    mini: record.mini,
    ...(signature !== undefined && { signature }),
    ...(stacks && { stacks }),
    ...(files && { files }),
    size: { bytesExpected: scan.state === 'core' ? scan.head.bytesExpected : null },
    kit: record.kit,
    durations: record.durations,
    warnings: [...record.warnings, ...pidfdWarnings(reading.pidfd)],
    handler: { version: record.version },
  }
}

function manifestProcess(process: ProcessFacts): ManifestProcess {
  const raw: Record<string, string> = {}
  const text = (name: string, bytes: Uint8Array | undefined): string => {
    const shown = manifestText(bytes ?? new Uint8Array(0))
    if (shown.raw !== undefined) raw[name] = shown.raw
    return shown.text
  }
  const comm = text('comm', withoutNewline(process.files.comm))
  const exe = text('exe', process.links.exe)
  text('cmdline', process.files.cmdline) // for `raw`
  const cmdline = splitNul(process.files.cmdline ?? new Uint8Array(0)).map(word => manifestText(word).text)
  const cwd = text('cwd', process.links.cwd)
  const root = text('root', process.links.root)
  const cgroup = text('cgroup', process.files.cgroup)
  const environ = Object.fromEntries(
    process.environ.map(([name, value]) => [name, text(`environ.${name}`, value)]),
  )
  return {
    comm,
    exe,
    cmdline,
    cwd,
    root,
    cgroup,
    ...(process.stat && {
      startTimeTicks: Number(process.stat.startTimeTicks),
      ppid: process.stat.ppid,
      threads: process.stat.threads,
    }),
    ...(process.environ.length > 0 && { environ }),
    ...(Object.keys(raw).length > 0 && { raw }),
  }
}

/** The kernel ends the file with a newline; a comm may hold others of its own. */
export function withoutNewline(comm: Uint8Array | undefined): Uint8Array {
  return comm?.at(-1) === 0x0a ? comm.subarray(0, -1) : (comm ?? new Uint8Array(0))
}

export function commOf(reading: ProcessReading): Uint8Array {
  return reading.state === 'read' ? withoutNewline(reading.process.files.comm) : new Uint8Array(0)
}

function pidfdWarnings(pidfd: PidfdState): string[] {
  switch (pidfd) {
    case 'verified':
      return []
    case 'absent':
      return ['the kernel gave no pidfd (%F, since 6.16): /proc was verified by the start time alone']
    case 'not-a-pidfd':
      return ['what the kernel gave as %F is no pidfd: /proc was verified by the start time alone']
    case 'other-process':
      return ['the pidfd is of another process than the pid: nothing of /proc was used']
  }
}

/** One line for people who read the log, and how loud. */
export function logLine(record: CrashRecord, kept: 'stored' | 'spooled'): { level: LogLevel; line: string } {
  const { crash, place, core, mini, reduction, outcome, id } = record
  const who = `${describeCrash(crash, commOf(record.reading))} in ${describePlace(place)}${atFirstFrame(record)}`
  const why = reduction ? ` (${reduction.reason}: ${printable(reduction.text)})` : ''
  if (core === null) {
    const what =
      mini === null
        ? kept === 'stored'
          ? 'record only'
          : 'record spooled'
        : `mini core of ${mini.bytes} bytes ${kept}`
    const level = reduction?.reason === 'chained' ? LOG_LEVEL.notice : LOG_LEVEL.warning
    return { level, line: `${who}: ${what}${why}, id ${id}` }
  }
  const sizes = `${core.bytesReceived} bytes as ${core.bytesStored}`
  if (!core.complete) {
    const line = `${who}: incomplete core ${kept}, ${sizes} of ${core.bytesExpected} expected${why}, id ${id}`
    return { level: LOG_LEVEL.warning, line }
  }
  if (outcome === 'full') return { level: LOG_LEVEL.notice, line: `${who}: core ${kept}, ${sizes}, id ${id}` }
  return { level: LOG_LEVEL.warning, line: `${who}: trimmed core ${kept}, ${sizes}${why}, id ${id}` }
}

/** ` at read_config+0x15`, ` at libc.so.6+0x167ad8`; nothing where the first frame is not known. */
function atFirstFrame({ stacks }: CrashRecord): string {
  const frame = stacks?.threads[0]?.frames[0]
  if (frame === undefined) return ''
  if (frame.function !== undefined) return ` at ${printable(frame.function)}`
  const module = frame.module === undefined ? undefined : stacks?.modules[frame.module]
  return module === undefined ? '' : ` at ${printable(basename(module.path))}+0x${frame.offset}`
}

/** `crash of pid 4711 (nginx) by SIGSEGV`. */
export function describeCrash(crash: Pick<CrashFacts, 'pid' | 'signal'>, comm: Uint8Array): string {
  return `crash of pid ${crash.pid} (${printable(comm)}) by ${signalName(crash.signal)}`
}

/** `shop/cart-0`. */
export function describePlace({ namespace, pod }: Place): string {
  return `${printable(namespace)}/${printable(pod)}`
}
