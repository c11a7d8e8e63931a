// The ladder, full → trimmed → mini → record: where a crash stands on it, and what lowers it before anybody's budget is
// looked at. Pure. Each rule only lowers, and says why; the last one that did is the reason.

import type { Config } from '../config/table.ts'
import type { CrashFacts, Outcome, RefusalReason } from '../crash.ts'
import { formatSize } from '../units.ts'
import type { NodeFacts } from './node-facts.ts'
import type { Policy } from './policy.ts'

/** What becomes of a crash's memory, from all of it down to none. */
export type Rung = Outcome

/**
 * The smallest core that can be planned (`PLAN_BYTES_MIN` of core/plan.ts): below it not even the crashed thread's stack
 * fits beside the notes.
 */
export const CORE_BYTES_MIN = 32 * 1024

export interface Standing {
  readonly rung: Rung
  /** Most that the core may have; Infinity: all of it. */
  readonly coreBytesMax: number
  /** Most that the mini core may have, which goes before every core. */
  readonly miniBytesMax: number
  /** Why it is not full. */
  readonly reason?: RefusalReason
  readonly text?: string
}

/** A rule's answer. */
export interface Lowering {
  readonly rung: Rung
  /** A limit on whatever is kept. */
  readonly bytesMax?: number
  readonly reason: RefusalReason
  /** One sentence, with the numbers. */
  readonly text: string
}

const RANK: Readonly<Record<Rung, number>> = { full: 3, trimmed: 2, mini: 1, record: 0 }

/** Lowers a standing; a rule that asks for as much as there is, or for more, changes nothing but the limits. */
export function lowered(standing: Standing, lowering: Lowering | undefined): Standing {
  if (lowering === undefined) return standing
  const { rung, bytesMax = Infinity, reason, text } = lowering
  const isTighter = rung === standing.rung && bytesMax < standing.coreBytesMax
  const isLower = RANK[rung] < RANK[standing.rung] || (rung === 'trimmed' && isTighter)
  return {
    rung: isLower ? rung : standing.rung,
    coreBytesMax: Math.min(standing.coreBytesMax, bytesMax),
    miniBytesMax: Math.min(standing.miniBytesMax, bytesMax),
    ...(isLower ? { reason, text } : reasonOf(standing)),
  }
}

function reasonOf({ reason, text }: Standing): Pick<Standing, 'reason' | 'text'> {
  return { ...(reason !== undefined && { reason }), ...(text !== undefined && { text }) }
}

/** Whether a core is streamed, for which there has to be a slot. */
export function isStreamed({ rung }: Standing): boolean {
  return rung === 'full' || rung === 'trimmed'
}

export interface LadderFacts {
  /** Size of the whole core, as its head says. */
  readonly bytesExpected: number
  readonly crash: Pick<CrashFacts, 'coreRlimitBytes'>
  readonly policy: Pick<Policy, 'capture' | 'coreBytesMax' | 'from'>
  readonly config: Pick<Config, 'budget' | 'capture' | 'mini'>
  readonly nodeFacts: NodeFacts
  /** What is left to keep, where others have had the core. */
  readonly ceiling?: Lowering | undefined
}

/** Where a crash stands by what it is, what may be kept of it, and how the node is off. */
export function standingOf(facts: LadderFacts): Standing {
  const { bytesMax, bytesLimit } = facts.config.mini
  const top: Standing = {
    rung: 'full',
    coreBytesMax: Infinity,
    miniBytesMax: Math.max(bytesMax, bytesLimit),
  }
  return [byCeiling, byPolicy, byRlimit, bySize, byMemory, byPressure].reduce(
    (standing, rule) => (standing.rung === 'record' ? standing : lowered(standing, rule(facts))),
    top,
  )
}

const byCeiling = ({ ceiling }: LadderFacts): Lowering | undefined => ceiling

function byPolicy({ policy }: LadderFacts): Lowering | undefined {
  const { capture, from } = policy
  if (capture === 'full') return undefined
  const rung = capture === 'mini' ? 'mini' : 'record'
  const wish = rung === 'mini' ? 'a mini core' : 'no core'
  return { rung, reason: 'policy', text: `${from.capture} = ${JSON.stringify(capture)} asks for ${wish}` }
}

/**
 * A limit below the size of a mini core leaves what fits into it: the trimmed core of a few pages still has
 * the crashing thread's stack. One that is cut at the limit, as systemd-coredump does, has lost the stacks at its end.
 */
function byRlimit({ bytesExpected, crash, config }: LadderFacts): Lowering | undefined {
  if (!config.capture.honorCoreRlimit) return undefined
  // RLIM_INFINITY and whatever else is beyond 2^53 is beyond every core.
  return byLimit('rlimit-core', bytesExpected, 'RLIMIT_CORE', Number(crash.coreRlimitBytes), String)
}

function bySize({ bytesExpected, policy }: LadderFacts): Lowering | undefined {
  const { coreBytesMax, from } = policy
  const name = from.coreBytesMax ?? 'budget.core_bytes_max'
  return byLimit('size', bytesExpected, name, coreBytesMax, formatSize)
}

function byLimit(
  reason: RefusalReason,
  bytesExpected: number,
  name: string,
  bytesMax: number,
  write: (bytes: number) => string,
): Lowering | undefined {
  if (bytesMax < CORE_BYTES_MIN) {
    const text = `${name} is ${bytesMax}: below ${formatSize(CORE_BYTES_MIN)}, no memory is wanted`
    return { rung: 'record', bytesMax, reason, text }
  }
  if (bytesExpected <= bytesMax) return undefined
  const text = `a core of ${bytesExpected} bytes is over ${name} = ${write(bytesMax)}`
  return { rung: 'trimmed', bytesMax, reason, text }
}

function byMemory({ nodeFacts, config }: LadderFacts): Lowering | undefined {
  const { memoryAvailableMin } = config.budget
  const available = nodeFacts.memoryAvailableBytes() ?? Infinity
  if (available >= memoryAvailableMin) return undefined
  const floor = `budget.memory_available_min = ${formatSize(memoryAvailableMin)}`
  return {
    rung: 'mini',
    reason: 'memory',
    text: `${formatSize(available)} of memory are available, less than ${floor}`,
  }
}

function byPressure({ nodeFacts, config }: LadderFacts): Lowering | undefined {
  const { memoryPressureMax } = config.budget
  const percent = nodeFacts.memoryPressurePercent() ?? 0
  if (percent <= memoryPressureMax) return undefined
  const ceiling = `budget.memory_pressure_max = ${memoryPressureMax}`
  return {
    rung: 'mini',
    reason: 'pressure',
    text: `some process waited for memory in ${percent} % of the last ten seconds, more than ${ceiling}`,
  }
}
