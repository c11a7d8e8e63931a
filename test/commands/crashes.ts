// Crashes as a handler leaves them in a store, for tests of what reads them back. Frames are deflate's, stored: Node
// 20 has no zstd, and what is tested here is everything around the frames.

import { createHash } from 'node:crypto'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import type { RefusalReason, Workload } from '../../src/crash.ts'
import { coreKey, crashPrefix, KIT_OBJECT, kitKey, indexKey, manifestKey } from '../../src/store/keys.ts'
import { MINI_ENTRY, TarWriter } from '../../src/kit/tar.ts'
import { placeOf } from '../../src/workload/place.ts'
import { encodeManifest, type Manifest, type ManifestCore } from '../../src/store/manifest.ts'
import type { FrameDecompressor } from '../../src/zstd/codec.ts'
import { encodeSeekTable } from '../../src/zstd/seekable.ts'
import type { MemoryStore } from '../store/memory.ts'

export const deflateFrames: FrameDecompressor = {
  frame(stored, bytes) {
    const output = inflateRawSync(stored)
    if (output.length !== bytes) throw new Error('frame of another size')
    return output
  },
}

export interface CrashSpec {
  readonly id: string
  readonly namespace?: string
  readonly pod?: string
  readonly container?: string
  readonly node?: string
  readonly signal?: number
  readonly comm?: string
  /** What the kernel wrote; null: refused. */
  readonly core?: Uint8Array | null
  /** Bytes that the kernel announced and did not write. */
  readonly missing?: number
  readonly reason?: RefusalReason
  /** In the kit. */
  readonly mini?: Uint8Array
  readonly frameBytes?: number
}

/** An object in the seekable format. */
export function seekable(content: Uint8Array, frameBytes: number): { object: Buffer; frames: number } {
  const frames: Buffer[] = []
  const sizes: { storedBytes: number; bytes: number }[] = []
  for (let at = 0; at < content.length; at += frameBytes) {
    const frame = content.subarray(at, at + frameBytes)
    const stored = deflateRawSync(frame, { level: 0 })
    frames.push(stored)
    sizes.push({ storedBytes: stored.length, bytes: frame.length })
  }
  return { object: Buffer.concat([...frames, encodeSeekTable(sizes)]), frames: frames.length }
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** A core's object, and what its manifest says about it. */
function storedCore(core: Uint8Array, missing: number, frameBytes: number): [Uint8Array, ManifestCore] {
  const { object, frames } = seekable(core, frameBytes)
  const described: ManifestCore = {
    key: 'core.zst',
    complete: missing === 0,
    bytesExpected: core.length + missing,
    bytesReceived: core.length,
    bytesStored: object.length,
    sha256Stored: sha256(object),
    codec: 'runtime',
    frames,
    frameBytes,
    segments: 3,
    threads: 2,
    machine: 'x86-64',
  }
  return [object, described]
}

export function podWorkload(spec: CrashSpec): Workload {
  return {
    kind: 'pod',
    namespace: spec.namespace ?? 'shop',
    pod: spec.pod ?? 'cart-7d9f-x2x4p',
    container: spec.container ?? 'app',
    containerId: 'c'.repeat(64),
    runtime: 'containerd',
    sources: [{ source: 'cgroup', answered: true, milliseconds: 1 }],
  }
}

export function manifestOf(spec: CrashSpec, core: ManifestCore | null): Manifest {
  const [, year, month, day, hour, minute, second] =
    /(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z/.exec(spec.id) ?? []
  return {
    version: 1,
    id: spec.id,
    time: `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`,
    node: spec.node ?? 'node-1',
    crash: {
      pid: 4242,
      tid: 4243,
      signal: spec.signal ?? 11,
      signalName: spec.signal === 6 ? 'SIGABRT' : 'SIGSEGV',
      coreRlimitBytes: 'unlimited',
      dumpable: 1,
      uid: 1000,
      gid: 1000,
      hostname: 'cart-7d9f-x2x4p',
      pidfd: 'verified',
    },
    process: {
      comm: spec.comm ?? 'cart',
      exe: '/usr/bin/cart',
      cmdline: ['cart', '--serve'],
      cwd: '/',
      root: '/',
      cgroup: '0::/kubepods.slice',
      ppid: 1,
    },
    workload: podWorkload(spec),
    outcome: core === null ? 'record' : 'full',
    reason: core === null ? (spec.reason ?? 'slots') : null,
    reasonText: core === null ? 'no slot was free within 10 s' : null,
    core,
    size: { bytesExpected: core?.bytesExpected ?? 8_000_000 },
    kit: null,
    durations: { headRead: 3.5, stored: 812.2 },
    warnings: [],
    handler: { version: '0.1.0' },
  }
}

/** A kit with a mini core. */
async function kitOf(mini: Uint8Array): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  const tar = new TarWriter(new Date(0), async bytes => void chunks.push(bytes.slice()))
  await tar.add('proc/comm', 5, [Buffer.from('cart\n')])
  await tar.add(MINI_ENTRY, mini.length, [mini])
  await tar.finish()
  return seekable(Buffer.concat(chunks), 16 * 1024).object
}

/** Writes what a finished crash consists of: core, manifest, index entry. @returns Its prefix. */
export async function putCrash(store: MemoryStore, spec: CrashSpec): Promise<string> {
  const { core = new TextEncoder().encode('core') } = spec
  const place = placeOf(podWorkload(spec), 'node-1')
  const prefix = crashPrefix({ ...place, id: spec.id })
  let described: ManifestCore | null = null
  if (core !== null) {
    const [object, description] = storedCore(core, spec.missing ?? 0, spec.frameBytes ?? 64 * 1024)
    described = description
    await store.put(coreKey(prefix), object)
  }
  const kit = spec.mini && (await kitOf(spec.mini))
  if (kit) await store.put(kitKey(prefix), kit)
  const manifest = {
    ...manifestOf(spec, described),
    ...(spec.mini && {
      mini: { entry: MINI_ENTRY, bytes: spec.mini.length, bytesDropped: 1, bytesUnreadable: 0 },
    }),
    ...(kit && { kit: { key: KIT_OBJECT, bytes: kit.length, sha256Stored: sha256(kit) } as const }),
  }
  await store.put(manifestKey(prefix), encodeManifest(manifest))
  const outcome = described === null ? 'record' : described.complete ? 'full' : 'incomplete'
  const { signal = 11, comm = 'cart' } = spec
  await store.put(indexKey({ ...place, id: spec.id, signal, comm, outcome }), new Uint8Array(0))
  return prefix
}
