// What became of the crashes so far: those that the kernel started no handler for, and those that handlers noted.
import { dropsIn } from '../../kernel/drops.ts'
import { type Check, counted, fail, ok, skipped, warn } from './check.ts'
import type { ExaminedNode } from './examined-node.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

const DROP_REASONS = ['pipe-limit', 'pipe-failed'] as const
type DropReason = (typeof DROP_REASONS)[number]

export const dropsCheck: Check = {
  id: 'drops',
  group: 'kernel',
  why: 'a crash that the kernel starts no handler for leaves nothing but a line in its log',
  fix: 'dmesg | grep -E "core_pipe_limit|pipe failed"',
  needsRoot: true,
  examine(node) {
    const drops = DROP_REASONS.map(reason => dropsBy(reason, node)).filter(({ count }) => count > 0)
    if (drops.length === 0)
      return node.kernelLog() === undefined ? skipped('the kernel log cannot be read') : ok('none since boot')
    const last = Math.max(...drops.map(drop => drop.last))
    const counts = drops.map(({ reason, count }) => `${count} by ${reason}`).join(', ')
    const words = `${counts} since boot, the last at ${new Date(last).toISOString()}`
    const since = node.now().getTime() - HOUR_MS
    if (drops.some(drop => drop.reason === 'pipe-failed' && drop.last > since))
      return fail(`${words}: the kernel could not start the handler`)
    return last > node.now().getTime() - DAY_MS ? warn(words) : ok(words)
  },
}

interface Drops {
  readonly reason: DropReason
  readonly count: number
  /** Milliseconds since the epoch. */
  readonly last: number
}

/**
 * Sweeps count in the ledger what the log says, and the log forgets: each has some that the other does not, and most are in
 * both. The larger count is the nearest.
 */
function dropsBy(reason: DropReason, node: ExaminedNode): Drops {
  const counted = node.budget().counts.filter(tally => tally.reason === reason)
  const logged = dropsIn(node.kernelLog() ?? []).filter(({ cause }) => cause === reason)
  const sum = (drops: readonly { readonly count: number }[]) =>
    drops.reduce((all, { count }) => all + count, 0)
  const times = [...counted.map(({ last }) => new Date(last)), ...logged.map(({ time }) => time)]
  return {
    reason,
    count: Math.max(sum(counted), sum(logged)),
    last: Math.max(-Infinity, ...times.map(time => time.getTime())),
  }
}

export const recentCrashesCheck: Check = {
  id: 'recent-crashes',
  group: 'workloads',
  why: 'what became of the last crashes shows what no check foresees',
  fix: 'dmesg | grep corelift',
  needsRoot: true,
  examine(node) {
    const events = node.events()
    if (events.length === 0) return skipped('no crash is noted since boot')
    const lost = events.filter(({ fate }) => fate === 'lost')
    const spooled = events.filter(({ whereabouts }) => whereabouts === 'spooled')
    const words = `${counted(events.length, 'crash', 'crashes')}, of which ${lost.length} lost and ${spooled.length} spooled`
    const last = lost.at(-1)
    if (last === undefined) return ok(words)
    const told = `${words}; lost last, at ${last.time}: ${last.comm} (${last.id}): ${last.why ?? 'no reason is noted'}`
    return node.now().getTime() - new Date(last.time).getTime() < HOUR_MS ? fail(told) : warn(told)
  },
}
