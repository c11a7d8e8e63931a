// Buckets: how much of what is rationed was used of late, by name, shared by the handlers of a node. One file of bounded
// size in `budget.state_dir`, changed under a lock that dies with its holder and replaced as a whole: a handler that is
// killed leaves the file as it was. Names are hashed: they are hostile, and whoever crashed is nobody's business there.

import { createHash } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { setTimeout as sleepMilliseconds } from 'node:timers/promises'
import type { Os } from '../os/os.ts'
import { codeOf, openStateDir, stateDirError } from './state-dir.ts'

const FILE = 'buckets.json'
const VERSION = 1

/** More workloads than a node has containers; what was used longest ago is forgotten first. */
export const BUCKETS_MAX = 1024

/** Of the file: above 1024 buckets of some 70 bytes each. */
const FILE_BYTES_MAX = 256 * 1024

/**
 * Together a second. Whoever holds the lock reads and writes some 50 KiB of memory, half a millisecond; but in a burst of
 * crashes many want it, and it is then that a rate must be kept to: forty at once on two CPUs took more than 250 ms.
 */
const LOCK_PAUSES_MS = [1, 2, 4, 8, ...Array.from({ length: 60 }, () => 16)]

export interface Bucket {
  /** What was used and is not yet given back by time; its unit is its user's. */
  readonly used: number
  /** When it was so, milliseconds since the epoch. */
  readonly at: number
}

/** Buckets by `bucketKey`, those first that were used longest ago: whoever uses one takes it out and puts it back. */
export type Buckets = Map<string, Bucket>

/** @returns The key of a name: 132 bits of SHA-256, in 22 characters. */
export function bucketKey(name: string): string {
  return createHash('sha256').update(name).digest('base64url').slice(0, KEY_LENGTH)
}
const KEY_LENGTH = 22

/**
 * Changes buckets, with nobody else at them.
 * @param change - Called once, at most; it must not wait for anything.
 * @returns What `change` returned; with a warning when what the file held was lost.
 * @throws CoreliftError `E_CONFIG` when the state cannot be used: a directory not to be trusted, a full disk, a lock that
 *   is not given up. Nothing has changed then.
 */
export async function changeBuckets<T>(
  os: Pick<Os, 'tryLock'>,
  { stateDir, sleep = sleepMilliseconds }: BucketsOptions,
  change: (buckets: Buckets) => T,
): Promise<{ result: T; warning?: string }> {
  const directory = openStateDir(stateDir)
  try {
    // The directory's own lock: the file is replaced, so that a lock on it could be one on a file that is gone.
    for (const pause of LOCK_PAUSES_MS) {
      if (os.tryLock(directory)) return changeLocked(directory, change)
      await sleep(pause)
    }
  } catch (cause) {
    throw stateDirError(stateDir, `has no ${FILE} that can be used: ${codeOf(cause)}`, cause)
  } finally {
    closeSync(directory)
  }
  throw stateDirError(stateDir, 'stays locked by another process')
}

export interface BucketsOptions {
  readonly stateDir: string
  /** For tests. */
  readonly sleep?: (milliseconds: number) => Promise<unknown>
}

function changeLocked<T>(
  directory: number,
  change: (buckets: Buckets) => T,
): { result: T; warning?: string } {
  const path = `/proc/self/fd/${directory}/${FILE}`
  const text = readBounded(path)
  const buckets = decodeBuckets(text)
  if (buckets === undefined) renameSync(path, `${path}.corrupt`)
  const changed = buckets ?? new Map<string, Bucket>()
  const result = change(changed)
  // A text of its own first: its name is there only with all of it.
  const fd = openSync(`${path}.new`, O_REPLACE | constants.O_NOFOLLOW, 0o600)
  try {
    writeFileSync(fd, encodeBuckets(changed))
  } finally {
    closeSync(fd)
  }
  renameSync(`${path}.new`, path)
  if (buckets !== undefined) return { result }
  return {
    result,
    warning: `${FILE} in budget.state_dir was corrupt: set aside as ${FILE}.corrupt, rates start anew`,
  }
}
const O_REPLACE = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC

/** @returns '' where there is no file, undefined for one that is too long or no file. */
function readBounded(path: string): string | undefined {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return ''
    throw error
  }
  try {
    const status = fstatSync(fd)
    return status.isFile() && status.size <= FILE_BYTES_MAX ? readFileSync(fd, 'utf8') : undefined
  } finally {
    closeSync(fd)
  }
}

function encodeBuckets(buckets: Buckets): string {
  const kept = [...buckets].slice(-BUCKETS_MAX).map(([key, { used, at }]) => [key, used, at])
  return JSON.stringify({ version: VERSION, buckets: kept })
}

/** @returns undefined for what `encodeBuckets` did not write. */
function decodeBuckets(text: string | undefined): Buckets | undefined {
  if (text === undefined) return undefined
  if (text === '') return new Map()
  try {
    const { version, buckets } = JSON.parse(text) as { version: unknown; buckets: unknown }
    if (version !== VERSION || !Array.isArray(buckets) || buckets.length > BUCKETS_MAX) return undefined
    if (!buckets.every(isEntry)) return undefined
    return new Map(buckets.map(([key, used, at]) => [key, { used, at }]))
  } catch {
    return undefined
  }
}

function isEntry(entry: unknown): entry is [string, number, number] {
  if (!Array.isArray(entry) || entry.length !== 3) return false
  const [key, ...numbers] = entry as unknown[]
  const isKey = typeof key === 'string' && key.length === KEY_LENGTH && /^[\w-]+$/.test(key)
  return isKey && numbers.every(number => Number.isFinite(number) && (number as number) >= 0)
}
