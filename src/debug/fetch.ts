// A crash's core and the files of its sysroot from the store into the cache, several at once. What is there already is not
// asked for. A file that cannot be had is told, and done without: frames of other files are still worth a look.
import type { StoredCore } from '../commands/stored-core.ts'
import { mapConcurrent } from '../commands/concurrent.ts'
import { copyChunks } from '../commands/get.ts'
import { CoreliftError } from '../errors.ts'
import type { Store } from '../store/store.ts'
import type { FrameDecompressor } from '../zstd/codec.ts'
import { coreName, debugFileName, type Cache, type CacheName } from './cache.ts'
import { readDebugFile } from './debug-file.ts'
import type { PlannedFile } from './sysroot-plan.ts'

/** Most are small: a request's latency is what they cost. */
const FILES_IN_FLIGHT_MAX = 8

export interface Fetching {
  readonly store: Store
  readonly cache: Cache
  readonly decompressor: FrameDecompressor
  readonly interrupted: AbortSignal
  /** Bytes more that were written, of the core and of files. */
  readonly onBytes: (bytes: number) => void
}

export interface FetchedFile {
  readonly file: PlannedFile
  readonly state: 'cached' | 'fetched' | 'absent' | 'corrupt'
  /** Why it is not to be had. */
  readonly detail?: string
}

/**
 * Has kept what is there of a core and its files.
 * @returns Bytes of the others, as far as they are known.
 */
export async function bytesToFetch(
  cache: Cache,
  id: string,
  core: StoredCore,
  files: readonly PlannedFile[],
): Promise<number> {
  const bytesOf = async (name: CacheName | undefined, bytes: number | undefined): Promise<number> =>
    name === undefined || (await cache.take(name, bytes)) ? 0 : (bytes ?? 0)
  const each = files.map(({ key, bytes }) => bytesOf(debugFileName(key), bytes))
  const all = await Promise.all([bytesOf(coreName(id, core.kind), core.bytes), ...each])
  return all.reduce((sum, bytes) => sum + bytes, 0)
}

export interface Fetched {
  readonly core: CacheName
  /** One for each planned file, in their order. */
  readonly files: readonly FetchedFile[]
}

/**
 * Fetches a core and files, as far as the cache does not have them.
 * @param id - The crash's.
 * @throws CoreliftError `E_CORE_CORRUPT`, `E_CORE_ABSENT` of the core, `E_STORE_…`, `E_OUTPUT`; the signal's reason when
 *   interrupted. Nothing is being written any more then.
 */
export async function fetchAll(
  fetching: Fetching,
  id: string,
  core: StoredCore,
  files: readonly PlannedFile[],
): Promise<Fetched> {
  const failed = new AbortController()
  const interrupted = AbortSignal.any([fetching.interrupted, failed.signal])
  const under: Promise<unknown>[] = []
  /** The first failure ends the others, which clean up. */
  const guard = <Result>(result: Promise<Result>): Promise<Result> => {
    under.push(result)
    result.catch((error: unknown) => failed.abort(error))
    return result
  }
  const all = { ...fetching, interrupted }
  const fetched: FetchedFile[] = []
  try {
    const coreFetched = guard(fetchCore(all, id, core))
    const each = mapConcurrent(files, FILES_IN_FLIGHT_MAX, file => guard(fetchFile(all, file)))
    for await (const file of each) fetched.push(file)
    return { core: await coreFetched, files: fetched }
  } catch (error) {
    await Promise.allSettled(under)
    throw failed.signal.reason ?? error
  }
}

async function fetchFile(fetching: Fetching, file: PlannedFile): Promise<FetchedFile> {
  const { store, cache, decompressor } = fetching
  const name = debugFileName(file.key)
  if (name === undefined) return { file, state: 'absent', detail: 'its key is none' }
  if (await cache.take(name, file.bytes)) return { file, state: 'cached' }
  try {
    await fetchInto(fetching, name, readDebugFile(store, file, decompressor))
    return { file, state: 'fetched' }
  } catch (error) {
    if (!(error instanceof CoreliftError)) throw error
    if (error.code === 'E_CORE_ABSENT' || error.code === 'E_STORE_NO_OBJECT')
      return { file, state: 'absent', detail: error.message }
    if (error.code === 'E_CORE_CORRUPT') return { file, state: 'corrupt', detail: error.message }
    throw error
  }
}

async function fetchCore(fetching: Fetching, id: string, core: StoredCore): Promise<CacheName> {
  const name = coreName(id, core.kind)
  if (await fetching.cache.take(name, core.bytes)) return name
  await fetchInto(fetching, name, core.read(fetching.decompressor))
  return name
}

async function fetchInto(
  { cache, interrupted, onBytes }: Fetching,
  name: CacheName,
  chunks: AsyncGenerator<Uint8Array>,
): Promise<void> {
  let before = 0
  const onProgress = (bytes: number): void => {
    onBytes(bytes - before)
    before = bytes
  }
  await cache.put(name, sink => copyChunks(chunks, sink, onProgress, interrupted))
}
