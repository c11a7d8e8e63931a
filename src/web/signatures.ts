// Which signatures the newest crashes have: their manifests say, so only of so many, and what was read is kept.
import { mapConcurrent } from '../commands/concurrent.ts'
import { readManifest } from '../commands/find.ts'
import { CoreliftError } from '../errors.ts'
import type { IndexedCrash } from '../store/keys.ts'
import type { Store } from '../store/store.ts'
import type { Lru } from './lru.ts'

const GETS_IN_FLIGHT_MAX = 32
/** A handler's are far below. */
const SIGNATURE_LENGTH_MAX = 1000

/** By a crash's prefix: a text of bounded length, and none of the manifest beside it. Empty: it has none. */
export type SignatureCache = Lru<string>

export interface SignatureCount {
  readonly signature: string
  count: number
  readonly newest: IndexedCrash
}

/** @returns Most frequent first; crashes without a signature are in none. @throws CoreliftError `E_STORE_…` */
export async function countSignatures(
  store: Store,
  newestFirst: readonly IndexedCrash[],
  cache: SignatureCache,
): Promise<SignatureCount[]> {
  const counts = new Map<string, SignatureCount>()
  const read = mapConcurrent(newestFirst, GETS_IN_FLIGHT_MAX, async crash => ({
    crash,
    signature: cache.get(crash.prefix) ?? (await readSignature(store, crash, cache)),
  }))
  for await (const { crash, signature } of read) {
    const known = counts.get(signature)
    if (known) known.count++
    else if (signature !== '') counts.set(signature, { signature, count: 1, newest: crash })
  }
  return [...counts.values()].toSorted((left, right) => right.count - left.count)
}

async function readSignature(store: Store, { prefix }: IndexedCrash, cache: SignatureCache): Promise<string> {
  try {
    const manifest = await readManifest(store, prefix)
    const signature = manifest?.signature?.slice(0, SIGNATURE_LENGTH_MAX) ?? ''
    cache.set(prefix, signature)
    return signature
  } catch (error) {
    // One that somebody damaged must not hide the others.
    if (error instanceof CoreliftError && error.code === 'E_MANIFEST') return ''
    throw error
  }
}
