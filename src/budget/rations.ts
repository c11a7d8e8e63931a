// Rations: what a crash takes of what is limited in time, and what it may still have where that is used up. A core takes
// from the rates of its crash and its workload and from everybody's bytes, a mini core from rates of its own, a record
// nothing. Pure, on a ledger that is in memory.

import type { Config } from '../config/table.ts'
import type { Place } from '../crash.ts'
import { formatRate, formatSize, MIB } from '../units.ts'
import type { Rate } from '../units.ts'
import { isStreamed, lowered } from './ladder.ts'
import type { Lowering, Standing } from './ladder.ts'
import { accountKey, cutName, secondsUntil, usedAt } from './ledger.ts'
import type { AccountKind, Bucket, Ledger, Limit, Meter } from './ledger.ts'
import type { Policy } from './policy.ts'

/** Below it a trimmed core has little that a mini core lacks, and costs a slot. */
export const TRIMMED_BYTES_MIN = 16 * MIB

/**
 * Of a namespace's bytes: a container in a crash loop leaves the others as much as it takes. Of the node's, where those
 * are fewer.
 */
const WORKLOAD_SHARE = 1 / 2

const HOUR_SECONDS = 3600
const DAY_SECONDS = 86_400

/** One bucket from which a crash takes. */
interface Ration {
  readonly kind: AccountKind
  readonly names: readonly string[]
  readonly meter: Meter
  readonly limit: Limit
  /** The limit as people know it: `budget.signature_full = 3/hour`. */
  readonly words: string
}

/** Everything from which a crash takes, by what is kept of it. */
export interface Rations {
  /** One each, for a core. */
  readonly full: readonly Ration[]
  /** One each, for a mini core alone. */
  readonly mini: readonly Ration[]
  /** Its bytes, for a core. */
  readonly bytes: readonly Ration[]
}

export interface RationedCrash {
  readonly place: Place
  /** What is the same for the same crash; undefined: nothing is known to be. */
  readonly signature: string | undefined
  readonly policy: Pick<Policy, 'rate' | 'rule' | 'from'>
  readonly config: Pick<Config, 'budget'>
}

export function rationsOf({ place, signature, policy, config }: RationedCrash): Rations {
  const { budget } = config
  const { namespace, pod, container } = place
  const workload = { kind: 'workload', names: [namespace, pod, container] } as const
  // Not by pod: its name has what a replica set appends, and replicas crash alike.
  const alike = { kind: 'signature', names: [namespace, container, signature ?? ''] } as const
  const rated = (owner: typeof workload | typeof alike, meter: Meter, rate: Rate, name: string): Ration => ({
    ...owner,
    meter,
    limit: { amount: rate.cores, seconds: rate.seconds },
    words: `${name} = ${formatRate(rate)}`,
  })
  const ofWorkload =
    policy.rate && policy.rule !== undefined
      ? rated(
          workload,
          `rule-${policy.rule}`,
          policy.rate,
          policy.from.rate ?? `policy.rules[${policy.rule}].rate`,
        )
      : rated(workload, 'full', budget.workloadFull, 'budget.workload_full')
  const isKnown = signature !== undefined
  return {
    full: [
      ...(isKnown ? [rated(alike, 'full', budget.signatureFull, 'budget.signature_full')] : []),
      ofWorkload,
    ],
    mini: [
      ...(isKnown ? [rated(alike, 'mini', budget.signatureMini, 'budget.signature_mini')] : []),
      rated(workload, 'mini', budget.workloadMini, 'budget.workload_mini'),
    ],
    bytes: [
      ...bytesOf(place, 'hour', HOUR_SECONDS, budget.namespaceBytesPerHour, budget.nodeBytesPerHour),
      ...bytesOf(place, 'day', DAY_SECONDS, budget.namespaceBytesPerDay, budget.nodeBytesPerDay),
    ],
  }
}

function bytesOf(
  { namespace, pod, container }: Place,
  period: 'hour' | 'day',
  seconds: number,
  ofNamespace: number,
  ofNode: number,
): Ration[] {
  const named = (scope: 'namespace' | 'node', amount: number) =>
    `budget.${scope}_bytes_per_${period} = ${formatSize(amount)}`
  const ration = (kind: AccountKind, names: readonly string[], amount: number, words: string): Ration => ({
    kind,
    names,
    meter: `bytes-${period}`,
    limit: { amount, seconds },
    words,
  })
  const shared = ofNamespace <= ofNode ? named('namespace', ofNamespace) : named('node', ofNode)
  const share = Math.floor(Math.min(ofNamespace, ofNode) * WORKLOAD_SHARE)
  return [
    ration('workload', [namespace, pod, container], share, `a container's half of ${shared}`),
    ration('namespace', [namespace], ofNamespace, named('namespace', ofNamespace)),
    ration('node', [], ofNode, named('node', ofNode)),
  ]
}

