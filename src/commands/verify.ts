// corelift verify: reads crashes as they lie in a store, and says what is unfinished, damaged or left over. verify-repair.ts
// mends what can be.
import { CoreliftError, type ErrorCode } from '../errors.ts'
import {
  CORE_OBJECT,
  CRASHES_PREFIX,
  coreKey,
  idPrefix,
  idTime,
  INDEX_PREFIX,
  KIT_OBJECT,
  kitKey,
  MANIFEST_OBJECT,
  parseCrashKey,
  parseIndexKey,
} from '../store/keys.ts'
import type { Manifest } from '../store/manifest.ts'
import type { Store, UnfinishedUpload } from '../store/store.ts'
import type { FrameDecompressor } from '../zstd/codec.ts'
import { mapConcurrent } from './concurrent.ts'
import { readObject } from './download.ts'
import { findCrashes, type FoundCrash, readManifest } from './find.ts'

export type Problem =
  | 'unfinished' // no manifest, and nobody is at work on it any more
  | 'manifest' // one that cannot be read
  | 'missing' // an object that the manifest names
  | 'damaged' // an object that is not what the manifest says
  | 'unnamed' // an object that the manifest does not name
  | 'not in the index'
  | 'index without crash'
  | 'upload left over'

/** Something that is not as it should be. */
export interface Finding {
  readonly problem: Problem
  /** The object's, or the crash's prefix. */
  readonly key: string
  readonly detail: string
  /** What it takes to mend it. */
  readonly repair: Repair | undefined
}

export type Repair =
  | { readonly kind: 'adopt'; readonly crash: FoundCrash; readonly manifest: Manifest | undefined }
  | { readonly kind: 'index'; readonly crash: FoundCrash; readonly manifest: Manifest }
  | { readonly kind: 'remove'; readonly key: string }
  | { readonly kind: 'abort'; readonly upload: UnfinishedUpload }

export interface VerifyQuery {
  /** undefined: all crashes. */
  readonly target: string | undefined
  readonly namespace: string | undefined
  /** Whether objects are read to their end, or only their sizes compared. */
  readonly content: boolean
  /** What is younger may still be at work, or wait in a node's spool. */
  readonly settledSeconds: number
}

export interface VerifyDeps {
  readonly decompressor: () => FrameDecompressor
  readonly now: () => Date
}

export interface Verified {
  readonly crashes: number
  /** Without a manifest, but too young to be called unfinished. */
  readonly inProgress: number
  readonly findings: readonly Finding[]
  /** Why unfinished uploads were not looked for: the right to list them is one of its own, and not every server can. */
  readonly uploadsUnknown?: string
}

/** @throws CoreliftError `E_CRASH_UNKNOWN`, `E_STORE_…` */
export async function verify(store: Store, query: VerifyQuery, deps: VerifyDeps): Promise<Verified> {
  const check = new Check(store, query, deps)
  if (query.target === undefined) await check.all()
  else await check.some(await findCrashes(store, query.target, query.namespace))
  return check.result
}

const CRASHES_IN_FLIGHT_MAX = 16
const CANNOT_LIST: readonly ErrorCode[] = ['E_STORE_DENIED', 'E_STORE_PROTOCOL']
/** A core each: four requests at once fill a link. */
const CONTENTS_IN_FLIGHT_MAX = 1

class Check {
  readonly #store: Store
  readonly #query: VerifyQuery
  readonly #deps: VerifyDeps
  readonly #findings: Finding[] = []
  #crashes = 0
  #inProgress = 0
  #uploadsUnknown: string | undefined

  constructor(store: Store, query: VerifyQuery, deps: VerifyDeps) {
    this.#store = store
    this.#query = query
    this.#deps = deps
  }

