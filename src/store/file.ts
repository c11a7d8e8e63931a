// A store in a directory on a big disk. Objects appear whole (rename(2)) and survive a power cut (fsync(2) of the file
// and of its directory). Keys are paths, but for components longer than a file name may be; see file-path.ts.

import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CoreliftError } from '../errors.ts'
import { printable } from '../printable.ts'
import { isAbsence, translateFileError } from './file-errors.ts'
import { listKeys } from './file-list.ts'
import { INCOMING, pathOfKey } from './file-path.ts'
import type { ListOptions, ListPage, PartReceipt, Store, Upload } from './store.ts'

export interface FileStoreOptions {
  /** Accept a directory on the file system that the node lives on. */
  readonly allowRootFilesystem: boolean
}

/** As S3's pages. */
const PAGE_KEYS = 1000
/** Cores hold other people's memory: nobody but the owner (root, on a node) reads them. */
const FILE_MODE = 0o600
const DIRECTORY_MODE = 0o700

/**
 * @param directory - Absolute path of an existing directory.
 * @throws CoreliftError `E_STORE_ROOT_FILESYSTEM`, `E_STORE_ABSENT`, `E_STORE_DENIED`.
 */
export async function openFileStore(directory: string, options: FileStoreOptions): Promise<Store> {
  // Before anything else: where a disk is not mounted, its mount point may be missing, or be a plain directory.
  if (!options.allowRootFilesystem) await refuseRootFilesystem(directory)
  await guard(`open ${directory}`, async () => {
    if ((await stat(directory)).isDirectory()) return
    throw new CoreliftError('E_STORE_ABSENT', `${printable(directory)} is not a directory`)
  })
  return new FileStore(directory)
}

async function refuseRootFilesystem(directory: string): Promise<void> {
  const device = await deviceOf(directory)
  if (device !== (await stat('/')).dev) return
  throw new CoreliftError('E_STORE_ROOT_FILESYSTEM', `${printable(directory)} is on the root file system`, {
    hint: 'mount a disk there; or, should cores be allowed to fill the root disk: store.allow_root_filesystem = true',
  })
}

/** @returns st_dev of the directory, or of the nearest parent that exists. */
async function deviceOf(directory: string): Promise<number> {
  for (let path = directory; ; path = dirname(path)) {
    try {
      return (await stat(path)).dev
    } catch (error) {
      const absent = (error as NodeJS.ErrnoException).code === 'ENOENT'
      if (!absent || path === dirname(path))
        throw translateFileError(error, `open ${directory}`, 'E_STORE_ABSENT')
    }
  }
}

async function guard<T>(
  operation: string,
  step: () => Promise<T>,
  absent: 'E_STORE_ABSENT' | 'E_STORE_NO_OBJECT' = 'E_STORE_ABSENT',
): Promise<T> {
  try {
    return await step()
  } catch (error) {
    throw translateFileError(error, operation, absent)
  }
}

class FileStore implements Store {
  readonly url: string
  readonly #directory: string

  constructor(directory: string) {
    this.url = `file://${directory}`
    this.#directory = directory
  }

