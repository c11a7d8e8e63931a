// Slots: how many cores this node streams at once. A slot is a flock(2) on a file in a directory that only root may
// enter; the kernel drops the lock when the handler dies, however it dies, so nothing has to be cleaned up.

import { closeSync, constants, openSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleepMilliseconds } from 'node:timers/promises'
import type { Os } from '../os/os.ts'
import { codeOf, openStateDir, stateDirError } from './state-dir.ts'

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

/**
 * Takes a free slot, or waits for one.
 * @returns undefined when none became free in time.
 * @throws CoreliftError `E_CONFIG` when the directory is not one to trust; see state-dir.ts.
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
    throw stateDirError(stateDir, `has no slot-${index} that can be opened: ${codeOf(cause)}`, cause)
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
