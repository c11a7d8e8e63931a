// Which of a crash's cores is meant, and its bytes: the full or trimmed one is an object of its own, the mini core an
// entry of the kit, which is there before the others and may be all that a handler left that was killed.

import { CoreliftError } from '../errors.ts'
import { MINI_ENTRY, readEntry } from '../kit/tar.ts'
import { CORE_OBJECT, KIT_OBJECT, coreKey, kitKey } from '../store/keys.ts'
import type { Manifest } from '../store/manifest.ts'
import type { Store } from '../store/store.ts'
import type { FrameDecompressor } from '../zstd/codec.ts'
import { readObject } from './download.ts'
import { isFinished, type FoundCrash } from './find.ts'

/** `best`: the full core, or the trimmed one, where it is complete; else the mini core; else what there is. */
export type WantedCore = 'best' | 'full' | 'mini'

/** A core that can be fetched. */
export interface StoredCore {
  readonly kind: 'full' | 'trimmed' | 'mini'
  /** Uncompressed; undefined for the mini core of a crash without a manifest. */
  readonly bytes: number | undefined
  /** Of what was to be in it. */
  readonly bytesMissing: number
  /** Of what the full core has, and this one was not to have. */
  readonly bytesDropped: number
  /** Why it is not the full one. */
  readonly reason: string | undefined
  /**
   * Reads it, verified, in order.
   * @throws CoreliftError `E_CORE_CORRUPT`, `E_CORE_ABSENT`, `E_STORE_…`
   */
  read(decompressor: FrameDecompressor): AsyncGenerator<Uint8Array>
}

/**
 * Chooses.
 * @param manifest - undefined for a crash that is unfinished.
 * @returns undefined where there is no such core.
 */
export function chooseCore(
  store: Store,
  crash: FoundCrash,
  manifest: Manifest | undefined,
  wanted: WantedCore,
): StoredCore | undefined {
  const large = manifest && largeCore(store, crash, manifest)
  if (wanted === 'full') return large
  const mini = manifest === undefined ? unfinishedMini(store, crash) : miniCore(store, crash, manifest)
  if (wanted === 'mini') return mini
  // What is cut at its end has lost the stacks, which the mini core has.
  return large?.bytesMissing === 0 ? large : (mini ?? large)
}

function largeCore(store: Store, { prefix }: FoundCrash, manifest: Manifest): StoredCore | undefined {
  const { core, outcome, reasonText, reason } = manifest
  if (core === null) return undefined
  const { bytesReceived: bytes, sha256Stored } = core
  return {
    kind: outcome === 'trimmed' ? 'trimmed' : 'full',
    bytes,
    bytesMissing: core.complete ? 0 : core.bytesExpected - bytes,
    bytesDropped: core.trimmed?.bytesDropped ?? 0,
    reason: reasonText ?? reason ?? undefined,
    read: decompressor => readObject(store, coreKey(prefix), { bytes, sha256Stored }, decompressor),
  }
}

function miniCore(store: Store, { prefix }: FoundCrash, manifest: Manifest): StoredCore | undefined {
  const { mini, kit, reasonText, reason } = manifest
  if (!mini || kit === null) return undefined
  const { sha256Stored } = kit
  return {
    kind: 'mini',
    bytes: mini.bytes,
    bytesMissing: 0,
    bytesDropped: mini.bytesDropped,
    reason: reasonText ?? reason ?? undefined,
    read: decompressor =>
      readMini(store, kitKey(prefix), sha256Stored === undefined ? {} : { sha256Stored }, decompressor),
  }
}

/** Whether there is one in the kit, only reading it tells. */
function unfinishedMini(store: Store, crash: FoundCrash): StoredCore | undefined {
  if (crash.objects?.has(KIT_OBJECT) !== true) return undefined
  return {
    kind: 'mini',
    bytes: undefined,
    bytesMissing: 0,
    bytesDropped: 0,
    reason: 'the crash is unfinished',
    read: decompressor => readMini(store, kitKey(crash.prefix), {}, decompressor),
  }
}

async function* readMini(
  store: Store,
  key: string,
  expected: { readonly sha256Stored?: string },
  decompressor: FrameDecompressor,
): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of readEntry(readObject(store, key, expected, decompressor), MINI_ENTRY)) {
    bytes += chunk.length
    yield chunk
  }
  if (bytes === 0) throw new CoreliftError('E_CORE_ABSENT', `${key} has no mini core`)
}

/** @returns The error for a core that is not there, with what there is in its place. */
export function noSuchCore(
  crash: FoundCrash,
  manifest: Manifest | undefined,
  wanted: WantedCore,
  older: readonly FoundCrash[],
): CoreliftError {
  if (manifest === undefined)
    return new CoreliftError('E_CORE_ABSENT', `crash ${crash.id} is unfinished: it has no manifest`, {
      hint:
        wanted === 'full' && crash.objects?.has(KIT_OBJECT)
          ? `its mini core may be there: corelift get ${crash.id} --mini`
          : 'its core is still being uploaded, or its handler died: corelift info shows what is there',
    })
  const reason = manifest.reasonText ?? manifest.reason ?? 'no reason is given'
  const which = wanted === 'mini' ? 'mini core' : 'core'
  return new CoreliftError('E_CORE_ABSENT', `the ${which} of crash ${crash.id} was not kept: ${reason}`, {
    hint: hintFor(crash, manifest, wanted, older),
  })
}

function hintFor(
  crash: FoundCrash,
  manifest: Manifest,
  wanted: WantedCore,
  older: readonly FoundCrash[],
): string {
  if (wanted === 'full' && manifest.mini) return `its mini core is there: corelift get ${crash.id} --mini`
  if (wanted === 'mini' && manifest.core) return `its core is there: corelift get ${crash.id} --full`
  const withCore = older.find(other => isFinished(other) && other.objects?.has(CORE_OBJECT))
  return withCore === undefined
    ? `corelift info ${crash.id} shows what is known`
    : `an older crash has one: corelift get ${withCore.id}`
}
