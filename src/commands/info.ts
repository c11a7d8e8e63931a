// corelift info: everything that is on record about one crash.

import type { Manifest } from '../store/manifest.ts'
import type { Store } from '../store/store.ts'
import { findCrashes, readManifest, type FoundCrash } from './find.ts'

/** A crash without a manifest: what its listing shows. */
export interface UnfinishedCrash {
  readonly id: string
  readonly namespace: string
  readonly pod: string
  readonly outcome: 'unfinished'
  /** Name and stored bytes. */
  readonly objects: Readonly<Record<string, number>>
}

export interface CrashInfo {
  readonly crash: FoundCrash
  readonly record: Manifest | UnfinishedCrash
  /** Older crashes of the same pod. */
  readonly older: number
}

/**
 * Reads the record of the crash that ID|POD means, of a pod's the newest.
 * @throws CoreliftError `E_CRASH_UNKNOWN`, `E_MANIFEST`, `E_STORE_…`
 */
export async function crashInfo(
  store: Store,
  target: string,
  namespace: string | undefined,
): Promise<CrashInfo> {
  const [crash, ...older] = await findCrashes(store, target, namespace)
  const manifest = await readManifest(store, crash.prefix)
  const record = manifest ?? {
    id: crash.id,
    namespace: crash.namespace,
    pod: crash.pod,
    outcome: 'unfinished' as const,
    objects: Object.fromEntries(crash.objects ?? []),
  }
  return { crash, record, older: older.length }
}
