// corelift get: a stored core back into a file (or stdout), byte for byte what the kernel wrote, or nothing at all.

import { CoreliftError } from '../errors.ts'
import { CORE_OBJECT, coreKey } from '../store/keys.ts'
import type { Manifest, ManifestCore } from '../store/manifest.ts'
import type { Store } from '../store/store.ts'
import type { FrameDecompressor } from '../zstd/codec.ts'
import { readCore } from './download.ts'
import { findCrashes, isFinished, readManifest, type FoundCrash } from './find.ts'
import { PartialFile } from './partial-file.ts'

/** A crash whose core can be fetched. */
export interface Retrievable {
  readonly crash: FoundCrash
  readonly manifest: Manifest
  readonly core: ManifestCore
  /** Other crashes of the pod, older or unfinished. */
  readonly others: number
}

/** Takes a core in order. */
export interface CoreSink {
  write(bytes: Uint8Array): Promise<void>
}

function unfinished(crash: FoundCrash): CoreliftError {
  return new CoreliftError('E_CORE_ABSENT', `crash ${crash.id} is unfinished: it has no manifest`, {
    hint: 'its core is still being uploaded, or its handler died: corelift info shows what is there',
  })
}

function notKept(crash: FoundCrash, manifest: Manifest, older: readonly FoundCrash[]): CoreliftError {
  const withCore = older.find(other => isFinished(other) && other.objects?.has(CORE_OBJECT))
  const reason = manifest.reasonText ?? manifest.reason ?? 'no reason is given'
  return new CoreliftError('E_CORE_ABSENT', `the core of crash ${crash.id} was not kept: ${reason}`, {
    hint:
      withCore === undefined
        ? `corelift info ${crash.id} shows what is known`
        : `an older crash has one: corelift get ${withCore.id}`,
  })
}

/**
 * Finds the crash that ID|POD means: of a pod's, the newest that is finished.
 * @throws CoreliftError `E_CRASH_UNKNOWN`, `E_CORE_ABSENT` (with the reason), `E_MANIFEST`, `E_STORE_…`
 */
export async function findRetrievable(
  store: Store,
  target: string,
  namespace: string | undefined,
): Promise<Retrievable> {
  const crashes = await findCrashes(store, target, namespace)
  const crash = crashes.find(isFinished)
  if (crash === undefined) throw unfinished(crashes[0])
  const manifest = await readManifest(store, crash.prefix)
  if (manifest === undefined) throw unfinished(crash)
  const { core } = manifest
  if (core === null) throw notKept(crash, manifest, crashes)
  return { crash, manifest, core, others: crashes.length - 1 }
}

/** @returns `core.<comm>.<pid>.<id>`, with nothing in it that a shell or a terminal takes for its own. */
export function defaultFile({ crash, manifest }: Retrievable): string {
  const comm = (manifest.process?.comm ?? 'unknown').replaceAll(/[^A-Za-z0-9_.-]/g, '_')
  return `core.${comm}.${manifest.crash.pid}.${crash.id}`
}

/**
 * Copies a core, verified.
 * @param onProgress - Called with the uncompressed bytes so far.
 * @param interrupted - Ends the copy at once, also in the middle of a request.
 * @throws CoreliftError `E_CORE_CORRUPT`, `E_CORE_ABSENT`, `E_OUTPUT`, `E_STORE_…`; the signal's reason when interrupted.
 */
export async function copyCore(
  store: Store,
  { crash, core }: Retrievable,
  decompressor: FrameDecompressor,
  sink: CoreSink,
  onProgress: (bytes: number) => void,
  interrupted: AbortSignal,
): Promise<void> {
  let interrupt: () => void = () => undefined
  const interruption = new Promise<never>((_, reject) => {
    interrupt = () => reject(interrupted.reason)
  })
  interruption.catch(() => undefined)
  interrupted.addEventListener('abort', interrupt)
  const frames = readCore(store, coreKey(crash.prefix), core, decompressor)
  try {
    for (let bytes = 0; ;) {
      interrupted.throwIfAborted()
      const next = await Promise.race([frames.next(), interruption])
      if (next.done === true) return
      await sink.write(next.value)
      bytes += next.value.length
      onProgress(bytes)
    }
  } finally {
    interrupted.removeEventListener('abort', interrupt)
  }
}

/**
 * Fetches a core into a file, which exists only once it is whole and verified.
 * @throws CoreliftError as `copyCore`.
 */
export async function fetchCore(
  store: Store,
  found: Retrievable,
  decompressor: FrameDecompressor,
  file: { readonly path: string; readonly force: boolean },
  onProgress: (bytes: number) => void,
  interrupted: AbortSignal,
): Promise<void> {
  const partial = await PartialFile.create(file.path, file.force)
  try {
    await copyCore(store, found, decompressor, partial, onProgress, interrupted)
    await partial.finish()
  } catch (error) {
    await partial.discard()
    throw error
  }
}
