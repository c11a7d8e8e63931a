// Keys of a file store in the byte order that S3 lists them in, which is not the order of a walk: `a-b` comes before
// `a/c`, and a long component is spread over several directories (file-path.ts).

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isAbsence } from './file-errors.ts'
import { CONTINUED, directoryOfPrefix, INCOMING } from './file-path.ts'
import type { ListOptions } from './store.ts'

/**
 * @returns Keys that begin with `prefix`, in byte order; groups, where asked for, end in `/`.
 * @throws What readdir(3) throws; a directory that is not there has no keys.
 */
export async function* listKeys(
  directory: string,
  prefix: string,
  { grouped = false, after = '' }: ListOptions,
): AsyncGenerator<string> {
  const { path, named } = directoryOfPrefix(directory, prefix)
  for await (const key of walk(path, named, { prefix, after, grouped })) yield key
}

interface Wanted {
  readonly prefix: string
  readonly after: string
  readonly grouped: boolean
}

async function* walk(directory: string, parents: string, wanted: Wanted): AsyncGenerator<string> {
  for (const { name, path } of await readEntries(directory)) {
    const key = parents + name
    // Entries are in order, so that a listing of one pod does not read the other pods' directories.
    if (!key.startsWith(wanted.prefix)) continue
    if (!key.endsWith('/')) {
      if (key > wanted.after) yield key
    } else if (key > wanted.after || wanted.after.startsWith(key)) {
      const below = walk(path, key, { ...wanted, grouped: false })
      if (!wanted.grouped) yield* below
      // A directory whose object never came is no group.
      else if (!(await below.next()).done) yield key
    }
  }
}

interface Entry {
  /** The component, with a `/` where keys go on below it. */
  readonly name: string
  readonly path: string
}

/** @returns What a directory holds, with long components put together again, in byte order. */
async function readEntries(directory: string): Promise<Entry[]> {
  const entries: Entry[] = []
  for (const found of await readdirIfAny(directory)) {
    const path = join(directory, found.name)
    if (found.name.endsWith(CONTINUED)) {
      const beginning = found.name.slice(0, -CONTINUED.length)
      for (const rest of await readEntries(path)) {
        entries.push({ ...rest, name: beginning + rest.name.slice(CONTINUED.length) })
      }
    } else if (found.name !== INCOMING) {
      entries.push({ name: found.isDirectory() ? `${found.name}/` : found.name, path })
    }
  }
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
}

async function readdirIfAny(directory: string) {
  try {
    return await readdir(directory, { withFileTypes: true })
  } catch (error) {
    if (isAbsence((error as NodeJS.ErrnoException).code)) return []
    throw error
  }
}
