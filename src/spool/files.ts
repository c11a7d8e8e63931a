// The few calls of the file system that a spool is made of: all of them asynchronous, so that a disk that hangs keeps nobody
// from the deadline. An interface, for tests that kill and fail in between.
import { constants } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { CoreliftError } from '../errors.ts'
import { printable } from '../printable.ts'

export const nodeFiles = { mkdir, open, readdir, rename, rm, stat, statfs }
export type SpoolFiles = typeof nodeFiles

/** A directory that is open: what is in it is named through its descriptor, whatever becomes of its own name. */
export interface OpenDirectory {
  readonly handle: FileHandle
  readonly path: string
}

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW

export async function openDirectory(files: SpoolFiles, path: string): Promise<OpenDirectory> {
  const handle = await files.open(path, DIRECTORY)
  return { handle, path: `/proc/self/fd/${handle.fd}` }
}

/** What is being written: not there for whoever reads. */
export const UNFINISHED = '.new-'

/**
 * Writes a file that is there with all of its content or not at all, also after a power cut. Whoever is told its name has it
 * on the disk.
 */
export async function writeWhole(
  files: SpoolFiles,
  directory: OpenDirectory,
  name: string,
  content: Uint8Array,
): Promise<void> {
  const begun = `${directory.path}/${UNFINISHED}${name}`
  try {
    const handle = await files.open(begun, CREATE, 0o600)
    try {
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await files.rename(begun, `${directory.path}/${name}`)
  } catch (error) {
    // Half of it must not take the room that is wanting.
    await files.rm(begun, { force: true }).catch(() => undefined)
    throw error
  }
  await directory.handle.sync()
}

/** @returns Whether the disk had room for it; see `writeWhole`. */
export async function writeIfFits(...args: Parameters<typeof writeWhole>): Promise<boolean> {
  try {
    await writeWhole(...args)
    return true
  } catch (error) {
    if (isFull(error)) return false
    throw error
  }
}

/** @returns undefined where there is no such file. */
export async function readIfAny(files: SpoolFiles, path: string): Promise<Uint8Array | undefined> {
  return await ifAny(async () => {
    const handle = await files.open(path, READ)
    try {
      return await handle.readFile()
    } finally {
      await handle.close()
    }
  })
}

/** @returns undefined where what is looked for is not there. */
export async function ifAny<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look()
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error)
}

/** Whether a disk has no room: by bytes, by inodes, by quota. */
export function isFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT'].includes(codeOf(error))
}

const WORDS: Readonly<Record<string, string>> = {
  ENOSPC: 'no space, or no inodes, left on its disk',
  EDQUOT: 'the quota on its disk is used up',
  EROFS: 'its file system is read-only',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EIO: 'its disk fails',
  ENOENT: 'it is not there any more',
  ESTALE: 'its disk is gone',
  ENODEV: 'its disk is gone',
  ELOOP: 'it is no directory (symbolic links are not followed)',
  ENOTDIR: 'it is no directory (symbolic links are not followed)',
  EBUSY: 'others are at work in it',
}

/** What to do about a spool that takes nothing more. */
const HINT_FULL = 'corelift status shows what waits in it and why; corelift sweep sends it'

export function fullError(key: string, path: string, cause?: unknown): CoreliftError {
  const problem = `is full, and nothing in it gives way`
  return spoolError(key, path, problem, cause, HINT_FULL)
}

/** @param key - Of the configuration, that names the directory. */
export function spoolError(
  key: string,
  path: string,
  problem: string,
  cause?: unknown,
  hint = `${key} is a directory that only root can enter, on a disk that is not the root file system`,
): CoreliftError {
  return new CoreliftError('E_SPOOL', `${key} = ${JSON.stringify(printable(path))} ${problem}`, {
    hint,
    cause,
  })
}

export function translateError(key: string, path: string, what: string, error: unknown): CoreliftError {
  if (error instanceof CoreliftError) return error
  const code = codeOf(error)
  const problem = `cannot be used: ${what}: ${WORDS[code] ?? code}`
  return spoolError(key, path, problem, error, isFull(error) ? HINT_FULL : undefined)
}
