// Admission: which rung of the ladder a crash gets, decided before its core's body is read. What costs nothing is looked
// at first, then the ledger, and a slot last, so that a core that is lowered anyway takes nothing from another.

import type { Config } from '../config/table.ts'
import type { CrashFacts, Place, RefusalReason } from '../crash.ts'
import type { Os } from '../os/os.ts'
import { printable } from '../printable.ts'
import { isStreamed, lowered, standingOf } from './ladder.ts'
import type { Lowering, Rung, Standing } from './ladder.ts'
import { changeLedger } from './ledger-file.ts'
import { tally } from './ledger.ts'
import type { Ledger } from './ledger.ts'
import { procNode } from './node-facts.ts'
import type { NodeFacts } from './node-facts.ts'
import type { Policy } from './policy.ts'
import { draw, giveBack, rationsOf, unused } from './rations.ts'
import type { Drawing, Spending } from './rations.ts'
import { acquireSlot } from './slots.ts'
import type { Slot, SlotAnswer, SlotOptions } from './slots.ts'

export type { Rung } from './ladder.ts'

/** What may be kept of a crash. */
export type Admission = Verdict & {
  /** What was odd on the way, for the manifest. */
  readonly warnings: readonly string[]
}

type Verdict =
  | ({ readonly rung: 'full' } & Streamed)
  | ({
      readonly rung: 'trimmed'
      /** Of the trimmed core, uncompressed; at least CORE_BYTES_MIN. */
      readonly bytesMax: number
    } & Streamed &
      Reason)
  | ({ readonly rung: 'mini' } & Mini & Reason)
  | ({ readonly rung: 'record' } & Reason)

interface Mini {
  /** What a mini core may grow to, uncompressed; at least CORE_BYTES_MIN. One may go before every core. */
  readonly miniBytesMax: number
}

interface Streamed extends Mini {
  /** The caller releases it once the core is stored. */
  readonly slot: Slot
  /**
   * Gives back what was taken of rates and bytes and not used. Never throws.
   * @param bytesKept - Of the core, uncompressed, in the store; 0: there is none.
   */
  settle(bytesKept: number): Promise<void>
}

interface Reason {
  readonly reason: RefusalReason
  /** The same in a sentence, with numbers. */
  readonly text: string
}

export interface AdmissionRequest {
  /** Size of the whole core, as its head says. */
  readonly bytesExpected: number
  readonly crash: Pick<CrashFacts, 'coreRlimitBytes'>
  readonly place: Place
  /** The same for crashes that are the same; undefined: no frame is known. */
  readonly signature: string | undefined
  readonly policy: Pick<Policy, 'capture' | 'coreBytesMax' | 'rate' | 'rule' | 'from'>
  readonly config: Pick<Config, 'budget' | 'capture' | 'mini'>
  readonly os: Pick<Os, 'tryLock'>
  /** As `LadderFacts.ceiling`. */
  readonly ceiling?: Lowering | undefined
  /** For tests. */
  readonly nodeFacts?: NodeFacts
  readonly clock?: Pick<SlotOptions, 'sleep' | 'now'> & { readonly wall?: () => number }
}

/**
 * Decides on a crash, after waiting for a slot where need be. Never throws: where rates cannot be kept to they are not
 * kept to, and where slots cannot be had, which alone bound the node's load, it is a mini core.
 */
export async function admit(request: AdmissionRequest): Promise<Admission> {
  const { bytesExpected, nodeFacts = procNode } = request
  const standing = standingOf({ ...request, nodeFacts })
  const rations = rationsOf(request)
  const reserved = await withLedger(request, { standing, spent: [] }, (ledger, now) => {
    const drawn = draw(ledger, rations, standing, bytesExpected, now)
    if (!isStreamed(drawn.standing)) count(ledger, request, drawn.standing, now)
    return drawn
  })
  if (!isStreamed(reserved.standing)) return { ...unstreamed(reserved.standing), warnings: reserved.warnings }

  const { slot, text } = { text: '', ...(await slotFor(request)) }
  const final = slot ? reserved.standing : lowered(reserved.standing, { rung: 'mini', reason: 'slots', text })
  const concluded = await withLedger(request, { ...reserved, standing: final }, (ledger, now) => {
    if (!slot) giveBack(ledger, reserved.spent)
    const drawn = slot ? reserved : draw(ledger, rations, final, bytesExpected, now)
    count(ledger, request, drawn.standing, now)
    return drawn
  })
  const warnings = [...new Set([...reserved.warnings, ...concluded.warnings])]
  const verdict = slot
    ? streamed(concluded.standing, slot, bytesKept => settle(request, concluded.spent, bytesKept))
    : unstreamed(concluded.standing)
  return { ...verdict, warnings }
}

/** A lost budget must not lose a core: where the ledger cannot be used, everybody is let through. */
async function withLedger(
  { config, os, clock }: AdmissionRequest,
  otherwise: Drawing,
  change: (ledger: Ledger, now: number) => Drawing,
): Promise<Drawing & { readonly warnings: readonly string[] }> {
  try {
    const { result, warning } = await changeLedger(os, { ...config.budget, ...clock }, change)
    return { ...result, warnings: warning === undefined ? [] : [warning] }
  } catch (error) {
    const { standing, spent } = otherwise
    return { standing, spent, warnings: [`no rate was kept to: ${printable((error as Error).message)}`] }
  }
}

async function slotFor({ place, config, os, clock }: AdmissionRequest): Promise<SlotAnswer> {
  const { slots, slotWaitSeconds: waitSeconds, stateDir } = config.budget
  try {
    return await acquireSlot(os, { stateDir, slots, waitSeconds, place, ...clock })
  } catch (error) {
    return { slot: undefined, text: printable((error as Error).message) }
  }
}

function count(ledger: Ledger, { place }: AdmissionRequest, { rung, reason }: Standing, at: number): void {
  const { namespace, pod, container } = place
  const entry = { namespace, rung, at, ...(reason !== undefined && { reason }) }
  tally(ledger, entry, [namespace, pod, container])
}

/** Bytes that were announced and did not come, and all of what no store took, are somebody else's. */
async function settle(
  { config, os, clock }: AdmissionRequest,
  spent: readonly Spending[],
  bytesKept: number,
): Promise<void> {
  const back = unused(spent, bytesKept).filter(({ amount }) => amount > 0)
  if (back.length === 0) return
  try {
    await changeLedger(os, { ...config.budget, ...clock }, ledger => giveBack(ledger, back))
  } catch {
    // What cannot be given back comes with time.
  }
}

function streamed(standing: Standing, slot: Slot, settle: Streamed['settle']): Verdict {
  const { coreBytesMax, miniBytesMax } = standing
  const shared = { slot, settle, miniBytesMax }
  return standing.rung === 'trimmed'
    ? { rung: 'trimmed', bytesMax: coreBytesMax, ...shared, ...reasonOf(standing) }
    : { rung: 'full', ...shared }
}

function unstreamed(standing: Standing & { readonly rung: Rung }): Verdict {
  const { rung, miniBytesMax } = standing
  return rung === 'mini'
    ? { rung, miniBytesMax, ...reasonOf(standing) }
    : { rung: 'record', ...reasonOf(standing) }
}

/** Whatever lowered the standing said why. */
function reasonOf({ reason, text }: Standing): Reason {
  return { reason: reason!, text: text! }
}
