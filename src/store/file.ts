// A store in a directory on a big disk. Objects appear whole (rename(2)) and survive a power cut (fsync(2) of the file
// and of its directory). Keys are paths, but for components longer than a file name may be; see file-path.ts.

import { open, stat, unlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CoreliftError } from '../errors.ts'
import { printable } from '../printable.ts'
import { isAbsence, translateFileError } from './file-errors.ts'
import { createIncoming, discard, listIncoming, publish } from './file-incoming.ts'
import { guard, readFully, statFile, writeFully } from './file-io.ts'
import { listKeys } from './file-list.ts'
import { pathOfKey } from './file-path.ts'
import { FileUpload } from './file-upload.ts'
import type {
  ETag,
  ObjectAbout,
  ListOptions,
  ListPage,
  Store,
  StoredObject,
  UnfinishedUpload,
  Upload,
} from './store.ts'

export interface FileStoreOptions {
  /** Accept a directory on the file system that the node lives on. */
  readonly allowRootFilesystem: boolean
}

/** As S3's pages. */
const PAGE_KEYS = 1000

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

class FileStore implements Store {
  readonly url: string
  readonly #directory: string

  constructor(directory: string) {
    this.url = `file://${directory}`
    this.#directory = directory
  }

  put(key: string, body: Uint8Array, { ifAbsent }: ObjectAbout = {}): Promise<ETag> {
    return guard(`write ${key}`, async () => {
      const path = pathOfKey(this.#directory, key)
      // Two that come at the same moment are of the same content.
      if (ifAbsent && (await statFile(path)) !== undefined) return ''
      const incoming = await createIncoming(this.#directory, key)
      try {
        const handle = await open(incoming.path, 'r+')
        try {
          await writeFully(handle, body, 0)
          return await publish(incoming, handle, path)
        } finally {
          await handle.close()
        }
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

  stat(key: string): Promise<StoredObject | undefined> {
    return guard(`stat ${key}`, async () => statFile(pathOfKey(this.#directory, key)))
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
      pathOfKey(this.#directory, key) // throws for what is no key
      const { id } = await createIncoming(this.#directory, key)
      return new FileUpload(this.#directory, key, id)
    })
  }

  resumeUpload(key: string, id: string): Upload {
    return new FileUpload(this.#directory, key, id)
  }

  async *listUploads(prefix: string): AsyncGenerator<readonly UnfinishedUpload[]> {
    const uploads = await guard(`list uploads ${prefix}`, () => listIncoming(this.#directory, prefix))
    while (uploads.length > 0) yield uploads.splice(0, PAGE_KEYS)
  }

  remove(key: string): Promise<void> {
    return guard(`remove ${key}`, async () => {
      try {
        // Its directories stay: a writer may be about to use them, and without objects they are listed nowhere.
        await unlink(pathOfKey(this.#directory, key))
      } catch (error) {
        if (!isAbsence((error as NodeJS.ErrnoException).code)) throw error
      }
    })
  }

  /** Nothing stays open. */
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

async function nextPage(directory: string, keys: AsyncIterator<string>): Promise<ListPage | undefined> {
  const names: string[] = []
  while (names.length < PAGE_KEYS) {
    const next = await keys.next()
    if (next.done) break
    names.push(next.value)
  }
  if (names.length === 0) return undefined
  const found = names.filter(name => !name.endsWith('/'))
  const objects = await Promise.all(
    found.map(async key => ({ key, bytes: (await statFile(pathOfKey(directory, key)))?.bytes })),
  )
  return {
    // Without those that went away in between.
    objects: objects.flatMap(({ key, bytes }) => (bytes === undefined ? [] : [{ key, bytes }])),
    prefixes: names.filter(name => name.endsWith('/')),
  }
}
