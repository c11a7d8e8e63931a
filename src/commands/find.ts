// From what people type (a pod, a crash's id) to crashes in the store, with as few requests as the key grammar allows.

import { closest, distance } from 'fastest-levenshtein'
import { CoreliftError } from '../errors.ts'
import {
  CRASHES_PREFIX,
  MANIFEST_OBJECT,
  idPrefix,
  idTime,
  manifestKey,
  namespacePrefix,
  parseCrashKey,
  parseGroupPrefix,
  parseIndexKey,
  podPrefix,
} from '../store/keys.ts'
import type { Manifest } from '../store/manifest.ts'
import { decodeManifest } from '../store/manifest-schema.ts'
import type { Store } from '../store/store.ts'
import { mapConcurrent } from './concurrent.ts'

/** A crash that was found by its keys alone. */
export interface FoundCrash {
  readonly id: string
  readonly namespace: string
  readonly pod: string
  /** Of its objects. */
  readonly prefix: string
  /** Name and stored bytes of its objects; undefined when it was found by its id, which does not list them. */
  readonly objects: ReadonlyMap<string, number> | undefined
}

/** Listings at once: enough to hide a store's latency, few enough for its rate limits. */
export const LISTS_IN_FLIGHT_MAX = 16
const NEAR_NAMES_MAX = 5

/** Whether a crash's manifest was written, so far as its listing tells. */
export function isFinished(crash: FoundCrash): boolean {
  return crash.objects === undefined || crash.objects.has(MANIFEST_OBJECT)
}

async function listGroups(store: Store, prefix: string): Promise<string[]> {
  const names: string[] = []
  for await (const page of store.list(prefix, { grouped: true })) {
    for (const group of page.prefixes) {
      const name = parseGroupPrefix(group)
      if (name !== undefined) names.push(name)
    }
  }
  return names
}

function newestFirst(left: FoundCrash, right: FoundCrash): number {
  return left.id < right.id ? 1 : left.id > right.id ? -1 : 0
}

/** Crashes of one pod, newest first: one listing. */
async function listPod(store: Store, namespace: string, pod: string): Promise<FoundCrash[]> {
  const crashes = new Map<string, FoundCrash & { objects: Map<string, number> }>()
  for await (const page of store.list(podPrefix(namespace, pod))) {
    for (const { key, bytes } of page.objects) {
      const part = parseCrashKey(key)
      if (part === undefined) continue
      const { object, ...crash } = part
      const known = crashes.get(crash.id) ?? { ...crash, objects: new Map() }
      crashes.set(crash.id, known)
      known.objects.set(object, bytes)
    }
  }
  return [...crashes.values()].toSorted(newestFirst)
}

/** Names that a mistyped pod may have meant: those of its deployment first, then the most alike. */
function nearNames(wanted: string, names: readonly string[]): string[] {
  const score = (name: string) => (name.startsWith(wanted) ? 0 : distance(wanted, name))
  // A third of the letters wrong is still a guess; more is noise.
  const scoreMax = Math.max(2, Math.floor(wanted.length / 3))
  return [...new Set(names)]
    .filter(name => score(name) <= scoreMax)
    .toSorted((left, right) => score(left) - score(right) || (left < right ? -1 : 1))
    .slice(0, NEAR_NAMES_MAX)
}