  put(key: string, body: Uint8Array): Promise<void> {
    return guard(`write ${key}`, async () => {
      const path = pathOfKey(this.#directory, key)
      const incoming = await createIncoming(this.#directory)
      try {
        await writeFully(incoming.handle, body, 0)
        await publish(incoming, path)
      } catch (error) {
        await discard(incoming)
        throw error
      }
    })
  }

  get(key: string): Promise<Uint8Array> {
    return this.#read(key, (handle, bytes) => readFully(handle, 0, bytes))
  }

  getRange(key: string, offset: number, length: number): Promise<Uint8Array> {
    return this.#read(key, (handle, bytes) =>
      readFully(handle, offset, Math.max(0, Math.min(length, bytes - offset))),
    )
  }

  size(key: string): Promise<number | undefined> {
    return guard(`size of ${key}`, () => sizeOf(this.#directory, key))
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ListPage> {
    const keys = listKeys(this.#directory, prefix, options)
    for (;;) {
      const page = await guard(`list ${prefix}`, () => nextPage(this.#directory, keys))
      if (!page) return
      yield page
    }
  }

  startUpload(key: string): Promise<Upload> {
    return guard(`write ${key}`, async () => {
      const path = pathOfKey(this.#directory, key)
      return new FileUpload(key, path, await createIncoming(this.#directory))
    })
  }

  /** Nothing stays open: uploads own their files until `complete` or `abort`. */
  close(): void {}

  #read(key: string, step: (handle: FileHandle, bytes: number) => Promise<Uint8Array>): Promise<Uint8Array> {
    const read = async (): Promise<Uint8Array> => {
      const handle = await open(pathOfKey(this.#directory, key))
      try {
        const found = await handle.stat()
        if (found.isFile()) return await step(handle, found.size)
        throw new CoreliftError('E_STORE_NO_OBJECT', `read ${printable(key)}: no such object`)
      } finally {
        await handle.close()
      }
    }
    return guard(`read ${key}`, read, 'E_STORE_NO_OBJECT')
  }
}

class FileUpload implements Upload {
  readonly #key: string
  readonly #path: string
  readonly #incoming: Incoming
  readonly #parts = new Map<number, { readonly offset: number; readonly length: number }>()

  constructor(key: string, path: string, incoming: Incoming) {
    this.#key = key
    this.#path = path
    this.#incoming = incoming
  }

  putPart(number: number, offset: number, body: Uint8Array): Promise<PartReceipt> {
    return guard(`write part ${number} of ${this.#key}`, async () => {
      await writeFully(this.#incoming.handle, body, offset)
      this.#parts.set(number, { offset, length: body.length })
      return { number, etag: `${offset}+${body.length}` }
    })
  }

  complete(receipts: readonly PartReceipt[]): Promise<void> {
    return guard(`complete ${this.#key}`, async () => {
      const bytes = this.#bytesWithoutGaps(receipts)
      // A part that was written twice may have been longer the first time.
      await this.#incoming.handle.truncate(bytes)
      await publish(this.#incoming, this.#path)
    })
  }

  abort(): Promise<void> {
    return guard(`abort ${this.#key}`, () => discard(this.#incoming))
  }

  #bytesWithoutGaps(receipts: readonly PartReceipt[]): number {
    let bytes = 0
    for (const [index, { number, etag }] of receipts.entries()) {
      const part = this.#parts.get(number)
      const fits = number === index + 1 && part?.offset === bytes && etag === `${part.offset}+${part.length}`
      if (!fits) throw new CoreliftError('E_STORE_PROTOCOL', `part ${index + 1} of ${this.#key} is missing`)
      bytes += part.length
    }
    return bytes
  }
}

/** A file that is no object yet. */
interface Incoming {
  readonly path: string
  readonly handle: FileHandle
}

async function createIncoming(directory: string): Promise<Incoming> {
  const folder = join(directory, INCOMING)
  await mkdir(folder, { recursive: true, mode: DIRECTORY_MODE })
  const path = join(folder, randomUUID())
  return { path, handle: await open(path, 'wx', FILE_MODE) }
}

async function publish({ path: from, handle }: Incoming, to: string): Promise<void> {
  await handle.sync()
  const folder = dirname(to)
  const firstMade = await mkdir(folder, { recursive: true, mode: DIRECTORY_MODE })
  await rename(from, to)
  await handle.close()
  // A new directory is itself an entry of its parent, up to the first parent that was there before.
  const last = firstMade === undefined ? folder : dirname(firstMade)
  for (let path = folder; ; path = dirname(path)) {
    await syncDirectory(path)
    if (path === last) return
  }
}

async function discard({ path, handle }: Incoming): Promise<void> {
  // Closing fails when it is closed already; what matters is the file.
  await handle.close().catch(() => undefined)
  await rm(path, { force: true })
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** write(2) may take less than it is given, at the latest at 2 GiB. */
async function writeFully(handle: FileHandle, body: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < body.length;) {
    done += (await handle.write(body, done, body.length - done, offset + done)).bytesWritten
  }
}

async function readFully(handle: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const into = Buffer.allocUnsafeSlow(length)
  for (let done = 0; done < length;) {
    const { bytesRead } = await handle.read(into, done, length - done, offset + done)
    if (bytesRead === 0) return into.subarray(0, done)
    done += bytesRead
  }
  return into
}

async function sizeOf(directory: string, key: string): Promise<number | undefined> {
  try {
    const found = await stat(pathOfKey(directory, key))
    return found.isFile() ? found.size : undefined
  } catch (error) {
    if (isAbsence((error as NodeJS.ErrnoException).code)) return undefined
    throw error
  }
}

async function nextPage(directory: string, keys: AsyncIterator<string>): Promise<ListPage | undefined> {
  const names: string[] = []
  while (names.length < PAGE_KEYS) {
    const next = await keys.next()
    if (next.done) break
    names.push(next.value)
  }
  if (names.length === 0) return undefined
  const found = names.filter(name => !name.endsWith('/'))
  const objects = await Promise.all(found.map(async key => ({ key, bytes: await sizeOf(directory, key) })))
  return {
    // Without those that went away in between.
    objects: objects.flatMap(({ key, bytes }) => (bytes === undefined ? [] : [{ key, bytes }])),
    prefixes: names.filter(name => name.endsWith('/')),
  }
}
