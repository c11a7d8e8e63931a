// Who gives something up for whom. Room is counted and made under the root's lock, from names alone.
import {
  type BlobName,
  blobBytes,
  bytesTaken,
  type Contents,
  contentsOf,
  CRASH_ID,
  DONE,
  isCore,
  NOTE_BYTES,
  NOTE_FILE,
} from './blobs.ts'
import type { DebugFileSpool } from './debug-files.ts'
import type { Entry } from './entry.ts'
import { ifAny, type OpenDirectory, readIfAny, type SpoolFiles } from './files.ts'
import { decodeNote } from './note.ts'
import { withoutCore, withoutKit } from './reduce.ts'

export interface Bounds {
  readonly bytesMax: number
  /** On its disk. */
  readonly freeBytesMin: number
}

/** What is needed to give something up. */
export interface Givers {
  /** @returns undefined for an entry that is somebody else's, or gone. */
  readonly claim: (id: string) => Promise<Entry | undefined>
  /** Counts a crash of which nothing is left. @returns false where the disk has no room for that. */
  readonly countLost: () => Promise<boolean>
}

/** What is asked for: the less it is, the more is given up for it. */
export type Kind = 'core' | 'kit' | 'note'

/** What gives way: cores first, records last. */
const GIVES_WAY: Readonly<Record<Kind, readonly Kind[]>> = {
  core: ['core'],
  kit: ['core', 'kit'],
  note: ['core', 'kit', 'note'],
}

const INODES_FREE_MIN = 16
/** All are looked at to count room: a tenth of a second for so many, one where notes have to be read to see who gives way. */
const ENTRIES_MAX = 5_000
/** Entries that are looked at side by side. */
const LOOKS = 32

/** The room of one spool, under its bounds. */
export class Room {
  readonly #files: SpoolFiles
  readonly #directory: OpenDirectory
  readonly #bounds: Bounds
  readonly #givers: Givers
  readonly #debugFiles: Pick<DebugFileSpool, 'bytes' | 'evict'>
  readonly #owners = new Map<string, string>()

  constructor(
    files: SpoolFiles,
    directory: OpenDirectory,
    bounds: Bounds,
    givers: Givers,
    debugFiles: Pick<DebugFileSpool, 'bytes' | 'evict'>,
  ) {
    this.#files = files
    this.#directory = directory
    this.#bounds = bounds
    this.#givers = givers
    this.#debugFiles = debugFiles
  }