async function unknownPod(store: Store, pod: string, namespace: string | undefined): Promise<CoreliftError> {
  const namespaces = await listGroups(store, CRASHES_PREFIX)
  const podsOf = new Map<string, string[]>()
  const listed = mapConcurrent(namespaces, LISTS_IN_FLIGHT_MAX, async name => ({
    name,
    pods: await listGroups(store, namespacePrefix(name)),
  }))
  for await (const { name, pods } of listed) podsOf.set(name, pods)
  const elsewhere = namespaces.filter(name => podsOf.get(name)?.includes(pod))
  const searched = namespace === undefined ? [...podsOf.values()].flat() : (podsOf.get(namespace) ?? [])
  const near = nearNames(pod, searched)
  const hints = [
    elsewhere.length > 0 ? `it has crashes in another namespace: -n ${elsewhere.join(', -n ')}` : undefined,
    namespace !== undefined && namespaces.length > 0 && !namespaces.includes(namespace)
      ? `no crash is of namespace ${namespace}; the nearest name is ${closest(namespace, namespaces)}`
      : undefined,
    near.length > 0 ? `near names: ${near.join(', ')}` : undefined,
  ].filter(hint => hint !== undefined)
  const place = namespace === undefined ? '' : ` in namespace ${namespace}`
  return new CoreliftError('E_CRASH_UNKNOWN', `no crash of pod ${pod}${place} is in ${store.url}`, {
    hint: hints.length > 0 ? hints.join('; ') : 'corelift ls shows all crashes',
  })
}

/**
 * Crashes of a pod, newest first. One listing when the namespace is given; otherwise one of the namespaces, and one
 * per namespace.
 * @throws CoreliftError `E_CRASH_UNKNOWN` when there are none, with near names.
 */
async function findPodCrashes(
  store: Store,
  pod: string,
  namespace: string | undefined,
): Promise<[FoundCrash, ...FoundCrash[]]> {
  const namespaces = namespace === undefined ? await listGroups(store, CRASHES_PREFIX) : [namespace]
  const crashes: FoundCrash[] = []
  const listed = mapConcurrent(namespaces, LISTS_IN_FLIGHT_MAX, name => listPod(store, name, pod))
  for await (const ofNamespace of listed) crashes.push(...ofNamespace)
  const [newest, ...older] = crashes.toSorted(newestFirst)
  if (newest === undefined) throw await unknownPod(store, pod, namespace)
  return [newest, ...older]
}

async function findById(
  store: Store,
  id: string,
  time: Date,
  namespace: string | undefined,
): Promise<FoundCrash> {
  const found: FoundCrash[] = []
  for await (const page of store.list(idPrefix(id, time))) {
    for (const { key } of page.objects) {
      const entry = parseIndexKey(key)
      if (entry === undefined || (namespace !== undefined && entry.namespace !== namespace)) continue
      found.push({
        id: entry.id,
        namespace: entry.namespace,
        pod: entry.pod,
        prefix: entry.prefix,
        objects: undefined,
      })
    }
  }
  const [crash, ...others] = found
  if (crash === undefined) {
    throw new CoreliftError('E_CRASH_UNKNOWN', `no crash ${id} is in ${store.url}`, {
      hint: 'an unfinished crash is found by its pod only: corelift ls POD',
    })
  }
  if (others.length === 0) return crash
  const ids = found.slice(0, NEAR_NAMES_MAX).map(one => one.id)
  throw new CoreliftError('E_USAGE', `${found.length} crashes have an id that begins with ${id}`, {
    hint: `give more of it: ${ids.join(', ')}${found.length > ids.length ? ', …' : ''}`,
  })
}

/**
 * Finds what ID|POD means: one crash by its id (or an id's beginning, from the time's `Z` on), or a pod's, newest first.
 * @throws CoreliftError `E_CRASH_UNKNOWN`; `E_USAGE` when an id's beginning fits several.
 */
export async function findCrashes(
  store: Store,
  target: string,
  namespace: string | undefined,
): Promise<[FoundCrash, ...FoundCrash[]]> {
  const time = idTime(target)
  if (time !== undefined) return [await findById(store, target, time, namespace)]
  return await findPodCrashes(store, target, namespace)
}

/**
 * @returns A crash's manifest; undefined while there is none, so the crash is unfinished.
 * @throws CoreliftError `E_MANIFEST`
 */
export async function readManifest(store: Store, prefix: string): Promise<Manifest | undefined> {
  const key = manifestKey(prefix)
  try {
    return decodeManifest(await store.get(key), key)
  } catch (error) {
    if (error instanceof CoreliftError && error.code === 'E_STORE_NO_OBJECT') return undefined
    throw error
  }
}
