// corelift get: a stored core back into a file (or stdout), byte for byte what the kernel wrote, or nothing at all.

import type { Manifest } from '../store/manifest.ts'
import type { Store } from '../store/store.ts'
import type { FrameDecompressor } from '../zstd/codec.ts'
import { findCrashes, isFinished, readManifest, type FoundCrash } from './find.ts'
import { commWord } from './file-word.ts'
import { PartialFile } from './partial-file.ts'
import { chooseCore, noSuchCore, type StoredCore, type WantedCore } from './stored-core.ts'

/** A crash whose core can be fetched. */
export interface Retrievable {
  readonly crash: FoundCrash
  /** undefined: the crash is unfinished. */
  readonly manifest: Manifest | undefined
  readonly core: StoredCore
  /** Other crashes of the pod, older or unfinished. */
  readonly others: number
}

/** Takes a core in order. */
export interface CoreSink {
  write(bytes: Uint8Array): Promise<void>
}

/**
 * Finds the crash that ID|POD means: of a pod's, the newest that is finished, else the newest.
 * @throws CoreliftError `E_CRASH_UNKNOWN`, `E_CORE_ABSENT` (with the reason), `E_MANIFEST`, `E_STORE_…`
 */
export async function findRetrievable(
  store: Store,
  target: string,
  namespace: string | undefined,
  wanted: WantedCore = 'best',
): Promise<Retrievable> {
  const crashes = await findCrashes(store, target, namespace)
  const crash = newestFinished(crashes)
  const manifest = await readManifest(store, crash.prefix)
  const core = chooseCore(store, crash, manifest, wanted)
  if (core === undefined) throw noSuchCore(crash, manifest, wanted, crashes)
  return { crash, manifest, core, others: crashes.length - 1 }
}

/** @param crashes - Of a pod, newest first. */
export function newestFinished(crashes: readonly [FoundCrash, ...FoundCrash[]]): FoundCrash {
  return crashes.find(isFinished) ?? crashes[0]
}

/** @returns `core.<comm>.<pid>.<id>`, with nothing in it that a shell or a terminal takes for its own; `mini.…` likewise. */
export function defaultFile({ crash, manifest, core }: Retrievable): string {
  const kind = core.kind === 'mini' ? 'mini' : 'core'
  if (manifest === undefined) return `${kind}.${crash.id}`
  return `${kind}.${commWord(manifest.process)}.${manifest.crash.pid}.${crash.id}`
}

/**
 * Copies a core, verified.
 * @param onProgress - Called with the uncompressed bytes so far.
 * @param interrupted - Ends the copy at once, also in the middle of a request.
 * @throws CoreliftError `E_CORE_CORRUPT`, `E_CORE_ABSENT`, `E_OUTPUT`, `E_STORE_…`; the signal's reason when interrupted.
 */
export async function copyCore(
  { core }: Retrievable,
  decompressor: FrameDecompressor,
  sink: CoreSink,
  onProgress: (bytes: number) => void,
  interrupted: AbortSignal,
): Promise<void> {
  await copyChunks(core.read(decompressor), sink, onProgress, interrupted)
}

/**
 * Copies what is read from the store.
 * @param onProgress - Called with the bytes so far.
 * @param interrupted - Ends the copy at once, also in the middle of a request.
 * @throws What reading and writing do; the signal's reason when interrupted.
 */
export async function copyChunks(
  chunks: AsyncGenerator<Uint8Array>,
  sink: CoreSink,
  onProgress: (bytes: number) => void,
  interrupted: AbortSignal,
): Promise<void> {
  for (let bytes = 0; ;) {
    interrupted.throwIfAborted()
    const next = await unlessInterrupted(chunks.next(), interrupted)
    if (next.done === true) return
    await sink.write(next.value)
    bytes += next.value.length
    onProgress(bytes)
  }
}

/**
 * Not by Promise.race with one promise for all chunks: that would keep each chunk for as long as it is pending itself, a
 * whole core in memory.
 */
function unlessInterrupted<T>(work: Promise<T>, interrupted: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const interrupt = () => reject(interrupted.reason)
    interrupted.addEventListener('abort', interrupt, { once: true })
    work.then(resolve, reject).finally(() => interrupted.removeEventListener('abort', interrupt))
  })
}

/**
 * Fetches a core into a file, which exists only once it is whole and verified.
 * @throws CoreliftError as `copyCore`.
 */
export async function fetchCore(
  found: Retrievable,
  decompressor: FrameDecompressor,
  file: { readonly path: string; readonly force: boolean },
  onProgress: (bytes: number) => void,
  interrupted: AbortSignal,
): Promise<void> {
  const partial = await PartialFile.create(file.path, file.force)
  try {
    await copyCore(found, decompressor, partial, onProgress, interrupted)
    await partial.finish()
  } catch (error) {
    await partial.discard()
    throw error
  }
}
