// The ledger's file in `budget.state_dir`: changed under a lock that dies with its holder and replaced as a whole, so that
// a handler that is killed leaves it as it was.

import { closeSync, constants, fstatSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { Os } from '../os/os.ts'
import { decodeLedger, encodeLedger } from './ledger-codec.ts'
import { emptyLedger, prune } from './ledger.ts'
import type { Ledger } from './ledger.ts'
import { codeOf, lockStateDir, openStateDir, stateDirError } from './state-dir.ts'

const FILE = 'ledger.json'

/**
 * Some 300 KiB where every account is in use; above what the most, longest and most hostile names make of it, whose every
 * letter takes six.
 */
export const FILE_BYTES_MAX = 4 * 1024 * 1024

export interface LedgerOptions {
  readonly stateDir: string
  /** For tests. */
  readonly sleep?: (milliseconds: number) => Promise<unknown>
  /** Milliseconds since the epoch. */
  readonly wall?: () => number
}

/**
 * Changes the ledger, with nobody else at it.
 * @param change - Called once, at most; it must not wait for anything.
 * @returns What `change` returned; with a warning when what the file held was lost.
 * @throws CoreliftError `E_CONFIG` when the file cannot be used: a directory not to be trusted, a full disk, a lock that
 *   is not given up. Nothing has changed then.
 */
export async function changeLedger<T>(
  os: Pick<Os, 'tryLock'>,
  { stateDir, sleep, wall = Date.now }: LedgerOptions,
  change: (ledger: Ledger, now: number) => T,
): Promise<{ result: T; warning?: string }> {
  const directory = openStateDir(stateDir)
  try {
    if (!(await lockStateDir(os, directory, sleep)))
      throw stateDirError(stateDir, 'stays locked by another process')
    // Under the lock: so the times of those who change it never go back.
    return changeLocked(directory, wall(), change)
  } catch (cause) {
    if (codeOf(cause) === 'E_CONFIG') throw cause
    throw stateDirError(stateDir, `has no ${FILE} that can be used: ${codeOf(cause)}`, cause)
  } finally {
    closeSync(directory)
  }
}

function changeLocked<T>(
  directory: number,
  now: number,
  change: (ledger: Ledger, now: number) => T,
): { result: T; warning?: string } {
  const path = pathIn(directory)
  const read = readLedger(directory)
  if (read === 'corrupt') renameSync(path, `${path}.corrupt`)
  const ledger = typeof read === 'object' ? read : emptyLedger(now)
  const result = change(ledger, now)
  prune(ledger, now)
  // A text of its own first: its name is there only with all of it.
  const fd = openSync(`${path}.new`, O_REPLACE | constants.O_NOFOLLOW, 0o600)
  try {
    writeFileSync(fd, encodeLedger(ledger))
  } finally {
    closeSync(fd)
  }
  renameSync(`${path}.new`, path)
  if (read !== 'corrupt') return { result }
  const warning = `${FILE} in budget.state_dir was corrupt: set aside as ${FILE}.corrupt, rates and counts start anew`
  return { result, warning }
}
const O_REPLACE = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC

/**
 * Reads the ledger as it is; replacing leaves a reader all of the old one or all of the new one.
 * @param directory - From `openStateDir`.
 * @returns 'corrupt' for what is none; undefined where there is none yet.
 */
export function readLedger(directory: number): Ledger | 'corrupt' | undefined {
  let fd: number
  try {
    fd = openSync(pathIn(directory), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    const status = fstatSync(fd)
    if (!status.isFile() || status.size > FILE_BYTES_MAX) return 'corrupt'
    return decodeLedger(readFileSync(fd, 'utf8')) ?? 'corrupt'
  } finally {
    closeSync(fd)
  }
}

const pathIn = (directory: number): string => `/proc/self/fd/${directory}/${FILE}`