  get result(): Verified {
    const unknown = this.#uploadsUnknown
    return {
      ...{ crashes: this.#crashes, inProgress: this.#inProgress, findings: this.#findings },
      ...(unknown !== undefined && { uploadsUnknown: unknown }),
    }
  }

  async all(): Promise<void> {
    const indexed = await this.#indexedPrefixes()
    const finished = new Set<string>()
    await this.#each(allCrashes(this.#store), async crash => {
      if (crash.objects.has(MANIFEST_OBJECT)) finished.add(crash.prefix)
      await this.#crash(crash, async () => indexed.delete(crash.prefix))
      indexed.delete(crash.prefix)
    })
    for (const [, key] of indexed)
      this.#find('index without crash', key, 'the crash that it names has no objects', {
        kind: 'remove',
        key,
      })
    await this.#uploads('', finished)
  }

  async some(found: readonly FoundCrash[]): Promise<void> {
    const finished = new Set<string>()
    const listed = found.map(crash => objectsOf(this.#store, crash))
    await this.#each(listed, async listing => {
      const crash = await listing
      if (crash.objects.has(MANIFEST_OBJECT)) finished.add(crash.prefix)
      await this.#crash(crash, () => isIndexed(this.#store, crash))
    })
    for (const { prefix } of found) await this.#uploads(prefix, finished)
  }

  async #each<T>(crashes: Iterable<T> | AsyncIterable<T>, check: (crash: T) => Promise<void>): Promise<void> {
    const lanes = this.#query.content ? CONTENTS_IN_FLIGHT_MAX : CRASHES_IN_FLIGHT_MAX
    for await (const _ of mapConcurrent(crashes, lanes, check)) this.#crashes++
  }

  async #crash(crash: ListedCrash, indexed: () => Promise<boolean>): Promise<void> {
    const { prefix, objects } = crash
    let manifest: Manifest | undefined
    try {
      manifest = objects.has(MANIFEST_OBJECT) ? await readManifest(this.#store, prefix) : undefined
    } catch (error) {
      if (!(error instanceof CoreliftError) || error.code !== 'E_MANIFEST') throw error
      return this.#find('manifest', prefix + MANIFEST_OBJECT, error.message)
    }
    if (manifest === undefined) return this.#withoutManifest(crash)
    if (!(await indexed()))
      this.#find('not in the index', prefix, 'it is found by its pod only', {
        kind: 'index',
        crash,
        manifest,
      })
    const { kit, core } = manifest
    await this.#object(kitKey(prefix), objects.get(KIT_OBJECT), kit && { bytesStored: kit.bytes, ...kit })
    await this.#object(coreKey(prefix), objects.get(CORE_OBJECT), core)
    if (core === null && objects.has(CORE_OBJECT))
      this.#find('unnamed', coreKey(prefix), 'a core that the manifest does not name', {
        kind: 'adopt',
        crash,
        manifest,
      })
  }

  #withoutManifest(crash: ListedCrash): void {
    const ageSeconds = (this.#deps.now().getTime() - (idTime(crash.id)?.getTime() ?? 0)) / 1000
    if (ageSeconds < this.#query.settledSeconds) this.#inProgress++
    else
      this.#find(
        'unfinished',
        crash.prefix,
        `no manifest; there is ${[...crash.objects.keys()].join(', ')}`,
        {
          kind: 'adopt',
          crash,
          manifest: undefined,
        },
      )
  }

  async #object(
    key: string,
    bytes: number | undefined,
    expected: { readonly bytesStored: number; readonly sha256Stored?: string } | null,
  ): Promise<void> {
    if (expected === null) return
    if (bytes === undefined) return this.#find('missing', key, 'the manifest names it')
    const { bytesStored, sha256Stored } = expected
    if (bytes !== bytesStored)
      return this.#find('damaged', key, `${bytes} bytes, where the manifest says ${bytesStored}`)
    if (!this.#query.content || sha256Stored === undefined) return
    try {
      const chunks = readObject(this.#store, key, { sha256Stored }, this.#deps.decompressor())
      while (!(await chunks.next()).done);
    } catch (error) {
      if (!(error instanceof CoreliftError) || error.code !== 'E_CORE_CORRUPT') throw error
      this.#find('damaged', key, error.message)
    }
  }

  async #uploads(prefix: string, finished: ReadonlySet<string>): Promise<void> {
    try {
      await this.#eachUpload(prefix, finished)
    } catch (error) {
      if (!(error instanceof CoreliftError) || !CANNOT_LIST.includes(error.code)) throw error
      this.#uploadsUnknown = error.message
    }
  }

  async #eachUpload(prefix: string, finished: ReadonlySet<string>): Promise<void> {
    for await (const page of this.#store.listUploads(prefix)) {
      for (const upload of page) {
        const crash = parseCrashKey(upload.key)
        const ageSeconds = (this.#deps.now().getTime() - upload.startedAt.getTime()) / 1000
        const isDone = crash !== undefined && finished.has(crash.prefix)
        if (!isDone && ageSeconds < this.#query.settledSeconds) continue
        const why = isDone ? 'its crash is finished' : 'nobody is at work on it any more'
        const since = `begun ${upload.startedAt.toISOString()}: ${why}`
        this.#find('upload left over', upload.key || upload.id, since, { kind: 'abort', upload })
      }
    }
  }

  /** Keys of index entries by the prefix of the crash that each names. */
  async #indexedPrefixes(): Promise<Map<string, string>> {
    const prefixes = new Map<string, string>()
    for await (const { objects } of this.#store.list(INDEX_PREFIX))
      for (const { key } of objects) {
        const entry = parseIndexKey(key)
        if (entry) prefixes.set(entry.prefix, key)
      }
    return prefixes
  }

  #find(problem: Problem, key: string, detail: string, repair?: Repair): void {
    this.#findings.push({ problem, key, detail, repair })
  }
}

interface ListedCrash extends FoundCrash {
  readonly objects: Map<string, number>
}

/** A crash's keys follow each other. */
async function* allCrashes(store: Store): AsyncGenerator<ListedCrash> {
  let crash: ListedCrash | undefined
  for await (const page of store.list(CRASHES_PREFIX)) {
    for (const { key, bytes } of page.objects) {
      const { object, ...found } = parseCrashKey(key) ?? { object: undefined }
      if (object === undefined || !('prefix' in found)) continue
      if (crash?.prefix !== found.prefix) {
        if (crash) yield crash
        crash = { ...found, objects: new Map() }
      }
      crash.objects.set(object, bytes)
    }
  }
  if (crash) yield crash
}

async function objectsOf(store: Store, crash: FoundCrash): Promise<ListedCrash> {
  const objects = new Map<string, number>()
  for await (const page of store.list(crash.prefix))
    for (const { key, bytes } of page.objects) objects.set(key.slice(crash.prefix.length), bytes)
  return { ...crash, objects }
}

async function isIndexed(store: Store, { id, prefix }: FoundCrash): Promise<boolean> {
  const time = idTime(id)
  if (time === undefined) return false
  for await (const { objects } of store.list(idPrefix(id, time)))
    if (objects.some(({ key }) => parseIndexKey(key)?.prefix === prefix)) return true
  return false
}
