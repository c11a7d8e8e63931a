// What a handler leaves for the node's metrics, its messages to people and the canary: one event for each crash, whatever
// became of it.
import { closeSync } from 'node:fs'
import { hostname } from 'node:os'
import { openStateDir } from '../budget/state-dir.ts'
import type { Config } from '../config/table.ts'
import type { CrashFacts, Place } from '../crash.ts'
import { kernelLog, LOG_LEVEL } from '../kernel/kmsg.ts'
import type { ProcessReading } from '../kernel/procfs.ts'
import { printable } from '../printable.ts'
import type { CrashEvent } from '../telemetry/crash-event.ts'
import { appendEvent } from '../telemetry/event-log.ts'
import { NO_CONTAINER, UNKNOWN_NAMESPACE } from '../workload/place.ts'
import type { Beginning } from './begin.ts'
import type { Committed } from './commit.ts'
import type { Hold } from './hold.ts'
import { commOf, type CrashRecord } from './record.ts'

/** Appends an event. A state directory that cannot be used costs the event, never the crash. */
export function noteEvent({ budget }: Pick<Config, 'budget'>, event: CrashEvent): void {
  try {
    const directory = openStateDir(budget.stateDir)
    try {
      appendEvent(directory, event)
    } finally {
      closeSync(directory)
    }
  } catch (error) {
    kernelLog(LOG_LEVEL.warning, `no metrics of the crash of pid ${event.pid}: ${(error as Error).message}`)
  }
}

/** Of a crash that is on record. */
export function keptEvent(
  record: CrashRecord,
  committed: Committed,
  hold: Pick<Hold, 'milliseconds'>,
): CrashEvent {
  const { id, workload, outcome, reduction, core, signature } = record
  const why = committed.state === 'stored' ? reduction?.text : committed.why
  return {
    ...whoOf(record),
    ...timesOf(hold),
    id,
    workload: workload.kind,
    fate: reduction?.reason === 'chained' ? 'chained' : outcome,
    whereabouts: committed.state,
    ...(reduction && { reason: reduction.reason }),
    ...(why !== undefined && { why: printable(why) }),
    ...(signature !== undefined && { signature: printable(signature) }),
    coreBytes: core?.bytesReceived ?? 0,
    storedBytes: core?.bytesStored ?? 0,
  }
}

/** Of a crash of which nothing is kept, as a policy says. */
export function offEvent(beginning: Beginning): CrashEvent {
  const { id, named, policy, hold, signature } = beginning
  return {
    ...whoOf(beginning),
    ...timesOf(hold),
    id,
    workload: named.kind,
    fate: 'off',
    whereabouts: 'nowhere',
    why: printable(`as ${policy.from.capture} says`),
    ...(signature !== undefined && { signature: printable(signature) }),
    coreBytes: 0,
    storedBytes: 0,
  }
}

/** Of a crash that left nothing: of whom is not known any more, and the process was held till now, if it could be. */
export function lostEvent(
  { crash, reading }: Omit<Crashed, 'place'>,
  why: string,
  { hold, node }: Config,
): CrashEvent {
  const place = { namespace: UNKNOWN_NAMESPACE, pod: node.name ?? hostname(), container: NO_CONTAINER }
  const tookMilliseconds = millisecondsSinceStart()
  return {
    ...whoOf({ crash, reading, place }),
    holdMilliseconds: Math.min(tookMilliseconds, hold.secondsMax * 1000),
    tookMilliseconds,
    id: '',
    workload: 'unknown',
    fate: 'lost',
    whereabouts: 'nowhere',
    why: printable(why),
    coreBytes: 0,
    storedBytes: 0,
  }
}

interface Crashed {
  readonly crash: CrashFacts
  readonly reading: ProcessReading
  readonly place: Place
}

type Who = Pick<CrashEvent, 'time' | 'pid' | 'comm' | 'signal' | 'place'>

function whoOf({ crash, reading, place: { namespace, pod, container } }: Crashed): Who {
  return {
    time: new Date(crash.timeSeconds * 1000).toISOString(),
    pid: crash.pid,
    comm: printable(commOf(reading)),
    signal: crash.signal,
    place: { namespace: printable(namespace), pod: printable(pod), container: printable(container) },
  }
}

const timesOf = (hold: Pick<Hold, 'milliseconds'>) => ({
  holdMilliseconds: Math.round(hold.milliseconds),
  tookMilliseconds: millisecondsSinceStart(),
})

/** The kernel starts a handler when the crash happens. */
const millisecondsSinceStart = (): number => Math.round(performance.now())
