// The directory of what handlers share, `budget.state_dir`: only its owner can change what is in it, and it is not on the
// root disk.

import { closeSync, constants, fstatSync, mkdirSync, openSync, statfsSync, statSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { setTimeout as sleepMilliseconds } from 'node:timers/promises'
import { CoreliftError } from '../errors.ts'
import type { Os } from '../os/os.ts'
import { isOnRootDisk, type PrivateDirFacts, privateDirProblem } from '../private-dir.ts'

/**
 * Together a second. Whoever holds the lock reads and writes a file in memory, a few milliseconds at most; but in a burst
 * of crashes many want it, and it is then that budgets must be kept to: forty at once on two CPUs took more than 250 ms.
 */
const LOCK_PAUSES_MS = [1, 2, 4, 8, ...Array.from({ length: 60 }, () => 16)]

/**
 * Opens the directory, made when it is not there, and checks what was opened.
 * @returns A descriptor; what lies in the directory is opened below it: `/proc/self/fd/N/…`.
 * @throws CoreliftError `E_CONFIG` when it is not one to trust; see private-dir.ts.
 */
export function openStateDir(path: string): number {
  const fd = makeAndOpen(path)
  const problem = privateDirProblem(factsOf(fd))
  if (problem === undefined) return fd
  closeSync(fd)
  throw stateDirError(path, problem)
}

/**
 * Opens the directory to look at it; makes nothing.
 * @returns undefined when there is none.
 * @throws CoreliftError `E_CONFIG` as `openStateDir` does.
 */
export function openExistingStateDir(path: string): number | undefined {
  try {
    closeSync(openDirectory(path))
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw unopenable(path, error)
  }
  return openStateDir(path)
}

/**
 * Takes the lock of an open directory; closing it gives it back. It is the directory's own: files in it are replaced, so
 * that a lock on one could be one on a file that is gone.
 * @returns Whether it was given up by others within a second.
 */
export async function lockStateDir(
  os: Pick<Os, 'tryLock'>,
  directory: number,
  sleep: (milliseconds: number) => Promise<unknown> = sleepMilliseconds,
): Promise<boolean> {
  for (const pause of LOCK_PAUSES_MS) {
    if (os.tryLock(directory)) return true
    await sleep(pause)
  }
  return os.tryLock(directory)
}

function factsOf(fd: number): PrivateDirFacts {
  const { mode, uid, dev } = fstatSync(fd)
  return {
    mode,
    uid,
    euid: process.geteuid!(),
    onRootFilesystem: dev === statSync('/').dev,
    filesystemType: statfsSync(`/proc/self/fd/${fd}`).type,
  }
}

function makeAndOpen(path: string): number {
  try {
    return openDirectory(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw unopenable(path, error)
  }
  // Looked at before anything is made: the root file system is not written to, not even a directory.
  const parent = openParent(path)
  try {
    if (isOnRootDisk(factsOf(parent))) throw stateDirError(path, 'is on the root file system')
    mkdirSync(`/proc/self/fd/${parent}/${basename(path)}`, { mode: 0o700 })
  } catch (error) {
    if (error instanceof CoreliftError) throw error
    // Another handler was faster.
    if (codeOf(error) !== 'EEXIST') throw stateDirError(path, `cannot be made: ${codeOf(error)}`, error)
  } finally {
    closeSync(parent)
  }
  try {
    return openDirectory(path)
  } catch (error) {
    throw unopenable(path, error)
  }
}

function openDirectory(path: string): number {
  return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
}

function openParent(path: string): number {
  try {
    return openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY)
  } catch (error) {
    throw stateDirError(path, `cannot be made: ${codeOf(error)}`, error)
  }
}

function unopenable(path: string, error: unknown): CoreliftError {
  const isOther = codeOf(error) === 'ENOTDIR' || codeOf(error) === 'ELOOP'
  const problem = isOther
    ? 'is no directory (symbolic links are not followed)'
    : `cannot be opened: ${codeOf(error)}`
  const isForbidden = codeOf(error) === 'EACCES' || codeOf(error) === 'EPERM'
  return isForbidden
    ? new CoreliftError('E_CONFIG', messageOf(path, problem), { hint: 'only root may look', cause: error })
    : stateDirError(path, problem, error)
}

/** The error that says what is wrong with `budget.state_dir`. */
export function stateDirError(path: string, problem: string, cause?: unknown): CoreliftError {
  return new CoreliftError('E_CONFIG', messageOf(path, problem), {
    hint: 'name a directory on a tmpfs that only root can enter, such as /run/corelift; it is made when it is not there',
    cause,
  })
}

function messageOf(path: string, problem: string): string {
  return `budget.state_dir = ${JSON.stringify(path)} ${problem}`
}

export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error)
}
