// From a page's path to a crash, its manifest, and what of it can be fetched.
import { findCrashes, isFinished, readManifest, type FoundCrash } from '../commands/find.ts'
import { CoreliftError } from '../errors.ts'
import { CRASHES_PREFIX, isCrashId, parseCrashKey } from '../store/keys.ts'
import type { Manifest } from '../store/manifest.ts'
import type { Store } from '../store/store.ts'

export interface CrashRecord {
  readonly crash: FoundCrash
  /** undefined: it is unfinished. */
  readonly manifest: Manifest | undefined
}

/**
 * Reads the record of a crash.
 * @param parts - An id (or its beginning) or a pod, which means its newest; or the three components of a prefix, which
 *   find a crash that no index has.
 * @throws CoreliftError `E_CRASH_UNKNOWN`, `E_USAGE` for an id's beginning that fits several, `E_MANIFEST`, `E_STORE_…`
 */
export async function findRecord(store: Store, parts: readonly string[]): Promise<CrashRecord> {
  const crash = parts.length === 1 ? await findByTarget(store, parts[0]!) : await findByPrefix(store, parts)
  return { crash, manifest: isFinished(crash) ? await readManifest(store, crash.prefix) : undefined }
}

async function findByTarget(store: Store, target: string): Promise<FoundCrash> {
  const crashes = await findCrashes(store, target, undefined)
  return crashes.find(isFinished) ?? crashes[0]
}

async function findByPrefix(store: Store, parts: readonly string[]): Promise<FoundCrash> {
  const prefix = `${CRASHES_PREFIX}${parts.join('/')}/`
  const objects = new Map<string, number>()
  let names: { namespace: string; pod: string; id: string } | undefined
  // No key has anything else in it, and the store is not asked for one.
  const isKey = parts.length === 3 && isCrashId(parts[2]!) && /^[\w.=/-]+$/.test(prefix)
  for await (const page of isKey ? store.list(prefix) : []) {
    for (const { key, bytes } of page.objects) {
      const part = parseCrashKey(key)
      if (part === undefined) continue
      names = part
      objects.set(part.object, bytes)
    }
  }
  if (names !== undefined)
    return { id: names.id, namespace: names.namespace, pod: names.pod, prefix, objects }
  throw new CoreliftError('E_CRASH_UNKNOWN', `no crash ${parts.join('/')} is in ${store.url}`)
}
