// A file that appears under its name only when it is whole: written under another name beside it, then linked or
// renamed. Blocks of zeros become holes, as most of a core's untouched memory is.

import { randomBytes } from 'node:crypto'
import { link, lstat, open, rename, unlink, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CoreliftError } from '../errors.ts'

/** The page and block size of every file system that matters: smaller holes save nothing. */
const BLOCK_BYTES = 4096
const ZEROS = Buffer.alloc(BLOCK_BYTES)

const HINTS: Readonly<Record<string, string>> = {
  ENOSPC: 'no space is left: -o FILE writes to another disk',
  EDQUOT: 'the disk quota is used up: -o FILE writes to another disk',
  EFBIG: 'the file system or `ulimit -f` does not allow a file of this size',
  EACCES: 'the directory is not writable: -o FILE writes elsewhere',
  EROFS: 'the file system is read-only: -o FILE writes elsewhere',
  ENOENT: 'the directory does not exist',
}

function outputError(path: string, cause: unknown): CoreliftError {
  const { code = '', message } = cause as NodeJS.ErrnoException
  const hint = HINTS[code]
  return new CoreliftError('E_OUTPUT', `cannot write ${path}: ${code || message}`, {
    ...(hint === undefined ? {} : { hint }),
    cause,
  })
}

function existsError(path: string): CoreliftError {
  return new CoreliftError('E_OUTPUT', `${path} exists`, {
    hint: '--force overwrites it, -o FILE writes elsewhere',
  })
}

/** A link is followed by neither: what is renamed over is the name itself. */
async function checkTarget(path: string, force: boolean): Promise<void> {
  const existing = await lstat(path).catch(() => undefined)
  if (existing === undefined) return
  if (!force) throw existsError(path)
  if (existing.isFile() || existing.isSymbolicLink()) return
  throw new CoreliftError('E_OUTPUT', `${path} is no regular file`, { hint: 'only files are overwritten' })
}

export class PartialFile {
  readonly path: string
  readonly #partialPath: string
  readonly #handle: FileHandle
  readonly #force: boolean
  #bytes = 0

  private constructor(path: string, partialPath: string, handle: FileHandle, force: boolean) {
    this.path = path
    this.#partialPath = partialPath
    this.#handle = handle
    this.#force = force
  }

  /**
   * Starts a file, readable by its owner alone: it will hold a process's memory.
   * @param force - Whether `finish` may replace a file that exists.
   * @throws CoreliftError `E_OUTPUT`
   */
  static async create(path: string, force: boolean): Promise<PartialFile> {
    await checkTarget(path, force)
    const partialPath = join(dirname(path), `.corelift-${randomBytes(6).toString('hex')}.partial`)
    try {
      return new PartialFile(path, partialPath, await open(partialPath, 'wx', 0o600), force)
    } catch (cause) {
      throw outputError(path, cause)
    }
  }

  /** Appends. @throws CoreliftError `E_OUTPUT` */
  async write(bytes: Uint8Array): Promise<void> {
    try {
      for (const [start, end] of dataRanges(bytes)) {
        await this.#writeAt(bytes.subarray(start, end), this.#bytes + start)
      }
    } catch (cause) {
      throw outputError(this.path, cause)
    }
    this.#bytes += bytes.length
  }

  /** Gives the file its name. @throws CoreliftError `E_OUTPUT`, also when the name was taken in the meantime. */
  async finish(): Promise<void> {
    try {
      await this.#handle.truncate(this.#bytes)
      await this.#handle.close()
      await (this.#force ? rename(this.#partialPath, this.path) : this.#linkOrRename())
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'EEXIST') throw existsError(this.path)
      throw outputError(this.path, cause)
    }
  }

  /** Removes what was written. Safe to call after a failure of anything above. */
  async discard(): Promise<void> {
    await unlink(this.#partialPath).catch(() => undefined)
    await this.#handle.close().catch(() => undefined)
  }

  async #writeAt(bytes: Uint8Array, position: number): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const { bytesWritten } = await this.#handle.write(bytes, at, bytes.length - at, position + at)
      at += bytesWritten
    }
  }

  /** link(2) fails on a name that exists, which rename(2) would replace. */
  async #linkOrRename(): Promise<void> {
    try {
      await link(this.#partialPath, this.path)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'EEXIST') throw cause
      // No hard links here (FAT, some network file systems): take the name first, then replace the empty file.
      await (await open(this.path, 'wx', 0o600)).close()
      await rename(this.#partialPath, this.path)
      return
    }
    await unlink(this.#partialPath)
  }
}

/** Ranges of whole blocks that are not all zeros. */
function* dataRanges(bytes: Uint8Array): Generator<[start: number, end: number]> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let start = 0
  for (let at = 0; at < buffer.length; at += BLOCK_BYTES) {
    const end = Math.min(at + BLOCK_BYTES, buffer.length)
    if (buffer.compare(ZEROS, 0, end - at, at, end) !== 0) continue
    if (at > start) yield [start, at]
    start = end
  }
  if (buffer.length > start) yield [start, buffer.length]
}
