// Slots: how many cores this node streams at once. A slot is a flock(2) on a file in a directory that only root may
// enter; the kernel drops the lock when the handler dies, however it dies, so nothing has to be cleaned up. Places to
// wait in are the same. The file says who holds it: a pod whose processes all crash at once must not hold every one.

import { closeSync, constants, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleepMilliseconds } from 'node:timers/promises'
import type { Place } from '../crash.ts'
import type { Os } from '../os/os.ts'
import { cutName } from './ledger.ts'
import { codeOf, lockStateDir, openStateDir, stateDirError } from './state-dir.ts'

/** Between two looks at the slots: soon at first, for the many short cores, then at leisure. */
const PAUSE_FIRST_MS = 5
const PAUSE_MAX_MS = 200

/**
 * How many may wait for each slot. Each holds a crashed process and one of `kernel.core_pipe_limit`, over which the kernel
 * drops crashes unseen; a fifth in the row would hardly get its turn in time.
 */
export const WAITING_PER_SLOT = 4

/** Three names of `NAME_LENGTH_MAX` characters, each of which JSON may write as six. */
const HOLDER_BYTES_MAX = 2048

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
  /** Who wants it. */
  readonly place: Place
  readonly sleep?: (milliseconds: number) => Promise<unknown>
  /** Milliseconds of a clock that never jumps. */
  readonly now?: () => number
}

export type SlotAnswer =
  | { readonly slot: Slot }
  /** Why there is none. */
  | { readonly slot: undefined; readonly text: string }

/**
 * Takes a free slot, or waits for one.
 * @throws CoreliftError `E_CONFIG` when the directory is not one to trust; see state-dir.ts.
 */
export async function acquireSlot(os: Pick<Os, 'tryLock'>, options: SlotOptions): Promise<SlotAnswer> {
  const { slots, waitSeconds, sleep = sleepMilliseconds, now = () => performance.now() } = options
  const deadline = now() + waitSeconds * 1000
  let waiting: Slot | undefined
  try {
    for (let pause = PAUSE_FIRST_MS; ; pause = Math.min(pause * 2, PAUSE_MAX_MS)) {
      const left = deadline - now()
      const mayWait = left > 0 && waiting === undefined
      const found = await lookForPlace(os, options, mayWait)
      if (found.slot) return { slot: found.slot }
      const text = `none of ${slots} slots (budget.slots) became free for it within ${waitSeconds} s`
      if (left <= 0) return { slot: undefined, text }
      waiting ??= found.waiting
      if (waiting === undefined) return { slot: undefined, text: noneToWaitIn(slots) }
      await sleep(Math.min(pause, left))
    }
  } finally {
    waiting?.release()
  }
}

function noneToWaitIn(slots: number): string {
  return `none of ${slots} slots (budget.slots) is free for it, and as many crashes wait as may`
}

async function lookForPlace(
  os: Pick<Os, 'tryLock'>,
  { stateDir, slots, place, sleep }: SlotOptions,
  mayWait: boolean,
): Promise<{ slot?: Slot | undefined; waiting?: Slot | undefined }> {
  const directory = openStateDir(stateDir)
  try {
    // Only for the count of who holds what: without it, should it be stuck, a slot is still held by one.
    await lockStateDir(os, directory, sleep)
    const files = { os, directory, stateDir, place }
    const slot = takeOne({ ...files, kind: 'slot', count: slots, shareMax: Math.max(1, slots - 1) })
    if (slot || !mayWait) return { slot }
    const count = slots * WAITING_PER_SLOT
    return { waiting: takeOne({ ...files, kind: 'waiting', count, shareMax: count / 2 }) }
  } finally {
    closeSync(directory)
  }
}

interface Places {
  readonly os: Pick<Os, 'tryLock'>
  readonly directory: number
  readonly stateDir: string
  readonly place: Place
  readonly kind: 'slot' | 'waiting'
  readonly count: number
  /** How many one owner may hold. */
  readonly shareMax: number
}

/** A free one, unless its owner has as many as it may. */
function takeOne({ os, directory, stateDir, place, kind, count, shareMax }: Places): Slot | undefined {
  let mine: { index: number; fd: number } | undefined
  let held = 0
  for (let index = 0; index < count; index++) {
    const fd = openPlace(directory, `${kind}-${index}`, stateDir)
    const isFree = os.tryLock(fd)
    if (isFree && mine === undefined) {
      mine = { index, fd }
      continue
    }
    if (!isFree && ownerOf(readHolder(fd)) === ownerOf(place)) held++
    // What was free and is not taken is free again.
    closeSync(fd)
  }
  if (mine === undefined) return undefined
  const slot = heldSlot(mine.index, mine.fd)
  if (held < shareMax) {
    writeHolder(mine.fd, place)
    return slot
  }
  slot.release()
  return undefined
}

function openPlace(directory: number, name: string, stateDir: string): number {
  // Through the descriptor that was checked. The runtime opens every file with O_CLOEXEC.
  const path = `/proc/self/fd/${directory}/${name}`
  try {
    return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
  } catch (cause) {
    throw stateDirError(stateDir, `has no ${name} that can be opened: ${codeOf(cause)}`, cause)
  }
}

/** A pod; on the host, where the node's name stands for it, a unit. */
function ownerOf(holder: Place | undefined): string | undefined {
  if (holder === undefined) return undefined
  const names = [holder.namespace, holder.pod, holder.namespace.startsWith('_') ? holder.container : '']
  return JSON.stringify(names.map(cutName))
}

/** A full disk costs the name, not the slot. */
function writeHolder(fd: number, { namespace, pod, container }: Place): void {
  try {
    ftruncateSync(fd)
    writeSync(fd, JSON.stringify([namespace, pod, container].map(cutName)), 0)
  } catch {
    // As it says.
  }
}

/**
 * Who holds a slot, or held it last.
 * @param fd - Of its file.
 * @returns Names cut to the length that the ledger has; undefined: it does not say.
 */
export function readHolder(fd: number): Place | undefined {
  const bytes = Buffer.alloc(HOLDER_BYTES_MAX)
  try {
    const names = JSON.parse(bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, 0))) as unknown
    if (!Array.isArray(names) || names.length !== 3) return undefined
    if (!names.every(name => typeof name === 'string')) return undefined
    const [namespace, pod, container] = names as [string, string, string]
    return { namespace, pod, container }
  } catch {
    return undefined
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
