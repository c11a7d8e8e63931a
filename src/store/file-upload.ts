// An upload into a file store: parts are written into one file, each at its place. Nothing is kept in memory nor open
// between two calls, so that another process can go on with it, and one that is gone is noticed.

import { open, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CoreliftError } from '../errors.ts'
import { printable } from '../printable.ts'
import { isAbsence } from './file-errors.ts'
import { discard, type Incoming, incomingOf, publish, readKey } from './file-incoming.ts'
import { guard, statFile, syncDirectories, writeFully } from './file-io.ts'
import { pathOfKey } from './file-path.ts'
import type { ETag, PartReceipt, Upload } from './store.ts'

export class FileUpload implements Upload {
  readonly id: string
  readonly #directory: string
  readonly #key: string
  /** undefined: the id is another store's. */
  readonly #incoming: Incoming | undefined

  constructor(directory: string, key: string, id: string) {
    this.id = id
    this.#directory = directory
    this.#key = key
    this.#incoming = incomingOf(directory, id)
  }

  putPart(number: number, offset: number, body: Uint8Array): Promise<PartReceipt> {
    return guard(`write part ${number} of ${this.#key}`, async () => {
      const { handle } = await this.#open()
      try {
        await writeFully(handle, body, offset)
        // The receipt may outlive a power cut (in a spool): what it says has to as well.
        await handle.datasync()
      } finally {
        await handle.close()
      }
      return { number, etag: `${offset}+${body.length}`, bytes: body.length }
    })
  }

  complete(receipts: readonly PartReceipt[]): Promise<ETag> {
    return guard(`complete ${this.#key}`, async () => {
      const bytes = bytesWithoutGaps(this.#key, receipts)
      const path = pathOfKey(this.#directory, this.#key)
      try {
        return await this.#publish(path, bytes)
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code !== 'E_STORE_NO_UPLOAD' && !isAbsence(code)) throw error
        return await this.#published(path, bytes, error)
      }
    })
  }

  abort(): Promise<void> {
    return guard(`abort ${this.#key}`, async () => {
      if (!this.#incoming) return
      const key = await readKey(this.#incoming)
      if (key === undefined || key === this.#key) await discard(this.#incoming)
    })
  }

  async #publish(path: string, bytes: number): Promise<ETag> {
    const { incoming, handle } = await this.#open()
    try {
      const { size } = await handle.stat()
      if (size < bytes) throw this.#gone('its file has lost parts')
      // A part that was written twice may have been longer the first time.
      if (size > bytes) await handle.truncate(bytes)
      return await publish(incoming, handle, path)
    } finally {
      await handle.close()
    }
  }

  /** Of an upload that is gone: a `complete` that succeeded, whose answer was lost or whose end was not reached? */
  async #published(path: string, bytes: number, error: unknown): Promise<ETag> {
    const found = await statFile(path)
    if (found?.bytes !== bytes) {
      throw error instanceof CoreliftError ? error : this.#gone('its file is gone', error)
    }
    await syncDirectories(dirname(path), this.#directory)
    await this.abort()
    return found.etag
  }

  async #open(): Promise<{ incoming: Incoming; handle: FileHandle }> {
    const incoming = this.#incoming
    try {
      if (incoming && (await readKey(incoming)) === this.#key) {
        return { incoming, handle: await open(incoming.path, 'r+') }
      }
    } catch (error) {
      if (!isAbsence((error as NodeJS.ErrnoException).code)) throw error
    }
    // A store that is gone altogether may come back with its uploads.
    await guard(`open ${this.#directory}`, () => stat(this.#directory))
    throw this.#gone('its file is gone')
  }

  #gone(why: string, cause?: unknown): CoreliftError {
    return new CoreliftError('E_STORE_NO_UPLOAD', `upload of ${printable(this.#key)}: ${why}`, {
      hint: 'unfinished files are in .incoming of the store: does something clean up there?',
      cause,
    })
  }
}

function bytesWithoutGaps(key: string, receipts: readonly PartReceipt[]): number {
  let end = 0
  for (const [index, { number, etag, bytes }] of receipts.entries()) {
    if (number !== index + 1 || etag !== `${end}+${bytes}`) {
      throw new CoreliftError('E_STORE_NO_UPLOAD', `part ${index + 1} of ${printable(key)} is missing`)
    }
    end += bytes
  }
  return end
}
