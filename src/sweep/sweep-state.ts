// What a sweep leaves to the next one: how far the kernel log was read, when the store last took something, and how long it
// asked to be left alone. A file on the tmpfs of budget.state_dir: a boot begins anew, and so does the kernel log.
import { closeSync, constants, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { KmsgPosition } from '../kernel/kmsg-reader.ts'
import type { Drift } from './drift.ts'

export interface SweepState {
  /** Where the kernel log was read to. */
  readonly kernelLog?: KmsgPosition
  /** ISO 8601; of the last sweep, and of the last one that left nothing for want of a store. */
  readonly lastRun?: string
  readonly lastSuccess?: string
  readonly backoff?: Backoff
  /** As the last sweep found it. */
  readonly drift?: Drift
}

/** The store asked for fewer requests. */
export interface Backoff {
  /** ISO 8601. */
  readonly until: string
  /** How often in a row. */
  readonly times: number
  readonly why: string
}

const FILE = 'sweep.json'
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const REPLACE = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW

/**
 * @param directory - From `openStateDir`.
 * @returns An empty state where there is none that can be read: then the kernel log is read from its beginning, and
 * crashes may be counted twice.
 */
export function readSweepState(directory: number): SweepState {
  try {
    const fd = openSync(pathIn(directory, FILE), READ)
    try {
      const state: unknown = JSON.parse(readFileSync(fd, 'utf8'))
      return typeof state === 'object' && state !== null ? state : {}
    } finally {
      closeSync(fd)
    }
  } catch {
    return {}
  }
}

/** Replaces it as a whole. */
export function writeSweepState(directory: number, state: SweepState): void {
  const path = pathIn(directory, FILE)
  const fd = openSync(`${path}.new`, REPLACE, 0o600)
  try {
    writeFileSync(fd, JSON.stringify(state))
  } finally {
    closeSync(fd)
  }
  renameSync(`${path}.new`, path)
}

const LOCK = 'sweep.lock'

/** @returns A descriptor to be locked: a second sweep finds it taken. The kernel gives it back when its holder dies. */
export function openSweepLock(directory: number): number {
  return openSync(pathIn(directory, LOCK), constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
}

const pathIn = (directory: number, name: string): string => `/proc/self/fd/${directory}/${name}`

const BACKOFF_FIRST_SECONDS = 60
/** A store that recovers is noticed within a quarter of an hour. */
const BACKOFF_SECONDS_MAX = 900

/**
 * Doubles with each time in a row, and is half of it random: nodes that were turned away together do not come back together.
 * @param random - As Math.random.
 */
export function backoffAfter(
  before: Backoff | undefined,
  why: string,
  now: Date,
  random: () => number,
): Backoff {
  const times = (before?.times ?? 0) + 1
  const seconds = Math.min(BACKOFF_SECONDS_MAX, BACKOFF_FIRST_SECONDS * 2 ** (times - 1))
  const until = new Date(now.getTime() + seconds * 1000 * (0.5 + random() / 2))
  return { until: until.toISOString(), times, why }
}
