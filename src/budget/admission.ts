// Admission: whether a core is streamed, decided from its head alone. What costs nothing is looked at first, so that a
// core that is refused anyway takes neither token nor slot from another.

import type { Config } from '../config/table.ts'
import type { CrashFacts, Place, RefusalReason } from '../crash.ts'
import type { Os } from '../os/os.ts'
import { formatRate } from '../units.ts'
import type { Rate } from '../units.ts'
import type { Policy } from './policy.ts'
import { returnToken, takeToken } from './rate.ts'
import type { TokenRequest } from './rate.ts'
import { acquireSlot } from './slots.ts'
import type { Slot, SlotOptions } from './slots.ts'

/** systemd-coredump stores nothing below this limit. */
const PAGE_BYTES = 4096n

/** The caller releases the slot once the core is stored. */
export type Admission = ({ readonly verdict: 'full'; readonly slot: Slot } | Refused) & {
  /** What was odd on the way, for the manifest. */
  readonly warnings: readonly string[]
}

interface Refused {
  readonly verdict: 'record'
  readonly reason: RefusalReason
  readonly text: string
}

export interface AdmissionRequest {
  /** Size of the whole core, as its head says. */
  readonly bytesExpected: number
  readonly crash: Pick<CrashFacts, 'coreRlimitBytes' | 'timeSeconds'>
  readonly place: Place
  readonly policy: Pick<Policy, 'capture' | 'coreBytesMax' | 'rate' | 'rule' | 'from'>
  readonly config: Pick<Config, 'budget' | 'capture'>
  readonly os: Pick<Os, 'tryLock'>
  /** For tests. */
  readonly clock?: Pick<SlotOptions, 'sleep' | 'now'>
}

/**
 * Decides on a core, after waiting for a slot where need be.
 * @throws CoreliftError `E_CONFIG` when `budget.state_dir` is not one to trust.
 */
export async function admit(request: AdmissionRequest): Promise<Admission> {
  const { policy, config, os, clock } = request
  const { slots, slotWaitSeconds, stateDir } = config.budget
  const refused = refusedByPolicy(policy) ?? refusedByRlimit(request) ?? refusedBySize(request)
  if (refused) return { ...refused, warnings: [] }
  // Before the slot: whoever is over its rate must not wait for one, nor hold up others that do.
  const token = policy.rate && tokenRequest(request, policy.rate)
  const answer = token && (await takeToken(os, token))
  const warnings = answer?.warning === undefined ? [] : [answer.warning]
  if (token && answer?.granted === false)
    return { ...refusedByRate(token.rate, policy.from.rate, answer.waitSeconds), warnings }

  const slot = await acquireSlot(os, { stateDir, slots, waitSeconds: slotWaitSeconds, ...clock })
  if (slot) return { verdict: 'full', slot, warnings }
  // The rate is of cores that are kept: this one is not.
  if (token) await returnToken(os, token)
  const text = `none of ${slots} slots (budget.slots) became free within ${slotWaitSeconds} s`
  return { ...refusal('slots', text), warnings }
}

function refusal(reason: RefusalReason, text: string): Refused {
  return { verdict: 'record', reason, text }
}

function refusedByPolicy({ capture, from }: AdmissionRequest['policy']): Refused | undefined {
  if (capture === 'full') return undefined
  const wish = capture === 'mini' ? 'a mini core, which this version does not make' : 'no core'
  return refusal('policy', `${from.capture} = ${JSON.stringify(capture)} asks for ${wish}`)
}

/** systemd-coredump would cut a core at the limit; a core that is cut anywhere has lost the stacks at its end. */
function refusedByRlimit({ bytesExpected, crash, config }: AdmissionRequest): Refused | undefined {
  const limit = crash.coreRlimitBytes
  if (!config.capture.honorCoreRlimit) return undefined
  if (limit < PAGE_BYTES)
    return refusal('rlimit-core', `RLIMIT_CORE is ${limit}: below a page, no core is wanted`)
  return BigInt(bytesExpected) > limit
    ? refusal('rlimit-core', `a core of ${bytesExpected} bytes is over RLIMIT_CORE = ${limit}`)
    : undefined
}

function refusedBySize({ bytesExpected, policy }: AdmissionRequest): Refused | undefined {
  const { coreBytesMax, from } = policy
  if (bytesExpected <= coreBytesMax) return undefined
  const limit = from.coreBytesMax ?? 'budget.core_bytes_max'
  return refusal('size', `a core of ${bytesExpected} bytes is over ${limit} = ${coreBytesMax}`)
}

function refusedByRate(rate: Rate, from: string | undefined, waitSeconds: number): Refused {
  const text = `over ${from} = ${formatRate(rate)}; the next core of this container is due in ${waitSeconds} s`
  return refusal('rate', text)
}

function tokenRequest({ crash, place, policy, config, clock }: AdmissionRequest, rate: Rate): TokenRequest {
  const { namespace, pod, container } = place
  return {
    stateDir: config.budget.stateDir,
    name: JSON.stringify([namespace, pod, container, policy.rule]),
    rate,
    now: crash.timeSeconds * 1000,
    ...(clock?.sleep && { sleep: clock.sleep }),
  }
}
