// Which debug files the store has, as far as this node knows, and how much of them it sent in the last hour: a file in
// `budget.state_dir`, so that a crash of a known program asks the store nothing. What is lost of it is asked again.
import { closeSync, constants, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { Os } from '../os/os.ts'
import { lockStateDir, openStateDir } from './state-dir.ts'

/** By key. */
export interface KnownFile {
  /** Milliseconds since the epoch: when the store had it. */
  readonly at: number
  /** Sent by this node then, uncompressed; 0: it was there. */
  readonly bytes: number
}
export type KnownFiles = ReadonlyMap<string, KnownFile>

const FILE = 'known-files.json'
/** A node's programs and their libraries; 400 KiB of names. The oldest are forgotten. */
const FILES_MAX = 4096
const HOUR_MS = 3_600_000
/** Somebody may have removed it, and it must not become too old to outlive the crash: see store/put-debug-file.ts. */
const TRUSTED_MS = 24 * HOUR_MS

/** @returns Those that are known well enough; none where the file cannot be read. */
export function readKnownFiles(stateDir: string, now: number): KnownFiles {
  try {
    const directory = openStateDir(stateDir)
    try {
      return recent(readIn(directory), now)
    } finally {
      closeSync(directory)
    }
  } catch {
    return new Map()
  }
}

/** Notes files that the store has, beside what others noted. Never throws: they are asked for again otherwise. */
export async function noteKnownFiles(
  os: Pick<Os, 'tryLock'>,
  stateDir: string,
  files: KnownFiles,
  now: number,
): Promise<void> {
  try {
    const directory = openStateDir(stateDir)
    try {
      if (await lockStateDir(os, directory)) writeIn(directory, recent([...readIn(directory), ...files], now))
    } finally {
      closeSync(directory)
    }
  } catch {
    // As good as forgotten.
  }
}

/** Bytes that this node sent in the hour before. */
export function bytesSentLately(files: KnownFiles, now: number): number {
  return [...files.values()].reduce((sum, { at, bytes }) => (now - at < HOUR_MS ? sum + bytes : sum), 0)
}

/** A clock that was put back must not make them last for ever. */
function recent(files: Iterable<readonly [string, KnownFile]>, now: number): Map<string, KnownFile> {
  const fresh = [...files].filter(([, { at }]) => at <= now && now - at < TRUSTED_MS)
  return new Map(fresh.sort(([, a], [, b]) => a.at - b.at).slice(-FILES_MAX))
}

function readIn(directory: number): [string, KnownFile][] {
  try {
    const fd = openSync(pathIn(directory), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      const entries: unknown = JSON.parse(readFileSync(fd, 'utf8'))
      return Array.isArray(entries) ? entries.filter(isEntry) : []
    } finally {
      closeSync(fd)
    }
  } catch {
    return []
  }
}

function isEntry(value: unknown): value is [string, KnownFile] {
  if (!Array.isArray(value) || typeof value[0] !== 'string') return false
  const file = value[1] as Partial<KnownFile> | null
  return Number.isSafeInteger(file?.at) && Number.isSafeInteger(file?.bytes)
}

function writeIn(directory: number, files: KnownFiles): void {
  const begun = `${pathIn(directory)}.new`
  writeFileSync(begun, JSON.stringify([...files]), { mode: 0o600 })
  renameSync(begun, pathIn(directory))
}

const pathIn = (directory: number): string => `/proc/self/fd/${directory}/${FILE}`
