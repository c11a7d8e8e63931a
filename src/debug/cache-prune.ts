// A cache's size, and what goes when there is no room. A sysroot is links to files: it goes before those, or they would
// take room without a name.
import { lstat, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Os } from '../os/os.ts'
import { namesInUse } from './cache-runs.ts'

export interface CacheEntry {
  /** Relative to the cache. */
  readonly name: string
  readonly kind: 'core' | 'file' | 'sysroot'
  /** On disk; of a sysroot, what is not a link to a file of the cache. */
  readonly bytes: number
  readonly usedAt: Date
}

export interface Pruned {
  /** Names. */
  readonly removed: readonly string[]
  readonly bytesRemoved: number
  /** Still there. */
  readonly bytes: number
}

/** st_blocks are of this size, whatever the file system's are. */
const BLOCK_BYTES = 512
/** A run that writes a file for longer without a byte is none. */
const PARTIAL_AGE_MS = 3_600_000
const PARTIAL = /^\.corelift-/
const KINDS = [
  ['sysroots', 'sysroot'],
  ['cores', 'core'],
  ['files', 'file'],
] as const

/** @returns Entries, least recently used first; none where there is no cache. */
export async function cacheEntries(root: string): Promise<CacheEntry[]> {
  const entries: CacheEntry[] = []
  for (const [part, kind] of KINDS) {
    for (const entry of await namesIn(join(root, part))) {
      if (PARTIAL.test(entry)) continue
      const name = `${part}/${entry}`
      const stat = await lstat(join(root, name)).catch(() => undefined)
      if (stat === undefined) continue
      const bytes = kind === 'sysroot' ? await ownBytes(join(root, name)) : stat.blocks * BLOCK_BYTES
      entries.push({ name, kind, bytes, usedAt: stat.mtime })
    }
  }
  // Stable: of the same moment, a sysroot comes before its files.
  return entries.toSorted((left, right) => left.usedAt.getTime() - right.usedAt.getTime())
}

/** Removes what was not used for longest, until no more than `bytesMax` are left or everything left is in use. */
export async function pruneCache(
  root: string,
  os: Pick<Os, 'tryLock'>,
  bytesMax: number,
  now: Date,
): Promise<Pruned> {
  await removePartials(root, now)
  const entries = await cacheEntries(root)
  let bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0)
  const before = bytes
  const removed: string[] = []
  if (bytes <= bytesMax) return { removed, bytesRemoved: 0, bytes }
  const used = await namesInUse(root, os)
  for (const entry of entries) {
    if (bytes <= bytesMax) break
    if (used.has(entry.name)) continue
    await rm(join(root, entry.name), { recursive: true, force: true })
    removed.push(entry.name)
    bytes -= entry.bytes
  }
  return { removed, bytesRemoved: before - bytes, bytes }
}

async function namesIn(directory: string): Promise<string[]> {
  return await readdir(directory).catch(() => [])
}

/** What a sysroot has that is linked from nowhere else: copies, where the file system has no hard links. */
async function ownBytes(directory: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => [])) {
    if (!entry.isFile()) continue
    const stat = await lstat(join(entry.parentPath, entry.name)).catch(() => undefined)
    if (stat?.nlink === 1) bytes += stat.blocks * BLOCK_BYTES
  }
  return bytes
}

/** What runs left that died while they wrote. */
async function removePartials(root: string, now: Date): Promise<void> {
  for (const [part] of KINDS) {
    for (const name of await namesIn(join(root, part))) {
      if (!PARTIAL.test(name)) continue
      const stat = await lstat(join(root, part, name)).catch(() => undefined)
      if (stat === undefined || now.getTime() - stat.mtimeMs < PARTIAL_AGE_MS) continue
      await rm(join(root, part, name), { recursive: true, force: true })
    }
  }
}
