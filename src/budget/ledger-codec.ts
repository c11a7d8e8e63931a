// The ledger as the text of its file: JSON with rows in place of objects, which are half as long.

import type { Outcome } from '../crash.ts'
import { ACCOUNT_KINDS, KEY_LENGTH, METERS_MAX, NAME_LENGTH_MAX, RECENT_MAX, tallyKey } from './ledger.ts'
import type { Account, AccountKind, Bucket, Ledger, Meter, Recent, Tally } from './ledger.ts'

const VERSION = 1
const RUNGS: Readonly<Record<Outcome, true>> = { full: true, trimmed: true, mini: true, record: true }
const METER = /^(?:full|mini|bytes-(?:hour|day)|rule-\d{1,6})$/
const REASON = /^[a-z0-9-]{1,32}$/

export function encodeLedger({ since, accounts, tallies, recent }: Ledger): string {
  return JSON.stringify({
    version: VERSION,
    since,
    accounts: [...accounts].map(([key, { kind, names, buckets }]) => [
      key,
      kind,
      names,
      [...buckets].map(([meter, { used, at, limit }]) => [meter, used, at, limit.amount, limit.seconds]),
    ]),
    tallies: [...tallies.values()].map(({ namespace, rung, reason, count, at }) => [
      namespace,
      rung,
      reason ?? null,
      count,
      at,
    ]),
    recent: recent.map(({ at, rung, reason, names }) => [at, rung, reason, names]),
  })
}

/** @returns undefined for what `encodeLedger` did not write. */
export function decodeLedger(text: string): Ledger | undefined {
  try {
    const { version, since, accounts, tallies, recent } = JSON.parse(text) as Record<string, unknown>
    if (version !== VERSION) return undefined
    const counted = rows(tallies).map(asTally)
    return {
      since: asAmount(since),
      accounts: new Map(rows(accounts).map(asAccount)),
      tallies: new Map(counted.map(entry => [tallyKey(entry), entry])),
      recent: rows(recent, RECENT_MAX).map(asRecent),
    }
  } catch {
    return undefined
  }
}

/** Whatever is not as written; it ends in `decodeLedger`. */
class Malformed extends Error {}

function rows(value: unknown, max = Infinity): unknown[][] {
  if (Array.isArray(value) && value.length <= max && value.every(Array.isArray)) return value
  throw new Malformed()
}

function asAccount([key, kind, names, buckets]: unknown[]): [key: string, Account] {
  const account = {
    kind: asOne(kind, found => (ACCOUNT_KINDS as readonly string[]).includes(found)) as AccountKind,
    names: asNames(names),
    buckets: new Map(rows(buckets, METERS_MAX).map(asBucket)),
  }
  return [asOne(key, found => found.length === KEY_LENGTH && /^[\w-]+$/.test(found)), account]
}

function asBucket([meter, used, at, amount, seconds]: unknown[]): [meter: Meter, Bucket] {
  const limit = { amount: asAmount(amount), seconds: asAmount(seconds) }
  if (limit.seconds === 0) throw new Malformed()
  const bucket = { used: asAmount(used), at: asAmount(at), limit }
  return [asOne(meter, found => METER.test(found)) as Meter, bucket]
}

function asTally([namespace, rung, reason, count, at]: unknown[]): Tally {
  return {
    namespace: asName(namespace),
    rung: asRung(rung),
    ...(reason !== null && { reason: asReason(reason) }),
    count: asAmount(count),
    at: asAmount(at),
  }
}

function asRecent([at, rung, reason, names]: unknown[]): Recent {
  return { at: asAmount(at), rung: asRung(rung), reason: asReason(reason), names: asNames(names) }
}

function asNames(value: unknown): string[] {
  if (!Array.isArray(value) || value.length > 3) throw new Malformed()
  return value.map(asName)
}

const asName = (value: unknown): string => asOne(value, ({ length }) => length <= NAME_LENGTH_MAX)
const asReason = (value: unknown): string => asOne(value, found => REASON.test(found))
const asRung = (value: unknown): Outcome => asOne(value, found => Object.hasOwn(RUNGS, found)) as Outcome

function asOne(value: unknown, isOne: (found: string) => boolean): string {
  if (typeof value === 'string' && isOne(value)) return value
  throw new Malformed()
}

/** Above 2^53 a millisecond or a byte would be lost, and nothing is. */
function asAmount(value: unknown): number {
  if (typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER) return value
  throw new Malformed()
}
