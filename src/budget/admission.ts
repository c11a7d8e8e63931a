// Admission: whether a core is streamed, decided from its head alone. What costs nothing is looked at first, so that a
// core that is refused anyway takes no slot from another.

import type { Config } from '../config/table.ts'
import type { CrashFacts, RefusalReason } from '../crash.ts'
import type { Os } from '../os/os.ts'
import { acquireSlot } from './slots.ts'
import type { Slot, SlotOptions } from './slots.ts'

/** systemd-coredump stores nothing below this limit. */
const PAGE_BYTES = 4096n

/** The caller releases the slot once the core is stored. */
export type Admission =
  | { readonly verdict: 'full'; readonly slot: Slot }
  | { readonly verdict: 'record'; readonly reason: RefusalReason; readonly text: string }

export interface AdmissionRequest {
  /** Size of the whole core, as its head says. */
  readonly bytesExpected: number
  readonly crash: Pick<CrashFacts, 'coreRlimitBytes'>
  readonly config: Pick<Config, 'budget' | 'capture'>
  readonly os: Pick<Os, 'tryLock'>
  /** For tests. */
  readonly clock?: Pick<SlotOptions, 'sleep' | 'now'>
}

/**
 * Decides on a core, after waiting for a slot where need be.
 * @throws CoreliftError `E_CONFIG` when `budget.state_dir` is not one to trust.
 */
export async function admit({
  bytesExpected,
  crash,
  config,
  os,
  clock,
}: AdmissionRequest): Promise<Admission> {
  const { coreBytesMax, slots, slotWaitSeconds, stateDir } = config.budget
  if (config.capture.honorCoreRlimit) {
    const text = refusedByRlimit(crash.coreRlimitBytes, bytesExpected)
    if (text !== undefined) return { verdict: 'record', reason: 'rlimit-core', text }
  }
  if (bytesExpected > coreBytesMax) {
    const text = `a core of ${bytesExpected} bytes is over budget.core_bytes_max = ${coreBytesMax}`
    return { verdict: 'record', reason: 'size', text }
  }
  const slot = await acquireSlot(os, { stateDir, slots, waitSeconds: slotWaitSeconds, ...clock })
  if (slot) return { verdict: 'full', slot }
  const text = `none of ${slots} slots (budget.slots) became free within ${slotWaitSeconds} s`
  return { verdict: 'record', reason: 'slots', text }
}

/** systemd-coredump would cut a core at the limit; a core that is cut anywhere has lost the stacks at its end. */
function refusedByRlimit(limit: bigint, bytes: number): string | undefined {
  if (limit < PAGE_BYTES) return `RLIMIT_CORE is ${limit}: below a page, no core is wanted`
  return BigInt(bytes) > limit ? `a core of ${bytes} bytes is over RLIMIT_CORE = ${limit}` : undefined
}
