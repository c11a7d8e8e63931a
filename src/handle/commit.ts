// The end of a crash's path: the manifest into the store, which makes the crash exist; or, where the store did not take
// everything, all that is left to do into the spool.
import { CoreliftError } from '../errors.ts'
import { finishEntry } from '../spool/finish.ts'
import { encodeManifest } from '../store/manifest.ts'
import type { Store } from '../store/store.ts'
import type { Beginning } from './begin.ts'
import type { Hold } from './hold.ts'
import { type Answer, inTime } from '../in-time.ts'
import { indexKeyOf, noteOf } from './notes.ts'
import type { Outlets } from './outlets.ts'
import { type CrashRecord, manifestOf } from './record.ts'

/** What became of a crash's objects. */
export type Committed =
  | { readonly state: 'stored' }
  /** Found by its pod only: the index entry is missing. */
  | { readonly state: 'unindexed'; readonly why: string }
  /** A sweep sends the rest. */
  | { readonly state: 'spooled'; readonly why: string }

/** A store that has just taken everything else does not need so long. */
const MANIFEST_MS_MAX = 10_000

/** @throws CoreliftError `E_STORE_…` where neither store nor spool took the record: the crash is lost. */
export async function commit(
  record: CrashRecord,
  { store, hold }: Pick<Beginning, 'store' | 'hold'>,
  outlets: Outlets,
): Promise<Committed> {
  const { journal, keys } = outlets
  const rest = (why: string) => spool(record, store, hold, outlets, why)
  const { why } = outlets.store
  if (why !== undefined) return await rest(why)
  // Should it be killed from here on, the sweep must not take the draft for what it knew.
  if (journal.isBegun) await journal.seal(noteOf(record, keys, 'sealed', { why: 'the handler was killed' }))
  const manifest = encodeManifest(manifestOf(record))
  const sending = store.put(keys.manifest, manifest, { contentType: 'application/json' })
  const answer = await inTime(sending, { ms: MANIFEST_MS_MAX })
  if (answer.state !== 'done')
    return await rest(reasonOf(answer)).catch(async () => {
      await sending
      return await index(record, store)
    })
  const indexed = await index(record, store)
  if (indexed.state === 'unindexed' && journal.isUsable) return await rest(indexed.why)
  await journal.end()
  return indexed
}

async function index(record: CrashRecord, store: Store): Promise<Exclude<Committed, { state: 'spooled' }>> {
  try {
    await store.put(indexKeyOf(record), new Uint8Array(0))
    return { state: 'stored' }
  } catch (error) {
    return { state: 'unindexed', why: (error as Error).message }
  }
}

async function spool(
  record: CrashRecord,
  store: Store,
  hold: Hold,
  { journal, keys, store: { core, isDown } }: Outlets,
  why: string,
): Promise<Committed> {
  if (!(await journal.seal(noteOf(record, keys, 'sealed', { why, core }))))
    throw new CoreliftError('E_SPOOL', `${why}; ${journal.warnings.join('; ')}`, {
      hint: 'see that budget.state_dir, or spool.dir, can be written to',
    })
  const spooled: Committed = { state: 'spooled', why }
  const { entry } = journal
  // Where the store only was slower than the dump, what is left goes at once; a sweep goes on where this ends.
  if (isDown || entry === undefined) return spooled
  const finishing = finishEntry(entry, store, { now: () => new Date(), by: 'handler' })
  const answer = await inTime(finishing, { over: hold.whenOver })
  return answer.state === 'done' && answer.value.state === 'done' ? { state: 'stored' } : spooled
}

function reasonOf(answer: Answer<unknown>): string {
  if (answer.state !== 'failed') return 'the store did not answer in time'
  const { error } = answer
  return error instanceof CoreliftError ? `${error.message} [${error.code}]` : String(error)
}
