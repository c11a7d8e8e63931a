// A crash's objects as downloads: as they are stored, or decompressed; verified, and never silently short.
import { createHash } from 'node:crypto'
import { mapConcurrent } from '../commands/concurrent.ts'
import { defaultFile } from '../commands/get.ts'
import { chooseCore, noSuchCore, type StoredCore, type WantedCore } from '../commands/stored-core.ts'
import { CoreliftError } from '../errors.ts'
import { CORE_OBJECT, coreKey, KIT_OBJECT, kitKey, MANIFEST_OBJECT, manifestKey } from '../store/keys.ts'
import type { Manifest } from '../store/manifest.ts'
import type { Store } from '../store/store.ts'
import type { FrameDecompressor } from '../zstd/codec.ts'
import type { CrashRecord } from './found.ts'
import type { Gate } from './gate.ts'
import type { Reply } from './reply.ts'

/** What can be downloaded, as the last part of a path. */
export const DOWNLOADS = ['core', CORE_OBJECT, 'mini', KIT_OBJECT, MANIFEST_OBJECT] as const
export type Download = (typeof DOWNLOADS)[number]

/** A request of this size hides a store's latency. */
const RANGE_BYTES = 8 * 1024 * 1024
const RANGES_IN_FLIGHT_MAX = 2

export interface DownloadDeps {
  readonly store: Store
  readonly decompressor: () => FrameDecompressor
  /** For what holds frames in memory. */
  readonly gate: Gate
  /** Collects garbage, at once. */
  readonly collect: () => void
}

/** Bun collects by its own heap, beside which the bytes of buffers lie: a download of 300 MB took 600 MB. */
const COLLECT_BYTES = 32 * 1024 * 1024

/** @throws CoreliftError `E_CORE_ABSENT`, `E_STORE_…` */
export async function download(deps: DownloadDeps, record: CrashRecord, wanted: Download): Promise<Reply> {
  switch (wanted) {
    case 'core':
      return decompressed(deps, record, 'full')
    case 'mini':
      return decompressed(deps, record, 'mini')
    case CORE_OBJECT:
      return await storedCoreReply(deps, record)
    case KIT_OBJECT:
      return await storedReply(deps, kitKey(record.crash.prefix), {
        file: `kit.${record.crash.id}.tar.zst`,
        type: 'application/zstd',
        sha256: record.manifest?.kit?.sha256Stored,
      })
    case MANIFEST_OBJECT:
      return await storedReply(deps, manifestKey(record.crash.prefix), {
        file: `manifest.${record.crash.id}.json`,
        type: 'application/json',
      })
  }
}

function decompressed(deps: DownloadDeps, record: CrashRecord, wanted: WantedCore): Reply {
  const { store, decompressor } = deps
  const core = wantedCore(store, record, wanted)
  const body = paced(deps, lateByOne(core.read(decompressor())))
  return attachment(fileOf(record, core), 'application/octet-stream', core.bytes, body)
}

async function storedCoreReply(deps: DownloadDeps, record: CrashRecord): Promise<Reply> {
  const core = wantedCore(deps.store, record, 'full')
  const file = `${fileOf(record, core)}.zst`
  const sha256 = record.manifest?.core?.sha256Stored
  return await storedReply(deps, coreKey(record.crash.prefix), { file, type: 'application/zstd', sha256 })
}

function wantedCore(store: Store, { crash, manifest }: CrashRecord, wanted: WantedCore): StoredCore {
  const core = chooseCore(store, crash, manifest, wanted)
  if (core === undefined) throw noSuchCore(crash, manifest, wanted, [])
  return core
}

const fileOf = ({ crash, manifest }: CrashRecord, core: StoredCore): string =>
  defaultFile({ crash, manifest, core, others: 0 })

/** @param file - Has no character that a header, a shell or a file system takes for its own. */
export function attachment(
  file: string,
  type: string,
  bytes: number | undefined,
  body: Reply['body'],
): Reply {
  const headers = {
    'Content-Type': type,
    'Content-Disposition': `attachment; filename="${file.replaceAll(/[^\w.-]/g, '_')}"`,
    ...(bytes !== undefined && { 'Content-Length': String(bytes) }),
  }
  return { status: 200, headers, body }
}

interface StoredAbout {
  readonly file: string
  readonly type: string
  readonly sha256?: string | undefined
}

async function storedReply(deps: DownloadDeps, key: string, about: StoredAbout): Promise<Reply> {
  const { store } = deps
  const bytes = (await store.stat(key))?.bytes
  if (bytes === undefined)
    throw new CoreliftError('E_CORE_ABSENT', `${key} is not in ${store.url}`, {
      hint: 'the store did not take it, or a lifecycle rule or somebody deleted it',
    })
  const body = paced(deps, lateByOne(storedBytes(store, key, bytes, about.sha256)))
  return attachment(about.file, about.type, bytes, body)
}

/**
 * An object as it is stored, in order.
 * @param sha256 - Of all of it, where it is known.
 * @throws CoreliftError `E_CORE_CORRUPT` when it is another, or became shorter meanwhile; `E_STORE_…`
 */
export async function* storedBytes(
  store: Store,
  key: string,
  bytes: number,
  sha256?: string,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  const offsets = Array.from({ length: Math.ceil(bytes / RANGE_BYTES) }, (_, index) => index * RANGE_BYTES)
  const ranges = mapConcurrent(offsets, RANGES_IN_FLIGHT_MAX, async offset => {
    const length = Math.min(RANGE_BYTES, bytes - offset)
    const range = await store.getRange(key, offset, length)
    if (range.length === length) return range
    throw new CoreliftError('E_CORE_CORRUPT', `${key} became shorter while it was read`)
  })
  for await (const range of ranges) {
    hash.update(range)
    yield range
  }
  if (sha256 === undefined || hash.digest('hex') === sha256) return
  throw new CoreliftError('E_CORE_CORRUPT', `${key}: its sha256 is not what its manifest says`)
}

/** @returns A body that waits for its turn, and whose garbage does not grow with it. */
export async function* paced(
  { gate, collect }: DownloadDeps,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of gate.through(chunks)) {
    yield chunk
    bytes += chunk.length
    if (bytes < COLLECT_BYTES) continue
    bytes = 0
    collect()
  }
}

/** Holds each chunk back until the next is there: what is wrong at the end is noticed before the last byte is sent. */
export async function* lateByOne(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held: Uint8Array | undefined
  for await (const chunk of chunks) {
    if (held !== undefined) yield held
    held = chunk
  }
  if (held !== undefined) yield held
}

/** @returns Which downloads a crash has. */
export function downloadsOf(store: Store, { crash, manifest }: CrashRecord): Download[] {
  const has = (wanted: WantedCore) => chooseCore(store, crash, manifest, wanted) !== undefined
  const objects: Record<Download, boolean> = {
    core: has('full'),
    [CORE_OBJECT]: has('full'),
    mini: has('mini'),
    [KIT_OBJECT]: hasKit(manifest, crash.objects),
    [MANIFEST_OBJECT]: manifest !== undefined,
  }
  return DOWNLOADS.filter(name => objects[name])
}

const hasKit = (manifest: Manifest | undefined, objects: ReadonlyMap<string, number> | undefined): boolean =>
  manifest === undefined ? objects?.has(KIT_OBJECT) === true : manifest.kit !== null
