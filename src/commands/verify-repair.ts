// corelift verify --repair: finishes crashes whose handler was killed, with what of them is in the store, and removes what
// is left over. Damaged objects stay as they are: what is in them may be of use to somebody.
import { createHash } from 'node:crypto'
import { scanHead } from '../core/head.ts'
import { CoreliftError } from '../errors.ts'
import { MINI_ENTRY, readEntry } from '../kit/tar.ts'
import { CORE_OBJECT, coreKey, idTime, indexKey, KIT_OBJECT, kitKey, manifestKey } from '../store/keys.ts'
import {
  bareManifest,
  encodeManifest,
  type Manifest,
  type ManifestCore,
  type ManifestKit,
} from '../store/manifest.ts'
import type { Store } from '../store/store.ts'
import type { FrameDecompressor } from '../zstd/codec.ts'
import { NO_CONTAINER, placeOf } from '../workload/place.ts'
import { readObject } from './download.ts'
import type { FoundCrash } from './find.ts'
import type { Finding, Repair } from './verify.ts'

export interface RepairDeps {
  readonly version: string
  readonly decompressor: () => FrameDecompressor
}

/** @returns What was done, in words; an error's where it was not. */
export async function repair(
  store: Store,
  { repair }: Finding,
  deps: RepairDeps,
): Promise<string | undefined> {
  if (repair === undefined) return undefined
  try {
    return await mend(store, repair, deps)
  } catch (error) {
    if (error instanceof CoreliftError) return `not repaired: ${error.message}`
    throw error
  }
}

async function mend(store: Store, repair: Repair, deps: RepairDeps): Promise<string> {
  switch (repair.kind) {
    case 'remove':
      await store.remove(repair.key)
      return 'removed'
    case 'abort':
      await store.resumeUpload(repair.upload.key, repair.upload.id).abort()
      return 'aborted'
    case 'index':
      await store.put(indexKeyOf(repair.crash, repair.manifest), new Uint8Array(0))
      return 'entered into the index'
    case 'adopt':
      return await adopt(store, repair.crash, repair.manifest, deps)
  }
}

/** Writes the manifest that its handler did not write, or did not know of the core for. */
async function adopt(
  store: Store,
  crash: FoundCrash,
  known: Manifest | undefined,
  deps: RepairDeps,
): Promise<string> {
  const { prefix, objects } = crash
  const before = known ?? emptyManifest(crash, deps.version)
  const found = objects?.has(KIT_OBJECT) && !known ? await kitOf(store, kitKey(prefix), deps) : undefined
  const kit = known?.kit ?? found?.kit ?? null
  const core = objects?.has(CORE_OBJECT) ? await coreOf(store, coreKey(prefix), deps) : undefined
  const mini = known?.mini ?? (found && found.miniBytes > 0 ? miniOf(found.miniBytes) : null)
  const manifest: Manifest = {
    ...before,
    outcome: core ? 'full' : mini ? 'mini' : 'record',
    ...(core && { reason: core.complete ? null : 'killed', reasonText: null, core }),
    mini,
    kit,
    warnings: [...before.warnings, 'corelift verify --repair wrote this, from the objects in the store'],
  }
  await store.put(manifestKey(prefix), encodeManifest(manifest), {
    contentType: 'application/json',
  })
  const index = indexKeyOf(crash, manifest)
  await store.put(index, new Uint8Array(0))
  // Two entries of one id would make it ambiguous.
  if (known && indexKeyOf(crash, known) !== index) await store.remove(indexKeyOf(crash, known))
  return `finished: ${manifest.outcome}`
}

/** All that a key tells. */
function emptyManifest({ id, namespace, pod }: FoundCrash, version: string): Manifest {
  const reasonText = 'its handler was killed before it wrote the record'
  const time = (idTime(id) ?? new Date(0)).toISOString()
  const whose = `filed under ${namespace}/${pod}; ${reasonText}`
  return bareManifest({ id, time, node: '', version, reason: 'killed', reasonText, whose })
}

const miniOf = (bytes: number) => ({ entry: MINI_ENTRY, bytes, bytesDropped: 0, bytesUnreadable: 0 }) as const

async function kitOf(
  store: Store,
  key: string,
  { decompressor }: RepairDeps,
): Promise<{ kit: ManifestKit; miniBytes: number }> {
  const hash = createHash('sha256')
  let bytes = 0
  const onStored = (stored: Uint8Array) => {
    hash.update(stored)
    bytes += stored.length
  }
  let miniBytes = 0
  const archive = readObject(store, key, {}, decompressor(), onStored)
  for await (const chunk of readEntry(archive, MINI_ENTRY)) miniBytes += chunk.length
  return { kit: { key: KIT_OBJECT, bytes, sha256Stored: hash.digest('hex') }, miniBytes }
}

/** The head of a core says how large it should be; where it is shorter, it is incomplete. */
async function coreOf(
  store: Store,
  key: string,
  { decompressor }: RepairDeps,
): Promise<ManifestCore | undefined> {
  const hash = createHash('sha256')
  let [bytesStored, bytesReceived, frames, frameBytes] = [0, 0, 0, 0]
  let begun = new Uint8Array(0)
  let scan = scanHead(begun)
  const onStored = (stored: Uint8Array) => {
    hash.update(stored)
    bytesStored += stored.length
  }
  for await (const chunk of readObject(store, key, {}, decompressor(), onStored)) {
    frames++
    frameBytes = Math.max(frameBytes, chunk.length)
    bytesReceived += chunk.length
    if (scan.state !== 'need') continue
    begun = Buffer.concat([begun, chunk])
    scan = scanHead(begun)
  }
  if (scan.state !== 'core') return undefined
  const { bytesExpected, segments, threads, machine } = scan.head
  return {
    key: CORE_OBJECT,
    complete: bytesReceived >= bytesExpected,
    bytesExpected,
    bytesReceived,
    bytesStored,
    sha256Stored: hash.digest('hex'),
    codec: frameBytes > RUNTIME_FRAME_BYTES ? 'zstd-napi' : 'runtime',
    ...{ frames, frameBytes, segments, threads, machine: machine.name },
  }
}

/** zstd/codec.ts: what the runtime's own zstd makes frames of. */
const RUNTIME_FRAME_BYTES = 4 * 1024 * 1024

function indexKeyOf({ id, namespace, pod }: FoundCrash, manifest: Manifest): string {
  const { process, crash, core, workload, node, outcome } = manifest
  const raw = process?.raw?.['comm']
  const place = placeOf(workload, node)
  return indexKey({
    id,
    namespace,
    pod,
    container: place.namespace === namespace ? place.container : NO_CONTAINER,
    signal: crash.signal,
    comm: raw === undefined ? (process?.comm ?? '') : Buffer.from(raw, 'base64'),
    outcome: core?.complete === false ? 'incomplete' : outcome,
  })
}
