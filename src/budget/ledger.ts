// The ledger: what was let through of late, and what was refused since boot, shared by the handlers of a node. Pure; its
// file is ledger-file.ts. Whatever crashes how often under which names, it stays within bounds, and whoever fills it up
// pushes out entries of its own.

import { createHash } from 'node:crypto'
import type { Outcome } from '../crash.ts'

export interface Ledger {
  /** When it was begun, milliseconds since the epoch. */
  readonly since: number
  /** By `accountKey`, those first that were used longest ago. */
  readonly accounts: Map<string, Account>
  /** How many crashes came to what, by namespace. */
  readonly tallies: Map<string, Tally>
  /** The last ones that were kept less than whole, newest last. */
  readonly recent: Recent[]
}

/** Whose buckets: the whole node's, a namespace's, a container's or unit's, those of one and the same crash. */
export const ACCOUNT_KINDS = ['node', 'namespace', 'workload', 'signature'] as const
export type AccountKind = (typeof ACCOUNT_KINDS)[number]

export interface Account {
  readonly kind: AccountKind
  /** For people, each cut to `NAME_LENGTH_MAX`, as hostile as they came: the namespace first, where there is one. */
  readonly names: readonly string[]
  readonly buckets: Map<Meter, Bucket>
}

/** What a bucket holds: crashes kept whole (by a rule's own rate: of that rule), as mini cores, or bytes. */
export type Meter = 'full' | `rule-${number}` | 'mini' | 'bytes-hour' | 'bytes-day'

/** So much in so many seconds. */
export interface Limit {
  readonly amount: number
  readonly seconds: number
}

/** A bucket begins full of what the limit allows, and is refilled evenly. */
export interface Bucket {
  /** What was taken and is not yet refilled, */
  readonly used: number
  /** at this time, milliseconds since the epoch. */
  readonly at: number
  /** For those who read the ledger; what counts is the limit that the taker names. */
  readonly limit: Limit
}

export interface Tally {
  readonly namespace: string
  readonly rung: Outcome
  /** A `RefusalReason`; absent: a full core. */
  readonly reason?: string
  readonly count: number
  /** The last one's time. */
  readonly at: number
}

export interface Recent {
  readonly at: number
  readonly rung: Outcome
  readonly reason: string
  /** Namespace, pod and container. */
  readonly names: readonly string[]
}

/** Names of Kubernetes' namespaces and containers have 63 letters at most; signatures and units are known by as many. */
export const NAME_LENGTH_MAX = 64

/** More containers than a node runs, and as many crashes that differ; of namespaces a node has fewer. */
const ACCOUNTS_MAX: Readonly<Record<AccountKind, number>> = {
  node: 1,
  namespace: 128,
  workload: 512,
  signature: 512,
}
/** The four that every container has, and four rules with a rate of their own. */
export const METERS_MAX = 8
export const TALLIES_MAX = 256
export const RECENT_MAX = 16

/** What tallies are added up under whose namespace has no place of its own any more. */
export const OTHER_NAMESPACES = ''

export function emptyLedger(now: number): Ledger {
  return { since: now, accounts: new Map(), tallies: new Map(), recent: [] }
}

/** @returns The key of an account: 132 bits of SHA-256, in 22 characters. */
export function accountKey(kind: AccountKind, names: readonly string[]): string {
  const text = JSON.stringify([kind, ...names])
  return createHash('sha256').update(text).digest('base64url').slice(0, KEY_LENGTH)
}
export const KEY_LENGTH = 22

export function cutName(name: string): string {
  return name.slice(0, NAME_LENGTH_MAX)
}

/**
 * What is in use of a limit.
 * @returns At most the limit. A clock that was put back refills nothing, a limit that was lowered is not overdrawn.
 */
export function usedAt(bucket: Bucket | undefined, { amount, seconds }: Limit, now: number): number {
  if (bucket === undefined) return 0
  const refilled = (Math.max(0, now - bucket.at) / 1000) * (amount / seconds)
  return Math.min(amount, Math.max(0, bucket.used - refilled))
}

/** Refilling adds fractions, and five fifths of a token are one; of seconds, nobody sees a millionth. */
const ROUNDING = 1e-6

