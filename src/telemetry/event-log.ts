// The events of a node's crashes, from handlers to sweeps: a file in budget.state_dir, on a tmpfs, that handlers append to
// and sweeps read from where they left off.
import { closeSync, constants, fstatSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs'
import { type CrashEvent, decodeEvents, encodeEvent } from './crash-event.ts'

/** How far a sweep has read. */
export interface EventPosition {
  /** Inode of the file. */
  readonly file: number
  readonly offset: number
}

const FILE = 'events'
/** Put aside by the last sweep; handlers that had it open may have written to it since. */
const PUT_ASIDE = 'events.old'

const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Sweeps put the file aside when they have read so much of it: some two thousand crashes. */
const KEPT_BYTES_MAX = 1024 * 1024
/** Where no sweep runs, memory is not used up: what is over this is not noted. */
const FILE_BYTES_MAX = 4 * 1024 * 1024

/**
 * Notes an event. Appending is one write(2), so that handlers need no lock.
 * @param directory - From `openStateDir`.
 * @throws As `openSync` does.
 */
export function appendEvent(directory: number, event: CrashEvent): void {
  const fd = openSync(pathIn(directory, FILE), APPEND, 0o600)
  try {
    if (fstatSync(fd).size < FILE_BYTES_MAX) writeSync(fd, encodeEvent(event))
  } finally {
    closeSync(fd)
  }
}

/** For one sweep at a time: what was noted since the position, each event once. */
export function takeEvents(
  directory: number,
  position: EventPosition | undefined,
): { events: CrashEvent[]; position: EventPosition | undefined } {
  const late = readFrom(directory, PUT_ASIDE, position)
  if (late !== undefined) rmSync(pathIn(directory, PUT_ASIDE))
  const current = readFrom(directory, FILE, position)
  if (current !== undefined && current.position.offset > KEPT_BYTES_MAX)
    renameSync(pathIn(directory, FILE), pathIn(directory, PUT_ASIDE))
  return {
    events: decodeEvents((late?.text ?? '') + (current?.text ?? '')),
    position: current?.position,
  }
}

/** What is there, read or not, oldest first; changes nothing. */
export function recentEvents(directory: number): CrashEvent[] {
  return [PUT_ASIDE, FILE].flatMap(name => decodeEvents(readFrom(directory, name, undefined)?.text ?? ''))
}

/**
 * Reads up to the last whole line.
 * @param position - Of this file or of another one, which then is read from its beginning.
 * @returns undefined where there is no such file.
 */
function readFrom(
  directory: number,
  name: string,
  position: EventPosition | undefined,
): { text: string; position: EventPosition } | undefined {
  let fd: number
  try {
    fd = openSync(pathIn(directory, name), READ)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    const { ino, size } = fstatSync(fd)
    const offset = position?.file === ino ? Math.min(position.offset, size) : 0
    const bytes = Buffer.alloc(size - offset)
    const read = bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, offset))
    const whole = read.subarray(0, read.lastIndexOf(0x0a) + 1)
    return { text: whole.toString('utf8'), position: { file: ino, offset: offset + whole.length } }
  } finally {
    closeSync(fd)
  }
}

const pathIn = (directory: number, name: string): string => `/proc/self/fd/${directory}/${name}`
