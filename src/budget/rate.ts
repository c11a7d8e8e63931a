// Rates: a token bucket for each container and rule. It holds as many tokens as the rate has cores and is refilled
// evenly. A lost budget must not lose a core: where the state cannot be used, everybody has a token.

import type { Os } from '../os/os.ts'
import { printable } from '../printable.ts'
import type { Rate } from '../units.ts'
import { bucketKey, changeBuckets } from './buckets.ts'
import type { Bucket, Buckets, BucketsOptions } from './buckets.ts'

export interface TokenRequest extends BucketsOptions {
  /** Whose tokens: any text. */
  readonly name: string
  readonly rate: Rate
  /** Milliseconds since the epoch. */
  readonly now: number
}

export type TokenAnswer = (
  | { readonly granted: true }
  | {
      readonly granted: false
      /** Until there is one, rounded up. */
      readonly waitSeconds: number
    }
) & {
  /** Why the rate may not have been kept to. */
  readonly warning?: string
}

/** Refilling adds fractions, and five fifths of a token are one; of seconds, nobody sees a millionth. */
const ROUNDING = 1e-6

/** Takes a token, where there is one. Never throws. */
export async function takeToken(os: Pick<Os, 'tryLock'>, request: TokenRequest): Promise<TokenAnswer> {
  try {
    const { result, warning } = await changeBuckets(os, request, buckets => takeFrom(buckets, request))
    return warning === undefined ? result : { ...result, warning }
  } catch (error) {
    return { granted: true, warning: `no rate was kept to: ${printable((error as Error).message)}` }
  }
}

/** Gives back a token that was taken and not used. Never throws: what cannot be given back comes with time. */
export async function returnToken(os: Pick<Os, 'tryLock'>, request: TokenRequest): Promise<void> {
  const key = bucketKey(request.name)
  try {
    await changeBuckets(os, request, buckets => {
      const bucket = buckets.get(key)
      if (bucket) buckets.set(key, { ...bucket, used: Math.max(0, bucket.used - 1) })
    })
  } catch {
    // As it says.
  }
}

function takeFrom(buckets: Buckets, { name, rate, now }: TokenRequest): TokenAnswer {
  const key = bucketKey(name)
  const used = usedAt(buckets.get(key), rate, now)
  const excess = used + 1 - rate.cores
  const granted = excess <= ROUNDING
  // Also when refused: its place in the order, and a time that is not in the future of a clock that was put back.
  buckets.delete(key)
  buckets.set(key, { used: granted ? used + 1 : used, at: now })
  return granted
    ? { granted }
    : { granted, waitSeconds: Math.ceil((excess * rate.seconds) / rate.cores - ROUNDING) }
}

/** A clock that was put back gives nothing; a rate that was lowered is not overdrawn. */
function usedAt(bucket: Bucket | undefined, { cores, seconds }: Rate, now: number): number {
  if (bucket === undefined) return 0
  const refilled = (Math.max(0, now - bucket.at) / 1000) * (cores / seconds)
  return Math.min(cores, Math.max(0, bucket.used - refilled))
}