/** @returns Seconds until so much is left, rounded up; 0: now. Infinity: never, the limit is below it. */
export function secondsUntil(wanted: number, used: number, { amount, seconds }: Limit): number {
  const excess = used + wanted - amount
  if (excess <= ROUNDING) return 0
  return wanted > amount ? Infinity : Math.ceil((excess * seconds) / amount - ROUNDING)
}

/** Counts a crash (or `count` of them) by what became of it; what is less than whole has a reason. */
export function tally(
  ledger: Ledger,
  entry: Omit<Tally, 'count'> & Partial<Pick<Tally, 'count'>>,
  names: readonly string[],
): void {
  const { rung, reason, at, count = 1 } = entry
  addTally(ledger, { ...entry, namespace: cutName(entry.namespace), count })
  if (reason === undefined) return
  ledger.recent.push({ at, rung, reason, names: names.map(cutName) })
  ledger.recent.splice(0, ledger.recent.length - RECENT_MAX)
}

function addTally({ tallies }: Ledger, added: Tally): void {
  const key = tallyKey(added)
  const count = (tallies.get(key)?.count ?? 0) + added.count
  // Taken out and put back: those first that were counted longest ago.
  tallies.delete(key)
  tallies.set(key, { ...added, count })
}

export function tallyKey({ namespace, rung, reason }: Pick<Tally, 'namespace' | 'rung' | 'reason'>): string {
  return JSON.stringify([namespace, rung, reason])
}

/** Drops what has no meaning any more, then what is too much. */
export function prune(ledger: Ledger, now: number): void {
  const { accounts, tallies } = ledger
  for (const [key, { buckets }] of accounts) {
    // A bucket that is full again is as good as none.
    for (const [meter, bucket] of buckets) if (usedAt(bucket, bucket.limit, now) === 0) buckets.delete(meter)
    for (const meter of [...buckets.keys()].slice(0, -METERS_MAX)) buckets.delete(meter)
    if (buckets.size === 0) accounts.delete(key)
  }
  for (const kind of ACCOUNT_KINDS) {
    const entries = [...accounts].filter(([, account]) => account.kind === kind)
    const paths = entries.map(([key, { names }]) => ({ key, path: names.slice(0, 2) }))
    for (const key of excess(paths, ACCOUNTS_MAX[kind])) accounts.delete(key)
  }
  const named = [...tallies].filter(([, { namespace }]) => namespace !== OTHER_NAMESPACES)
  const paths = named.map(([key, { namespace }]) => ({ key, path: [namespace] }))
  for (const key of excess(paths, TALLIES_MAX)) {
    const dropped = tallies.get(key)!
    tallies.delete(key)
    addTally(ledger, { ...dropped, namespace: OTHER_NAMESPACES })
  }
}

interface Entry {
  readonly key: string
  /** Namespace, then the pod or the container. */
  readonly path: readonly string[]
}

/**
 * Chooses what has to go: of the namespace that has most, of what has most in it, the entries used longest ago. A pod
 * that crashes under ever new names or signatures so pushes out its own.
 */
function excess(entries: readonly Entry[], max: number): string[] {
  const chosen: string[] = []
  if (entries.length <= max) return chosen
  const namespaces = grouped(entries, ({ path }) => path[0]).map(inNamespace =>
    grouped(inNamespace, ({ path }) => path[1]).map(owned => owned.map(({ key }) => key)),
  )
  const sizeOf = (owners: readonly string[][]) => owners.reduce((sum, { length }) => sum + length, 0)
  while (entries.length - chosen.length > max) {
    const largest = mostBy(namespaces, sizeOf)
    chosen.push(mostBy(largest, ({ length }) => length).shift()!)
  }
  return chosen
}

function grouped<T>(items: readonly T[], nameOf: (item: T) => string | undefined): T[][] {
  const groups = new Map<string | undefined, T[]>()
  for (const item of items) {
    const name = nameOf(item)
    const group = groups.get(name)
    if (group) group.push(item)
    else groups.set(name, [item])
  }
  return [...groups.values()]
}

/** The first of those that have most. */
function mostBy<T>(items: readonly T[], sizeOf: (item: T) => number): T {
  return items.reduce((most, item) => (sizeOf(item) > sizeOf(most) ? item : most))
}
