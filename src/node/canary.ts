// `corelift canary`: a crash made on purpose, through the real kernel, and what became of it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { CoreliftError } from '../errors.ts'
import { dropsIn, isDropLine } from '../kernel/drops.ts'
import { type KmsgRecord, readKernelLog } from '../kernel/kmsg-reader.ts'
import { printable } from '../printable.ts'
import type { CrashEvent } from '../telemetry/crash-event.ts'
import { readSysctl } from './layout.ts'

export interface CanaryOptions {
  /** Events of the node's handlers, oldest first. */
  readonly recentEvents: () => readonly CrashEvent[]
  /** Reads the crash back from the store. */
  readonly readBack: (event: CrashEvent) => Promise<ReadBack>
  /** Longest wait for its handler. */
  readonly secondsMax: number
  readonly interrupted: AbortSignal
}

/** How a crash was read back: `denied` as nodes should be that may put and not get. */
export type ReadBack =
  | { readonly state: 'verified'; readonly kind: 'full' | 'trimmed' | 'mini'; readonly bytes: number }
  | { readonly state: 'record' }
  | { readonly state: 'denied' }
  /** Nothing of it is to be in the store: the configuration says so. */
  | { readonly state: 'not kept' }

export interface CanaryReport {
  readonly event: CrashEvent
  readonly readBack: ReadBack
}

/** As `ls` shows it; TASK_COMM_LEN leaves 15 bytes. */
export const CANARY_COMM = 'corelift-canary'

/**
 * RLIMIT_CORE is the service manager's, perhaps 0. comm is the process's own to choose: proc_pid_comm(5). The end of its
 * input, should its parent die, ends it as well.
 */
const SCRIPT = `ulimit -c unlimited; printf ${CANARY_COMM} >/proc/self/comm; printf ready; read -r line || exit 0; kill -s SEGV $$`

const POLL_MS = 50
/** The kernel log is megabytes: it is looked at less often. */
const LOG_POLL_MS = 1000

/** @throws CoreliftError `E_CANARY` with how far it came. */
export async function flyCanary(options: CanaryOptions): Promise<CanaryReport> {
  const pattern = readSysctl('kernel.core_pattern')
  if (!/^\|\S*corelift handle /.test(pattern))
    throw new CoreliftError('E_CANARY', `kernel.core_pattern is ${printable(pattern)}, not corelift's`, {
      hint: 'corelift install sets it, and corelift doctor says who took it',
    })
  const startedAt = new Date()
  const pid = await crash(options.secondsMax)
  const event = await eventOf(pid, startedAt, options)
  if (event.whereabouts === 'spooled' || event.fate === 'lost')
    throw new CoreliftError(
      'E_CANARY',
      `the handler ran, but the store did not take the crash: ${event.why}`,
      {
        hint: 'corelift doctor asks the store for each right that a node needs',
      },
    )
  return { event, readBack: await options.readBack(event) }
}

/** @returns The pid of a process that crashed. */
async function crash(secondsMax: number): Promise<number> {
  const child = spawn('/bin/sh', ['-c', SCRIPT], { stdio: ['pipe', 'pipe', 'ignore'] })
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  await Promise.race([once(child.stdout, 'data'), ended])
  child.stdin.on('error', () => undefined) // it has ended: `ended` tells how
  child.stdin.end('\n')
  const signal = await Promise.race([
    ended.then(([, signal]) => signal ?? 'no signal'),
    sleep(secondsMax * 1000, 'late' as const, { ref: false }),
  ])
  if (signal === 'late') {
    // SIGKILL ends its dump as well.
    child.kill('SIGKILL')
    throw new CoreliftError('E_CANARY', `the handler still held the crashed process after ${secondsMax} s`, {
      hint: 'journalctl -t corelift may tell what it waits for',
    })
  }
  if (signal !== 'SIGSEGV' || child.pid === undefined)
    throw new CoreliftError('E_CANARY', `/bin/sh did not crash as it should: it ended with ${signal}`)
  return child.pid
}

async function eventOf(
  pid: number,
  since: Date,
  { recentEvents, secondsMax, interrupted }: CanaryOptions,
): Promise<CrashEvent> {
  // A crash's time is told in whole seconds.
  const sinceSecond = new Date(Math.floor(since.getTime() / 1000) * 1000).toISOString()
  const deadline = performance.now() + secondsMax * 1000
  for (let lookAt = 0; performance.now() < deadline; await sleep(POLL_MS)) {
    interrupted.throwIfAborted()
    const event = recentEvents().findLast(each => each.pid === pid && each.time >= sinceSecond)
    if (event !== undefined) return event
    if (performance.now() < lookAt) continue
    lookAt = performance.now() + LOG_POLL_MS
    const failure = kernelsWords(pid, since)
    if (failure !== undefined)
      throw new CoreliftError('E_CANARY', `the kernel could not start the handler: ${failure}`, {
        hint: 'see that the binary in kernel.core_pattern is there, on a mount without noexec, and what SELinux says',
      })
  }
  throw new CoreliftError('E_CANARY', `no handler told of the crash of pid ${pid} in ${secondsMax} s`, {
    hint: 'dmesg and journalctl -t corelift may have its last words',
  })
}

/** What the kernel logs where it starts no handler for this process; some of its lines tell no pid. */
function kernelsWords(pid: number, since: Date): string | undefined {
  const isNews = (record: KmsgRecord): boolean => record.time >= since && isDropLine(record)
  const { records } = readKernelLog(undefined, isNews)
  const drop = dropsIn(records).find(each => each.pid === undefined || each.pid === pid)
  const record = records.find(({ sequence }) => sequence === drop?.sequence)
  return record && printable(record.text)
}
