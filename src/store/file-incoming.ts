// Files of a file store that are no objects yet: `.incoming/<id>`, and beside each a symbolic link `<id>.key` whose
// target is no path but the key (symlink(2): made whole or not at all, without an fsync). The link is made before the
// file and removed after it, so that whatever a killed writer leaves is listed, and can be aborted.

import { randomUUID } from 'node:crypto'
import { lstat, mkdir, open, readdir, readlink, rename, rm, symlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isAbsence } from './file-errors.ts'
import { DIRECTORY_MODE, etagOf, FILE_MODE, syncDirectories } from './file-io.ts'
import { INCOMING } from './file-path.ts'
import type { ETag, UnfinishedUpload } from './store.ts'

/** What ids look like: the names of files, so nothing else may become one. */
const ID = /^[0-9a-f-]{36}$/
const LINK_END = '.key'

/** A file that is no object yet, or where it would be. */
export interface Incoming {
  readonly id: string
  readonly path: string
  readonly link: string
}

/** @returns undefined for what is no id of this store. */
export function incomingOf(directory: string, id: string): Incoming | undefined {
  if (!ID.test(id)) return undefined
  const path = join(directory, INCOMING, id)
  return { id, path, link: path + LINK_END }
}

/** Makes an empty one. */
export async function createIncoming(directory: string, key: string): Promise<Incoming> {
  await mkdir(join(directory, INCOMING), { recursive: true, mode: DIRECTORY_MODE })
  const incoming = incomingOf(directory, randomUUID())!
  await symlink(key, incoming.link)
  try {
    await (await open(incoming.path, 'wx', FILE_MODE)).close()
  } catch (error) {
    await discard(incoming)
    throw error
  }
  return incoming
}

/** @returns The key that a file is to become, or undefined when it is gone. */
export async function readKey({ link }: Incoming): Promise<string | undefined> {
  try {
    return await readlink(link)
  } catch (error) {
    if (isAbsence((error as NodeJS.ErrnoException).code)) return undefined
    throw error
  }
}

/**
 * Makes a file the object at `to`, for good.
 * @param handle - Of the file; stays open.
 */
export async function publish({ path, link }: Incoming, handle: FileHandle, to: string): Promise<ETag> {
  await handle.sync()
  const etag = etagOf(await handle.stat({ bigint: true }))
  const folder = dirname(to)
  const firstMade = await mkdir(folder, { recursive: true, mode: DIRECTORY_MODE })
  await rename(path, to)
  // A new directory is itself an entry of its parent, up to the first parent that was there before.
  await syncDirectories(folder, firstMade === undefined ? folder : dirname(firstMade))
  await rm(link, { force: true })
  return etag
}

export async function discard({ path, link }: Incoming): Promise<void> {
  await rm(path, { force: true })
  await rm(link, { force: true })
}

/** @returns All whose keys begin with `prefix`, by key; those of a `put` that is under way or was killed too. */
export async function listIncoming(directory: string, prefix: string): Promise<UnfinishedUpload[]> {
  const uploads: UnfinishedUpload[] = []
  for (const name of await namesIn(join(directory, INCOMING))) {
    const incoming = name.endsWith(LINK_END) && incomingOf(directory, name.slice(0, -LINK_END.length))
    const upload = incoming && (await readUpload(incoming))
    if (upload && upload.key.startsWith(prefix)) uploads.push(upload)
  }
  return uploads.sort((a, b) => (a.key === b.key ? compare(a.id, b.id) : compare(a.key, b.key)))
}

async function readUpload(incoming: Incoming): Promise<UnfinishedUpload | undefined> {
  try {
    const found = await lstat(incoming.link)
    if (!found.isSymbolicLink()) return undefined
    return { key: await readlink(incoming.link), id: incoming.id, startedAt: found.mtime }
  } catch (error) {
    // Completed or aborted in between.
    if (isAbsence((error as NodeJS.ErrnoException).code)) return undefined
    throw error
  }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (isAbsence((error as NodeJS.ErrnoException).code)) return []
    throw error
  }
}

function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
