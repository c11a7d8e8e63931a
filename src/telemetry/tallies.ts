// What sweeps count since boot, from events and from the kernel's log. Pure.
import type { DropCause } from '../kernel/drops.ts'
import type { CrashEvent } from './crash-event.ts'
import type { Sample, Samples } from './exposition.ts'
import { HOLD_BUCKETS } from './metric-table.ts'

/** As JSON has it, between sweeps. */
export interface Tallies {
  readonly crashes: readonly CrashTally[]
  readonly bytes: Readonly<Record<string, { readonly core: number; readonly stored: number }>>
  readonly hold: {
    /** One for each of HOLD_BUCKETS, each crash in the first that it fits into, and one for those over all. */
    readonly buckets: readonly number[]
    readonly seconds: number
  }
  readonly drops: Readonly<Record<DropCause, number>>
  readonly kernelLogLost: number
  readonly notifications: { readonly sent: number; readonly failed: number }
}

interface CrashTally {
  readonly namespace: string
  readonly outcome: string
  readonly reason: string
  readonly count: number
}

export const NO_TALLIES: Tallies = {
  crashes: [],
  bytes: {},
  hold: { buckets: Array.from({ length: HOLD_BUCKETS.length + 1 }, () => 0), seconds: 0 },
  drops: { 'pipe-limit': 0, 'pipe-failed': 0 },
  kernelLogLost: 0,
  notifications: { sent: 0, failed: 0 },
}

/** Namespaces that are counted by name; whoever may make pods may make namespaces, and each is a series for ever. */
const NAMESPACES_MAX = 200
export const OTHER_NAMESPACES = '_other'
/** A crash of which all is kept has none. */
const NO_REASON = 'none'

/** Adds crashes. */
export function tallyCrashes(tallies: Tallies, events: readonly CrashEvent[]): Tallies {
  return events.reduce(tallyCrash, tallies)
}

function tallyCrash(tallies: Tallies, event: CrashEvent): Tallies {
  const namespace = namespaceIn(tallies, event.place.namespace)
  const { core, stored } = Object.hasOwn(tallies.bytes, namespace)
    ? tallies.bytes[namespace]!
    : { core: 0, stored: 0 }
  const seconds = event.holdMilliseconds / 1000
  const fits = HOLD_BUCKETS.findIndex(bound => seconds <= bound)
  const bucket = fits === -1 ? HOLD_BUCKETS.length : fits
  return {
    ...tallies,
    crashes: counted(tallies.crashes, { namespace, outcome: event.fate, reason: event.reason ?? NO_REASON }),
    bytes: {
      ...tallies.bytes,
      [namespace]: { core: core + event.coreBytes, stored: stored + event.storedBytes },
    },
    hold: {
      buckets: tallies.hold.buckets.map((count, at) => (at === bucket ? count + 1 : count)),
      seconds: tallies.hold.seconds + seconds,
    },
  }
}

function namespaceIn({ bytes }: Tallies, namespace: string): string {
  const isNamed = Object.hasOwn(bytes, namespace) || Object.keys(bytes).length < NAMESPACES_MAX
  return isNamed ? namespace : OTHER_NAMESPACES
}

function counted(tallies: readonly CrashTally[], crash: Omit<CrashTally, 'count'>): CrashTally[] {
  const isSame = ({ namespace, outcome, reason }: CrashTally): boolean =>
    namespace === crash.namespace && outcome === crash.outcome && reason === crash.reason
  return tallies.some(isSame)
    ? tallies.map(tally => (isSame(tally) ? { ...tally, count: tally.count + 1 } : tally))
    : [...tallies, { ...crash, count: 1 }]
}

/** Adds what the kernel log told. */
export function tallyDrops(
  tallies: Tallies,
  groups: readonly { readonly cause: DropCause; readonly count: number }[],
  kernelLogLost: number,
): Tallies {
  const drops = { ...tallies.drops }
  for (const { cause, count } of groups) drops[cause] += count
  return { ...tallies, drops, kernelLogLost: tallies.kernelLogLost + kernelLogLost }
}

/** @returns Samples of all that is counted. */
export function tallySamples(tallies: Tallies): Samples {
  const byNamespace = (bytes: 'core' | 'stored'): Sample[] =>
    Object.entries(tallies.bytes).map(([namespace, sums]) => ({ labels: { namespace }, value: sums[bytes] }))
  const byLabel = (label: string, counts: Readonly<Record<string, number>>): Sample[] =>
    Object.entries(counts).map(([name, value]) => ({ labels: { [label]: name }, value }))
  const lost = tallies.crashes.filter(({ outcome }) => outcome === 'lost')
  return {
    corelift_crashes_total: tallies.crashes.map(({ count, ...labels }) => ({ labels, value: count })),
    corelift_crashes_lost_total: [{ value: lost.reduce((sum, { count }) => sum + count, 0) }],
    corelift_core_bytes_total: byNamespace('core'),
    corelift_core_stored_bytes_total: byNamespace('stored'),
    corelift_hold_seconds: holdSamples(tallies.hold),
    corelift_kernel_drops_total: byLabel('cause', tallies.drops),
    corelift_kernel_log_lost_total: [{ value: tallies.kernelLogLost }],
    corelift_notifications_total: byLabel('result', tallies.notifications),
  }
}

/** A bucket of the format has all that fits into it, those of the smaller ones too. */
function holdSamples({ buckets, seconds }: Tallies['hold']): Sample[] {
  let count = 0
  const cumulative = buckets.map((here, at) => {
    count += here
    const le = String(HOLD_BUCKETS[at] ?? '+Inf')
    return { suffix: '_bucket', labels: { le }, value: count }
  })
  return [...cumulative, { suffix: '_sum', value: seconds }, { suffix: '_count', value: count }]
}
