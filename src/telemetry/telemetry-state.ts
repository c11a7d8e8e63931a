// What a sweep leaves to the next one of metrics and messages: a file on the tmpfs of budget.state_dir, so that counters
// begin anew with each boot, as Prometheus expects it of them.
import { closeSync, constants, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { type Mailbox, NO_MAIL } from './mailbox.ts'
import type { EventPosition } from './event-log.ts'
import { NO_TALLIES, type Tallies } from './tallies.ts'

export interface TelemetryState {
  /** Up to where events were taken. */
  readonly position?: EventPosition
  readonly tallies: Tallies
  readonly mailbox: Mailbox
}

const FILE = 'telemetry.json'
/** Of its fields' shapes: one that another version wrote is not read. */
const VERSION = 1
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const REPLACE = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW

/**
 * @param directory - From `openStateDir`.
 * @returns The beginning of counting where there is no state that can be read.
 */
export function readTelemetryState(directory: number): TelemetryState {
  const none = { tallies: NO_TALLIES, mailbox: NO_MAIL }
  try {
    const fd = openSync(pathIn(directory), READ)
    try {
      const { version, ...state } = JSON.parse(readFileSync(fd, 'utf8')) as TelemetryState & {
        version: number
      }
      return version === VERSION ? state : none
    } finally {
      closeSync(fd)
    }
  } catch {
    return none
  }
}

/** Replaces it as a whole. */
export function writeTelemetryState(directory: number, state: TelemetryState): void {
  const path = pathIn(directory)
  const fd = openSync(`${path}.new`, REPLACE, 0o600)
  try {
    writeFileSync(fd, JSON.stringify({ version: VERSION, ...state }))
  } finally {
    closeSync(fd)
  }
  renameSync(`${path}.new`, path)
}

const pathIn = (directory: number): string => `/proc/self/fd/${directory}/${FILE}`
