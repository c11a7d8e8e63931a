// The spool: what the store did not take, an entry for each crash, in a directory that is bounded in bytes and inodes.
import { basename, dirname } from 'node:path'
import type { Os } from '../os/os.ts'
import { isOnRootDisk, type PrivateDirFacts, privateDirProblem } from '../private-dir.ts'
import { blobBytes, contentsOf, CRASH_ID, DONE, NOTE_FILE } from './blobs.ts'
import type { DebugFileSpool } from './debug-files.ts'
import { Entry } from './entry.ts'
import {
  codeOf,
  fullError,
  ifAny,
  nodeFiles,
  type OpenDirectory,
  openDirectory,
  readIfAny,
  type SpoolFiles,
  spoolError,
  translateError,
  UNFINISHED,
} from './files.ts'
import { decodeNote, type EntryNote } from './note.ts'
import { SpoolRoot, type SpoolOptions, type SpoolUsage } from './root.ts'

export type { BlobName } from './blobs.ts'
export type { Entry } from './entry.ts'
export type { SpoolOptions, SpoolUsage } from './root.ts'

/** What is seen of an entry without taking it. */
export interface Glimpse {
  readonly note: EntryNote | 'corrupt' | undefined
  /** Of its blobs. */
  readonly bytes: number
}

/**
 * Opens a spool, made where only its own directory is missing.
 * @throws CoreliftError `E_SPOOL` when it is not one to trust, or cannot be used.
 */
export async function openSpool(
  os: Pick<Os, 'tryLock'>,
  options: SpoolOptions,
  files: SpoolFiles = nodeFiles,
): Promise<Spool> {
  const { key, path } = options
  try {
    const directory = await makeAndOpen(options, files)
    const problem = privateDirProblem(await factsOf(files, directory, options.allowRootFilesystem))
    if (problem === undefined) return new Spool(os, options, files, directory)
    await directory.handle.close()
    throw spoolError(key, path, problem)
  } catch (error) {
    throw translateError(key, path, 'open', error)
  }
}

export class Spool {
  readonly #os: Pick<Os, 'tryLock'>
  readonly #files: SpoolFiles
  readonly #directory: OpenDirectory
  readonly #root: SpoolRoot

  constructor(os: Pick<Os, 'tryLock'>, options: SpoolOptions, files: SpoolFiles, directory: OpenDirectory) {
    this.#os = os
    this.#files = files
    this.#directory = directory
    const claim = async (id: string) => {
      const entry = await this.claim(id)
      return entry === 'busy' ? undefined : entry
    }
    this.#root = new SpoolRoot(os, options, files, directory, claim)
  }

  /** Executables and libraries that wait, beside the crashes. */
  get debugFiles(): DebugFileSpool {
    return this.#root.debugFiles
  }

