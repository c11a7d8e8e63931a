// Files that debuggers read, kept between runs: `files/<kind>-<id>` by build-id or SHA-256, `cores/<crash>.<kind>`,
// `sysroots/<crash>.<digest>` of links to them, and `runs/`, which says what is in use. A name exists only when what it
// stands for is whole. Several runs may share a cache.
import { lstat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { Os } from '../os/os.ts'
import { parseDebugFileKey } from '../store/keys.ts'
import { PartialFile } from '../commands/partial-file.ts'
import { CoreliftError } from '../errors.ts'
import { CacheRun } from './cache-runs.ts'
import { makeCacheRoot } from './cache-root.ts'
import { pruneCache, type Pruned } from './cache-prune.ts'

/** Relative to the cache: `cores/…`, `files/…`, `sysroots/…`. */
export type CacheName = string

/** Puts a core or a debug file together. */
export type Fill = (into: { write(bytes: Uint8Array): Promise<void> }) => Promise<void>

export class Cache {
  readonly root: string
  readonly #os: Pick<Os, 'tryLock'>
  readonly #run: CacheRun
  /**
   * The time of whatever this run uses, for the order in which things go, and because gdb warns of executables that are
   * newer than the core, and of sources that are newer than the executable.
   */
  readonly #startedAt: Date

  private constructor(root: string, os: Pick<Os, 'tryLock'>, run: CacheRun, startedAt: Date) {
    this.root = root
    this.#os = os
    this.#run = run
    this.#startedAt = startedAt
  }

  /**
   * Begins a run: what it uses is kept until it is closed, or its process dies.
   * @throws CoreliftError `E_OUTPUT`
   */
  static async open(root: string, os: Pick<Os, 'tryLock'>, now: Date): Promise<Cache> {
    await makeCacheRoot(root)
    return new Cache(root, os, await CacheRun.begin(root, os), now)
  }

  path(name: CacheName): string {
    return join(this.root, name)
  }

  /**
   * Whether a file is there, which is used by this run from now on.
   * @param bytes - Its size, where that is known: another file is none.
   */
  async take(name: CacheName, bytes: number | undefined): Promise<boolean> {
    await this.use(name)
    const stat = await lstat(this.path(name)).catch(() => undefined)
    if (stat?.isFile() !== true || (bytes !== undefined && stat.size !== bytes)) return false
    await this.touch(name)
    return true
  }

  /** Has what this run uses kept. */
  async use(name: CacheName): Promise<void> {
    await this.#run.add(name)
  }

  /** Marks as used just now. */
  async touch(name: CacheName): Promise<void> {
    await utimes(this.path(name), this.#startedAt, this.#startedAt).catch(() => undefined)
  }

  /**
   * Writes a file, whole or not at all; one that is there is replaced.
   * @throws CoreliftError `E_OUTPUT`, and what `fill` throws.
   */
  async put(name: CacheName, fill: Fill): Promise<void> {
    await this.use(name)
    const partial = await PartialFile.create(this.path(name), true).catch(rethrow)
    try {
      await fill({ write: bytes => partial.write(bytes).catch(rethrow) })
      await partial.finish().catch(rethrow)
    } catch (error) {
      await partial.discard()
      throw error
    }
    await this.touch(name)
  }

  /**
   * Removes what was not used for longest until there is room; nothing that a run uses.
   * @param bytesMore - About to be written.
   */
  async makeRoom(bytesMax: number, bytesMore: number): Promise<Pruned> {
    return await pruneCache(this.root, this.#os, Math.max(0, bytesMax - bytesMore), this.#startedAt)
  }

  async close(): Promise<void> {
    await this.#run.end()
  }
}

/** @param key - Of the store. @returns undefined for keys that are no debug file's. */
export function debugFileName(key: string): CacheName | undefined {
  const id = parseDebugFileKey(key)
  if (id === undefined) return undefined
  // Whoever chooses a build-id could choose another file's SHA-256.
  return 'buildId' in id ? `files/buildid-${id.buildId}` : `files/sha256-${id.sha256}`
}

export function coreName(id: string, kind: 'full' | 'trimmed' | 'mini'): CacheName {
  return `cores/${id}.${kind}`
}

/** The hints for files that people asked for are none for the cache. */
function rethrow(error: unknown): never {
  if (!(error instanceof CoreliftError) || error.code !== 'E_OUTPUT') throw error
  throw new CoreliftError('E_OUTPUT', error.message, {
    hint: 'it is the cache: corelift cache --clear makes room, XDG_CACHE_HOME moves it',
    cause: error.cause,
  })
}
