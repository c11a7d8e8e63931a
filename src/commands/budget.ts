// corelift budget: what this node's budget has left, who used it, and what was refused and why.

import { closeSync } from 'node:fs'
import { ACCOUNT_KINDS, type AccountKind, type Meter, secondsUntil, usedAt } from '../budget/ledger.ts'
import type { Ledger, Tally } from '../budget/ledger.ts'
import { readLedger } from '../budget/ledger-file.ts'
import { TRIMMED_BYTES_MIN } from '../budget/rations.ts'
import { type HeldSlot, heldSlots } from '../budget/slots-held.ts'
import { WAITING_PER_SLOT } from '../budget/slots.ts'
import { openExistingStateDir } from '../budget/state-dir.ts'
import type { Config } from '../config/table.ts'

/** Names are as workloads chose them, cut. */
export interface BudgetReport {
  readonly stateDir: string
  /** When the ledger was begun: at the first crash since boot, or since it was lost; null: there was none. */
  readonly since: string | null
  /** The ledger is there and is none: rates and counts start anew with the next crash. */
  readonly corrupt: boolean
  readonly slots: {
    readonly max: number
    readonly waitingMax: number
    readonly held: readonly HeldSlot[]
  }
  /** What is in use; a bucket that is full again is not listed. */
  readonly buckets: readonly BudgetBucket[]
  readonly counts: readonly (Omit<Tally, 'at'> & { readonly last: string })[]
  /** Crashes that were kept less than whole, newest first. */
  readonly recent: readonly BudgetRefusal[]
}

export interface BudgetBucket {
  readonly of: AccountKind
  /** `node`: none; else the namespace, the pod (`signature`: the container), the container (the signature). */
  readonly names: readonly string[]
  readonly meter: Meter
  /** Crashes, or bytes. */
  readonly used: number
  readonly max: number
  /** In which it is refilled. */
  readonly seconds: number
  /** Until it gives another core, of 16 MiB at least; 0: now, null: never. */
  readonly nextSeconds: number | null
}

export interface BudgetRefusal {
  readonly time: string
  readonly rung: Tally['rung']
  readonly reason: string
  readonly names: readonly string[]
}

/**
 * Reads the state that handlers share; changes nothing, and takes no lock that one of them wants.
 * @param config - The handlers'.
 * @throws CoreliftError `E_CONFIG` when the directory is not one to trust, or not root's to read.
 */
export function budgetReport({ budget }: Pick<Config, 'budget'>, now: Date): BudgetReport {
  const { stateDir, slots } = budget
  const waitingMax = slots * WAITING_PER_SLOT
  const empty: BudgetReport = {
    stateDir,
    since: null,
    corrupt: false,
    slots: { max: slots, waitingMax, held: [] },
    buckets: [],
    counts: [],
    recent: [],
  }
  const directory = openExistingStateDir(stateDir)
  if (directory === undefined) return empty
  try {
    const ledger = readLedger(directory)
    return {
      ...empty,
      slots: { max: slots, waitingMax, held: heldSlots(directory) },
      corrupt: ledger === 'corrupt',
      ...(typeof ledger === 'object' && ledgerReport(ledger, now.getTime())),
    }
  } finally {
    closeSync(directory)
  }
}

function ledgerReport(
  ledger: Ledger,
  now: number,
): Pick<BudgetReport, 'since' | 'buckets' | 'counts' | 'recent'> {
  const iso = (at: number) => new Date(at).toISOString()
  return {
    since: iso(ledger.since),
    buckets: bucketsOf(ledger, now),
    counts: [...ledger.tallies.values()]
      .map(({ at, ...tally }) => ({ ...tally, last: iso(at) }))
      .sort((a, b) => b.count - a.count),
    recent: ledger.recent.toReversed().map(({ at, ...refusal }) => ({ time: iso(at), ...refusal })),
  }
}

/** Those first of which least is left, the node's before a namespace's before a container's. */
function bucketsOf({ accounts }: Ledger, now: number): BudgetBucket[] {
  return [...accounts.values()]
    .flatMap(({ kind, names, buckets }) =>
      [...buckets].map(([meter, bucket]): BudgetBucket => {
        const { amount, seconds } = bucket.limit
        const used = usedAt(bucket, bucket.limit, now)
        const wait = secondsUntil(meter.startsWith('bytes') ? TRIMMED_BYTES_MIN : 1, used, bucket.limit)
        const nextSeconds = wait === Infinity ? null : wait
        return { of: kind, names, meter, used, max: amount, seconds, nextSeconds }
      }),
    )
    .filter(({ used }) => used > 0)
    .sort(
      (a, b) => ACCOUNT_KINDS.indexOf(a.of) - ACCOUNT_KINDS.indexOf(b.of) || b.used / b.max - a.used / a.max,
    )
}
