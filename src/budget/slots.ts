// Slots: how many cores this node streams at once. A slot is a flock(2) on a file in a directory that only root may
// enter; the kernel drops the lock when the handler dies, however it dies, so nothing has to be cleaned up.

import { closeSync, constants, fstatSync, mkdirSync, openSync, statfsSync, statSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleepMilliseconds } from 'node:timers/promises'
import { CoreliftError } from '../errors.ts'
import type { Os } from '../os/os.ts'

/** statfs(2), f_type. */
const TMPFS_MAGIC = 0x01021994
const RAMFS_MAGIC = 0x858458f6

/** Between two looks at the slots: soon at first, for the many short cores, then at leisure. */
const PAUSE_FIRST_MS = 5
const PAUSE_MAX_MS = 200

/** The right to stream one core. */
export interface Slot {
  /** From 0. */
  readonly index: number
  /** Gives it back; again does nothing. The end of the process does the same. */
  release(): void
}

export interface SlotOptions {
  readonly stateDir: string
  /** How many there are; every handler of a node must be told the same. */
  readonly slots: number
  readonly waitSeconds: number
  readonly sleep?: (milliseconds: number) => Promise<unknown>
  /** Milliseconds of a clock that never jumps. */
  readonly now?: () => number
}

/** What `stateDirProblem` looks at. */
export interface StateDirFacts {
  readonly mode: number
  readonly uid: number
  readonly euid: number
  /** st_dev of the directory is that of `/`. */
  readonly onRootFilesystem: boolean
  /** statfs(2), f_type. */
  readonly filesystemType: number
}

/**
 * Takes a free slot, or waits for one.
 * @returns undefined when none became free in time.
 * @throws CoreliftError `E_CONFIG` when the directory is not one to trust; see `stateDirProblem`.
 */
export async function acquireSlot(os: Pick<Os, 'tryLock'>, options: SlotOptions): Promise<Slot | undefined> {
  const { stateDir, waitSeconds, sleep = sleepMilliseconds, now = () => performance.now() } = options
  const directory = openStateDir(stateDir)
  try {
    const deadline = now() + waitSeconds * 1000
    for (let pause = PAUSE_FIRST_MS; ; pause = Math.min(pause * 2, PAUSE_MAX_MS)) {
      const slot = tryEverySlot(os, directory, options)
      if (slot) return slot
      const left = deadline - now()
      if (left <= 0) return undefined
      await sleep(Math.min(pause, left))
    }
  } finally {
    closeSync(directory)
  }
}

function tryEverySlot(
  os: Pick<Os, 'tryLock'>,
  directory: number,
  { stateDir, slots }: SlotOptions,
): Slot | undefined {
  for (let index = 0; index < slots; index++) {
    const fd = openSlotFile(directory, index, stateDir)
    if (os.tryLock(fd)) return heldSlot(index, fd)
    closeSync(fd)
  }
  return undefined
}

function openSlotFile(directory: number, index: number, stateDir: string): number {
  // Through the descriptor that was checked. The runtime opens every file with O_CLOEXEC.
  const path = `/proc/self/fd/${directory}/slot-${index}`
  try {
    return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
  } catch (cause) {
    throw unusable(stateDir, `has no slot-${index} that can be opened: ${codeOf(cause)}`, cause)
  }
}

function heldSlot(index: number, fd: number): Slot {
  let held = true
  return {
    index,
    release() {
      if (held) closeSync(fd)
      held = false
    },
  }
}

/** Opens the directory, made when it is not there, and checks what was opened. */
function openStateDir(path: string): number {
  const fd = makeAndOpen(path)
  const problem = stateDirProblem(factsOf(fd))
  if (problem === undefined) return fd
  closeSync(fd)
  throw unusable(path, problem)
}

function factsOf(fd: number): StateDirFacts {
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
    const { onRootFilesystem, filesystemType } = factsOf(parent)
    if (onRootFilesystem && !isInMemory(filesystemType)) throw unusable(path, 'is on the root file system')
    mkdirSync(`/proc/self/fd/${parent}/${basename(path)}`, { mode: 0o700 })
  } catch (error) {
    if (error instanceof CoreliftError) throw error
    // Another handler was faster.
    if (codeOf(error) !== 'EEXIST') throw unusable(path, `cannot be made: ${codeOf(error)}`, error)
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
    throw unusable(path, `cannot be made: ${codeOf(error)}`, error)
  }
}

function unopenable(path: string, error: unknown): CoreliftError {
  const isOther = codeOf(error) === 'ENOTDIR' || codeOf(error) === 'ELOOP'
  const problem = isOther
    ? 'is no directory (symbolic links are not followed)'
    : `cannot be opened: ${codeOf(error)}`
  return unusable(path, problem, error)
}

/**
 * Why a directory must not hold the slots: others could take them all, or every crash would touch the root disk.
 * @returns undefined when it may.
 */
export function stateDirProblem(facts: StateDirFacts): string | undefined {
  if (facts.uid !== facts.euid) return `belongs to uid ${facts.uid}, not to ${facts.euid}`
  if ((facts.mode & 0o022) !== 0)
    return `can be written by others (mode ${(facts.mode & 0o7777).toString(8)})`
  return facts.onRootFilesystem && !isInMemory(facts.filesystemType)
    ? 'is on the root file system'
    : undefined
}

/** A root file system in memory, as a live system has it, is no disk to spare. */
function isInMemory(filesystemType: number): boolean {
  return filesystemType === TMPFS_MAGIC || filesystemType === RAMFS_MAGIC
}

function unusable(path: string, problem: string, cause?: unknown): CoreliftError {
  return new CoreliftError('E_CONFIG', `budget.state_dir = ${JSON.stringify(path)} ${problem}`, {
    hint: 'name a directory on a tmpfs that only root can enter, such as /run/corelift; it is made when it is not there',
    cause,
  })
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error)
}
