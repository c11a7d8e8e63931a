// Executables and libraries that the store did not take, as they will be stored: of the lowest worth, for the next crash of
// the same program brings them again. They may have a quarter of the spool, and are the first to give way in it.
import { createHash, randomUUID } from 'node:crypto'
import { ifAny, isFull, openDirectory, type OpenDirectory, type SpoolFiles, UNFINISHED } from './files.ts'

const DIRECTORY = 'files'
const SHARE = 0.25
/** The key, with commas, as keys of these files have none; size and checksum. */
const NAME = /^(buildid,(?:sha256-)?[0-9a-f]{2,128},executable)\.(\d{1,15})\.([0-9a-f]{64})$/
const KEY = /^buildid\/(?:sha256-)?[0-9a-f]{2,128}\/executable$/
/** What is being written counts with all that it may become. */
const BEGUN = /^\.new-[0-9a-f-]{36}\.(\d{1,15})$/
const READ_BYTES = 1024 * 1024
/** No handler sends files for so long. */
const ABANDONED_MS = 2 * 3600 * 1000

/** A file that waits. */
export interface SpooledFile {
  readonly key: string
  /** As stored. */
  readonly bytes: number
  readonly sha256: string
  readonly name: string
}

export interface DebugFileBounds {
  readonly bytesMax: number
  readonly takesBlobs: boolean
}

type Write = (bytes: Uint8Array) => Promise<void> | undefined

export class DebugFileSpool {
  readonly #files: SpoolFiles
  readonly #root: OpenDirectory
  readonly #bounds: DebugFileBounds
  /** Whether the spool has room for so many bytes more. */
  readonly #fits: (bytes: number) => Promise<boolean>

  constructor(
    files: SpoolFiles,
    root: OpenDirectory,
    bounds: DebugFileBounds,
    fits: (bytes: number) => Promise<boolean>,
  ) {
    this.#files = files
    this.#root = root
    this.#bounds = bounds
    this.#fits = fits
  }

  async list(): Promise<SpooledFile[]> {
    return (await this.#names()).flatMap(name => {
      const [, key, bytes, sha256 = ''] = NAME.exec(name) ?? []
      return key === undefined ? [] : [{ key: key.replaceAll(',', '/'), bytes: Number(bytes), sha256, name }]
    })
  }

  /** Taken by those that are there, and by those that are being written. */
  async bytes(): Promise<number> {
    return bytesOf(await this.#names())
  }

  /**
   * Keeps a file.
   * @param bytes - At most.
   * @param writeTo - Writes it as it will be stored; what it throws is thrown.
   * @returns Whether it is there: not where there is no room.
   */
  async keep(key: string, bytes: number, writeTo: (write: Write) => Promise<void>): Promise<boolean> {
    if (!this.#bounds.takesBlobs || !KEY.test(key)) return false
    const names = await this.#names()
    const stem = `${key.replaceAll('/', ',')}.`
    if (names.some(name => name.startsWith(stem))) return true
    if (bytesOf(names) + bytes > this.#bounds.bytesMax * SHARE || !(await this.#fits(bytes))) return false
    await this.#make()
    const begun = `${UNFINISHED}${randomUUID()}.${bytes}`
    try {
      const { stored, sha256 } = await this.#write(begun, writeTo)
      await this.#files.rename(this.#path(begun), this.#path(`${stem}${stored}.${sha256}`))
      return true
    } catch (error) {
      await this.#files.rm(this.#path(begun), { force: true }).catch(() => undefined)
      if (isFull(error)) return false
      throw error
    }
  }

  /** @throws Error when the disk gives back something else than was written. */
  async *read({ name, sha256 }: SpooledFile): AsyncGenerator<Uint8Array> {
    const handle = await this.#files.open(this.#path(name), 'r')
    const hash = createHash('sha256')
    const buffer = new Uint8Array(READ_BYTES)
    try {
      for (;;) {
        const { bytesRead } = await handle.read(buffer, 0, buffer.length)
        if (bytesRead === 0) break
        hash.update(buffer.subarray(0, bytesRead))
        yield buffer.subarray(0, bytesRead)
      }
    } finally {
      await handle.close()
    }
    if (hash.digest('hex') !== sha256) throw new DamagedFileError(name)
  }

  async drop(name: string): Promise<void> {
    await this.#files.rm(this.#path(name), { force: true })
  }

  /** Gives one up. @returns Whether there was any. */
  async evict(): Promise<boolean> {
    const [name] = (await this.#names()).filter(each => NAME.test(each) || BEGUN.test(each))
    if (name !== undefined) await this.drop(name)
    return name !== undefined
  }

  /** Removes what handlers left that were killed. */
  async tidy(now: number): Promise<void> {
    for (const name of (await this.#names()).filter(each => BEGUN.test(each))) {
      const found = await ifAny(() => this.#files.stat(this.#path(name)))
      if (found !== undefined && now - found.mtimeMs > ABANDONED_MS) await this.drop(name)
    }
  }

  async #write(
    name: string,
    writeTo: (write: Write) => Promise<void>,
  ): Promise<{ stored: number; sha256: string }> {
    const handle = await this.#files.open(this.#path(name), 'wx', 0o600)
    const hash = createHash('sha256')
    let stored = 0
    try {
      await writeTo(async bytes => {
        hash.update(bytes)
        stored += bytes.length
        await handle.writeFile(bytes)
      })
      await handle.sync()
    } finally {
      await handle.close()
    }
    return { stored, sha256: hash.digest('hex') }
  }

  async #names(): Promise<string[]> {
    return (await ifAny(() => this.#files.readdir(this.#path('')))) ?? []
  }

  /** As an entry, it is only its owner's. */
  async #make(): Promise<void> {
    await this.#files.mkdir(this.#path(''), { mode: 0o700 }).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    })
    await (await openDirectory(this.#files, this.#path(''))).handle.close()
  }

  #path(name: string): string {
    return `${this.#root.path}/${DIRECTORY}/${name}`
  }
}

/** What is in the spool is not what was put there. */
export class DamagedFileError extends Error {
  constructor(name: string) {
    super(`${name} is damaged`)
  }
}

function bytesOf(names: readonly string[]): number {
  return names.reduce((sum, name) => sum + Number(NAME.exec(name)?.[2] ?? BEGUN.exec(name)?.[1] ?? 0), 0)
}
