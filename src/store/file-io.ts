// File system calls as a file store makes them: all or an error, errors in the store's words.

import { constants } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isAbsence, translateFileError } from './file-errors.ts'
import type { ETag, StoredObject } from './store.ts'

/** Cores hold other people's memory: nobody but the owner (root, on a node) reads them. */
export const FILE_MODE = 0o600
export const DIRECTORY_MODE = 0o700

/** Runs a step and translates its errors. */
export async function guard<T>(
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

/** @returns undefined where no file is. */
export async function statFile(path: string): Promise<StoredObject | undefined> {
  try {
    const found = await stat(path, { bigint: true })
    return found.isFile()
      ? { bytes: Number(found.size), modifiedAt: found.mtime, etag: etagOf(found) }
      : undefined
  } catch (error) {
    if (isAbsence((error as NodeJS.ErrnoException).code)) return undefined
    throw error
  }
}

/** The same after a rename, another one for another file or other content. */
export function etagOf({ ino, size, mtimeNs }: { ino: bigint; size: bigint; mtimeNs: bigint }): ETag {
  return `${ino}-${size}-${mtimeNs}`
}

/** write(2) may take less than it is given, at the latest at 2 GiB. */
export async function writeFully(handle: FileHandle, body: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < body.length;) {
    done += (await handle.write(body, done, body.length - done, offset + done)).bytesWritten
  }
}

/** @returns Less than `length` only at the file's end. */
export async function readFully(handle: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const into = Buffer.allocUnsafeSlow(length)
  for (let done = 0; done < length;) {
    const { bytesRead } = await handle.read(into, done, length - done, offset + done)
    if (bytesRead === 0) return into.subarray(0, done)
    done += bytesRead
  }
  return into
}

/** Makes entries of `from` and of its parents, up to and including `to`, survive a power cut. */
export async function syncDirectories(from: string, to: string): Promise<void> {
  for (let path = from; ; path = dirname(path)) {
    const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
    if (path === to || path === dirname(path)) return
  }
}
