// The directory of a spool, whose lock whoever counts or makes room in it holds for a moment; and what was lost of it.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Os } from '../os/os.ts'
import { bytesTaken, CRASH_ID } from './blobs.ts'
import { DebugFileSpool } from './debug-files.ts'
import type { Entry } from './entry.ts'
import { isFull, type OpenDirectory, readIfAny, type SpoolFiles, writeIfFits } from './files.ts'
import { type Givers, type Kind, Room } from './room.ts'

export interface SpoolOptions {
  readonly path: string
  /** Of the configuration; for messages. */
  readonly key: 'spool.dir' | 'budget.state_dir'
  readonly bytesMax: number
  /** On its disk. */
  readonly freeBytesMin: number
  readonly allowRootFilesystem: boolean
  /** false: notes only. */
  readonly takesBlobs: boolean
}

/** Together five seconds: whoever holds it reads names, and removes a few files at most; five thousand notes at the worst. */
const LOCK_PAUSES_MS = [1, 2, 4, 8, ...Array.from({ length: 310 }, () => 16)]

export interface SpoolUsage {
  readonly entries: number
  /** What is in it, or may come to be by handlers that are at work. */
  readonly bytes: number
  readonly bytesMax: number
  readonly diskFreeBytes: number
  readonly diskFreeInodes: number
  /** Crashes of which not even the record was kept, so far. */
  readonly lost: number
}

const LOST_FILE = 'dropped.json'

export class SpoolRoot {
  readonly files: SpoolFiles
  readonly directory: OpenDirectory
  readonly debugFiles: DebugFileSpool
  readonly #os: Pick<Os, 'tryLock'>
  readonly #options: SpoolOptions
  readonly #room: Room

  constructor(
    os: Pick<Os, 'tryLock'>,
    options: SpoolOptions,
    files: SpoolFiles,
    directory: OpenDirectory,
    claim: Givers['claim'],
  ) {
    this.#os = os
    this.#options = options
    this.files = files
    this.directory = directory
    this.debugFiles = new DebugFileSpool(files, directory, options, bytes =>
      this.#locked(() => this.#room.fits('', bytes)),
    )
    const givers = { claim, countLost: () => this.#countLost() }
    this.#room = new Room(files, directory, options, givers, this.debugFiles)
  }

  get key(): string {
    return this.#options.key
  }

  get path(): string {
    return this.#options.path
  }

  get takesBlobs(): boolean {
    return this.#options.takesBlobs
  }

  /**
   * Lets an entry take so many bytes, all its blobs together.
   * @param evicting - Whether others give something up for it.
   */
  async reserve(entry: Entry, kind: Kind, bytes: number, evicting: boolean): Promise<boolean> {
    return await this.#locked(async () => {
      while (!(await this.#room.fits(entry.id, bytes)))
        if (!evicting || !(await this.#room.evict(kind, entry.id))) return false
      await entry.noteReserved(bytes)
      return true
    })
  }

  /**
   * Makes room for one more note, and what is to hold it, before anybody else counts.
   * @returns undefined where there is none.
   */
  async admit<T>(make: () => Promise<T>): Promise<T | undefined> {
    return await this.#locked(async () => {
      while (!(await this.#room.fits('', 0))) if (!(await this.#room.evict('note', ''))) return undefined
      try {
        return await make()
      } catch (error) {
        if (!isFull(error) || !(await this.#room.evict('note', ''))) throw error
        return await make()
      }
    })
  }

  /** The disk said that it is full, whatever was counted: somebody gives something up. @returns Whether anybody did. */
  async makeRoom(entry: Entry, kind: Kind, bytes: number): Promise<boolean> {
    return await this.#locked(async () => {
      let freed = false
      for (let before = await this.#room.freeBytes(); ;) {
        if (!(await this.#room.evict(kind, entry.id))) return freed
        freed = true
        if ((await this.#room.freeBytes()) - before >= bytes) return true
      }
    })
  }

  async usage(): Promise<SpoolUsage> {
    const found = await this.#room.contents()
    const entries = [...found.keys()].filter(name => CRASH_ID.test(name))
    const { bavail, bsize, ffree } = await this.files.statfs(this.directory.path)
    return {
      entries: entries.length,
      bytes: [...found.values()].reduce(
        (sum, contents) => sum + bytesTaken(contents),
        await this.debugFiles.bytes(),
      ),
      bytesMax: this.#options.bytesMax,
      diskFreeBytes: bavail * bsize,
      diskFreeInodes: ffree,
      lost: await this.#lost(),
    }
  }

  /** Counts a crash of which nothing is left. */
  async countLost(): Promise<void> {
    await this.#locked(async () => void (await this.#countLost()))
  }

  async #countLost(): Promise<boolean> {
    const text = JSON.stringify({ count: (await this.#lost()) + 1 })
    return await writeIfFits(this.files, this.directory, LOST_FILE, Buffer.from(text))
  }

  async #lost(): Promise<number> {
    const text = await readIfAny(this.files, `${this.directory.path}/${LOST_FILE}`)
    return Number(/^\{"count":(\d{1,15})\}$/.exec(Buffer.from(text ?? []).toString())?.[1] ?? 0)
  }

  async #locked<T>(act: () => Promise<T>): Promise<T> {
    const lock = await this.files.open(this.directory.path, 'r')
    try {
      for (const pause of LOCK_PAUSES_MS) {
        if (this.#os.tryLock(lock.fd)) return await act()
        await sleep(pause)
      }
      throw Object.assign(new Error('the lock is not given up'), { code: 'EBUSY' })
    } finally {
      await lock.close()
    }
  }
}