  /** Makes an entry, and holds it. @throws CoreliftError `E_SPOOL` also where there is no room even for a note. */
  async create(id: string): Promise<Entry> {
    return await this.#step(`make ${id}`, async () => {
      const { key, path } = this.#root
      const entry = await this.#root.admit(() => this.#make(id))
      if (entry === undefined) throw fullError(key, path)
      // Its name has to be there after a power cut, too.
      await this.#directory.handle.sync()
      return entry
    })
  }

  async #make(id: string): Promise<Entry> {
    const path = `${this.#directory.path}/${id}`
    await this.#files.mkdir(path, { mode: 0o700 })
    const directory = await openDirectory(this.#files, path)
    // A sweep that looks in just now lets it go at once.
    while (!this.#os.tryLock(directory.handle.fd)) await new Promise(resolve => setTimeout(resolve, 1))
    return new Entry(this.#root, id, directory)
  }

  /** Oldest first. */
  async ids(): Promise<string[]> {
    const names = await this.#files.readdir(this.#directory.path)
    return names.filter(name => CRASH_ID.test(name)).sort()
  }

  /** Takes an entry that is nobody's. @returns undefined where there is none of that id. */
  async claim(id: string): Promise<Entry | 'busy' | undefined> {
    return await this.#step(`open ${id}`, async () => {
      const path = `${this.#directory.path}/${id}`
      const directory = await ifAny(() => openDirectory(this.#files, path))
      if (directory === undefined) return undefined
      if (!this.#os.tryLock(directory.handle.fd)) {
        await directory.handle.close()
        return 'busy'
      }
      const entry = new Entry(this.#root, id, directory)
      try {
        // Whoever had it may have been done with it in between.
        if ((await ifAny(() => this.#files.stat(path))) !== undefined) return await entry.load()
      } catch (error) {
        await entry.release()
        throw error
      }
      await entry.release()
      return undefined
    })
  }

  /** Looks at an entry, whoever has it. */
  async peek(id: string): Promise<Glimpse | undefined> {
    return await this.#step(`look at ${id}`, async () => {
      const path = `${this.#directory.path}/${id}`
      const files = await ifAny(() => this.#files.readdir(path))
      if (files === undefined) return undefined
      const text = await readIfAny(this.#files, `${path}/${NOTE_FILE}`)
      return { note: text && decodeNote(text), bytes: blobBytes(contentsOf(files)) }
    })
  }

  async usage(): Promise<SpoolUsage> {
    return await this.#step('look at', () => this.#root.usage())
  }

  /** Counts a crash of which nothing is left; see `SpoolUsage.lost`. */
  async countLost(): Promise<void> {
    await this.#step('count', () => this.#root.countLost())
  }

  /** Removes what was left by those who were killed while they removed, or wrote. */
  async tidy(): Promise<void> {
    await this.#step('tidy', async () => {
      for (const name of await this.#files.readdir(this.#directory.path)) {
        const path = `${this.#directory.path}/${name}`
        if (name.startsWith(DONE)) await this.#files.rm(path, { recursive: true, force: true })
        if (CRASH_ID.test(name)) await this.#tidyEntry(name)
      }
    })
  }

  async close(): Promise<void> {
    await this.#directory.handle.close()
  }

  async #tidyEntry(id: string): Promise<void> {
    const path = `${this.#directory.path}/${id}`
    const left = ((await ifAny(() => this.#files.readdir(path))) ?? []).filter(name =>
      name.startsWith(UNFINISHED),
    )
    if (left.length === 0) return
    const entry = await this.claim(id)
    if (entry === undefined || entry === 'busy') return
    for (const name of left) await this.#files.rm(`${path}/${name}`, { force: true })
    await entry.release()
  }

  async #step<T>(what: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act()
    } catch (error) {
      throw translateError(this.#root.key, this.#root.path, what, error)
    }
  }
}

async function makeAndOpen(options: SpoolOptions, files: SpoolFiles): Promise<OpenDirectory> {
  const { key, path, allowRootFilesystem } = options
  const there = await ifAny(() => openDirectory(files, path))
  if (there) return there
  const parent = await openDirectory(files, dirname(path)).catch((error: unknown) => {
    throw spoolError(key, path, `cannot be made: ${codeOf(error)}`, error)
  })
  try {
    // Looked at before anything is made: the root file system is not written to, not even a directory.
    if (isOnRootDisk(await factsOf(files, parent, allowRootFilesystem)))
      throw spoolError(key, path, 'is on the root file system')
    await files.mkdir(`${parent.path}/${basename(path)}`, { mode: 0o700 }).catch((error: unknown) => {
      if (codeOf(error) !== 'EEXIST') throw error // another handler was faster
    })
  } finally {
    await parent.handle.close()
  }
  return await openDirectory(files, path)
}

async function factsOf(
  files: SpoolFiles,
  { handle, path }: OpenDirectory,
  allowRootFilesystem: boolean,
): Promise<PrivateDirFacts> {
  const { mode, uid, dev } = await handle.stat()
  const isRoot = dev === (await files.stat('/')).dev
  return {
    mode,
    uid,
    euid: process.geteuid!(),
    onRootFilesystem: isRoot && !allowRootFilesystem,
    filesystemType: (await files.statfs(path)).type,
  }
}