  /** Of every entry, also of those that are being removed; oldest first. */
  async contents(): Promise<Map<string, Contents>> {
    const found = new Map<string, Contents>()
    const names = await this.#files.readdir(this.#directory.path)
    const entries = names.filter(name => CRASH_ID.test(name) || name.startsWith(DONE)).sort()
    const all = await sideBySide(entries, async name => {
      const files = await ifAny(() => this.#files.readdir(`${this.#directory.path}/${name}`))
      return files && ([name, contentsOf(files)] as const)
    })
    for (const seen of all) if (seen) found.set(...seen)
    return found
  }

  async fits(id: string, bytes: number): Promise<boolean> {
    const entries = await this.contents()
    const mine = entries.get(id)
    entries.delete(id)
    const others = [...entries.values()]
    if (others.length >= ENTRIES_MAX) return false
    const wanted = NOTE_BYTES + bytes + (await this.#debugFiles.bytes())
    const taken = others.reduce((sum, contents) => sum + bytesTaken(contents), wanted)
    if (taken > this.#bounds.bytesMax) return false
    const { ffree, files } = await this.#files.statfs(this.#directory.path)
    // A file system without a table of inodes (btrfs) has 0 of 0.
    if (files > 0 && ffree < INODES_FREE_MIN) return false
    // What others were promised is not on the disk yet.
    const promised = others.reduce((sum, each) => sum + Math.max(0, each.reservedBytes - blobBytes(each)), 0)
    const missing = bytes - (mine ? blobBytes(mine) : 0)
    return (await this.freeBytes()) - promised - missing >= this.#bounds.freeBytesMin
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await this.#files.statfs(this.#directory.path)
    return bavail * bsize
  }

  /** The workload that has most gives up its oldest. @returns Whether anybody gave anything. */
  async evict(kind: Kind, except: string): Promise<boolean> {
    const entries = await this.contents()
    entries.delete(except)
    // First of all what nobody wants: who was removing it was killed, or has not got far.
    for (const name of entries.keys())
      if (name.startsWith(DONE)) {
        await this.#files.rm(`${this.#directory.path}/${name}`, { recursive: true, force: true })
        return true
      }
    // Then what the next crash of the same program brings again.
    if (await this.#debugFiles.evict()) return true
    // Then what a handler that was killed had reserved.
    for (const [id, contents] of entries)
      if (contents.reservedBytes > blobBytes(contents) && (await this.#give(id, 'reserved'))) return true
    for (const given of GIVES_WAY[kind]) {
      const owned = await this.#byWorkload(entries, given)
      for (const ids of owned) for (const id of ids) if (await this.#give(id, given)) return true
    }
    return false
  }

  /** Ids of entries that have something of a kind, oldest first, of each workload, that with most bytes first. */
  async #byWorkload(entries: ReadonlyMap<string, Contents>, kind: Kind): Promise<string[][]> {
    const owners = new Map<string, { bytes: number; ids: string[] }>()
    const having = [...entries].flatMap(([id, contents]) => {
      const bytes = kind === 'note' ? NOTE_BYTES : bytesOf(contents, kind)
      return bytes > 0 ? [{ id, bytes }] : []
    })
    const owned = await sideBySide(having, async each => ({ ...each, owner: await this.#ownerOf(each.id) }))
    for (const { id, bytes, owner } of owned) {
      const { bytes: before, ids } = owners.get(owner) ?? { bytes: 0, ids: [] }
      owners.set(owner, { bytes: before + bytes, ids: [...ids, id] })
    }
    return [...owners.values()].sort((a, b) => b.bytes - a.bytes).map(({ ids }) => ids)
  }

  /** A crash stays its workload's: notes are read once. */
  async #ownerOf(id: string): Promise<string> {
    const known = this.#owners.get(id)
    if (known !== undefined) return known
    const text = await readIfAny(this.#files, `${this.#directory.path}/${id}/${NOTE_FILE}`)
    const note = text && decodeNote(text)
    if (typeof note !== 'object') return ''
    const { namespace, pod, container } = note.place
    const owner = JSON.stringify([namespace, pod, container])
    this.#owners.set(id, owner)
    return owner
  }

  /** @returns Whether it was there, and nobody's at the moment. */
  async #give(id: string, kind: Kind | 'reserved'): Promise<boolean> {
    const entry = await this.#givers.claim(id)
    if (entry === undefined) return false
    try {
      const { note } = entry
      const why = `the spool was full (spool.bytes_max, spool.free_bytes_min), and its workload had most in it`
      if (kind === 'reserved') {
        await entry.drop(() => false)
        return true
      }
      if (kind === 'note') {
        const counted = await this.#givers.countLost()
        await entry.remove()
        if (!counted) await this.#givers.countLost()
        return true
      }
      const reduce = kind === 'core' ? withoutCore : withoutKit
      const reduced = typeof note === 'object' ? reduce(note, why) : undefined
      // Before its bytes go: whoever is killed in between leaves a record that is true. A disk without room even for that has
      // some afterwards; until then the note promises what is found to be lost when it is sent.
      const saved = reduced === undefined || (await entry.saveIfFits(reduced))
      await entry.drop(name => isCore(name) === (kind === 'core'))
      if (!saved) await entry.saveIfFits(reduced)
      return true
    } finally {
      await entry.release()
    }
  }
}

/** In order; some at once. */
async function sideBySide<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (let at = 0; at < items.length; at += LOOKS)
    results.push(...(await Promise.all(items.slice(at, at + LOOKS).map(act))))
  return results
}

function bytesOf({ blobs }: Contents, kind: 'core' | 'kit'): number {
  const wanted = ({ name }: { name: BlobName }) => isCore(name) === (kind === 'core')
  return blobs.filter(wanted).reduce((sum, { bytes }) => sum + bytes, 0)
}