/** What a crash took, to be given back where it is not used. */
export interface Spending {
  readonly key: string
  readonly meter: Meter
  readonly amount: number
}

export interface Drawing {
  readonly standing: Standing
  readonly spent: readonly Spending[]
}

/**
 * Lowers a crash to what is left, and takes that. Who is lowered takes nothing of what it does not get.
 * @param bytesExpected - Size of the whole core.
 */
export function draw(
  ledger: Ledger,
  { full, mini, bytes }: Rations,
  begun: Standing,
  bytesExpected: number,
  now: number,
): Drawing {
  let standing = begun
  for (const ration of full)
    if (isStreamed(standing)) standing = lowered(standing, overRate(ledger, ration, 'mini', now))
  if (isStreamed(standing))
    standing = lowered(standing, overBytes(ledger, bytes, standing, bytesExpected, now))
  for (const ration of mini)
    if (standing.rung === 'mini') standing = lowered(standing, overRate(ledger, ration, 'record', now))

  const bytesKept = Math.min(bytesExpected, standing.coreBytesMax)
  const taken: [Ration, number][] = isStreamed(standing)
    ? [...full.map(one), ...bytes.map((ration): [Ration, number] => [ration, bytesKept])]
    : standing.rung === 'mini'
      ? mini.map(one)
      : []
  return { standing, spent: taken.map(([ration, amount]) => take(ledger, ration, amount, now)) }
}

const one = (ration: Ration): [Ration, number] => [ration, 1]

/** Gives back what was taken; a part of it where a part was used. */
export function giveBack({ accounts }: Ledger, spent: readonly Spending[]): void {
  for (const { key, meter, amount } of spent) {
    const buckets = accounts.get(key)?.buckets
    const bucket = buckets?.get(meter)
    if (bucket) buckets!.set(meter, { ...bucket, used: Math.max(0, bucket.used - amount) })
  }
}

/** What of it was not used, once it is known how many bytes were kept. */
export function unused(spent: readonly Spending[], bytesKept: number): Spending[] {
  if (bytesKept === 0) return [...spent]
  return spent
    .filter(({ meter }) => meter === 'bytes-hour' || meter === 'bytes-day')
    .map(spending => ({ ...spending, amount: Math.max(0, spending.amount - bytesKept) }))
}

function overRate(
  ledger: Ledger,
  ration: Ration,
  rung: 'mini' | 'record',
  now: number,
): Lowering | undefined {
  const { kind, meter, limit, words } = ration
  const waitSeconds = secondsUntil(1, bucketOf(ledger, ration, now).used, limit)
  if (waitSeconds === 0) return undefined
  const [what, whose] = [
    meter === 'mini' ? 'mini core' : 'core',
    kind === 'signature' ? 'crash' : 'container',
  ]
  return {
    rung,
    reason: kind === 'signature' ? 'signature' : 'rate',
    text: `over ${words}; the next ${what} of this ${whose} is due in ${waitSeconds} s`,
  }
}

function overBytes(
  ledger: Ledger,
  rations: readonly Ration[],
  { coreBytesMax }: Standing,
  bytesExpected: number,
  now: number,
): Lowering | undefined {
  const wanted = Math.min(bytesExpected, coreBytesMax)
  const scarcest = rations
    .map(ration => ({ ration, left: ration.limit.amount - bucketOf(ledger, ration, now).used }))
    .reduce((least, candidate) => (candidate.left < least.left ? candidate : least))
  if (wanted <= scarcest.left) return undefined
  const left = Math.max(0, Math.floor(scarcest.left))
  const text = `a core of ${wanted} bytes is over the ${left} left of ${scarcest.ration.words}`
  return left < TRIMMED_BYTES_MIN
    ? { rung: 'mini', reason: 'bytes', text }
    : { rung: 'trimmed', bytesMax: left, reason: 'bytes', text }
}

/**
 * The bucket as it is now. Written back also when nothing is taken: for its place in the order, and with a time that is
 * not in the future of a clock that was put back.
 */
function bucketOf({ accounts }: Ledger, { kind, names, meter, limit }: Ration, now: number): Bucket {
  const key = accountKey(kind, names)
  const account = accounts.get(key) ?? { kind, names: names.map(cutName), buckets: new Map() }
  accounts.delete(key)
  accounts.set(key, account)
  const bucket = { used: usedAt(account.buckets.get(meter), limit, now), at: now, limit }
  account.buckets.delete(meter)
  account.buckets.set(meter, bucket)
  return bucket
}

function take(ledger: Ledger, ration: Ration, amount: number, now: number): Spending {
  const bucket = bucketOf(ledger, ration, now)
  const key = accountKey(ration.kind, ration.names)
  ledger.accounts.get(key)!.buckets.set(ration.meter, { ...bucket, used: bucket.used + amount })
  return { key, meter: ration.meter, amount }
}
