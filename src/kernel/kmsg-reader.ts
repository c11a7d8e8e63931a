// The kernel log read back: /dev/kmsg, a record for each read(2) (Documentation/ABI/testing/dev-kmsg). From where the last
// reader was, so that no line counts twice, and nobody has to be there when it is written.
import { closeSync, constants, openSync, readFileSync, readSync } from 'node:fs'

export interface KmsgRecord {
  /** Numbered from 0 at boot. */
  readonly sequence: number
  /** 0: the kernel itself. Whoever writes to /dev/kmsg cannot have that. */
  readonly facility: number
  /** The log's clock drifts, by seconds a day, and stops during suspend: it is kept between the last reading and now. */
  readonly time: Date
  /** A character for each byte (latin1): a name in it need not be UTF-8. */
  readonly text: string
}

/** Where a reader was; of one boot. JSON keeps it. */
export interface KmsgPosition {
  readonly bootId: string
  /** Of the next record. */
  readonly sequence: number
  /** Milliseconds since the epoch: what comes next was not there yet. */
  readonly readAt: number
}

export interface KmsgReading {
  readonly records: readonly KmsgRecord[]
  /** Undefined where there is no kernel log to be read, and never was. */
  readonly position: KmsgPosition | undefined
  /** Records that were overwritten between the last reading and this one, or during it. */
  readonly lost: number
}

export interface KmsgSource {
  readonly bootId: string
  /** Milliseconds since the epoch. */
  readonly bootedAt: number
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Its records, oldest first, as read(2) gives them; one without bytes where some were overwritten. */
  readonly records: () => Iterable<Uint8Array>
}

/** CONSOLE_EXT_LOG_MAX, kernel/printk/internal.h: no record is longer. */
const RECORD_BYTES_MAX = 8192
/** A log of the usual size has some ten thousand; a flood that is faster than its reader must end some time. */
const RECORDS_MAX = 100_000
/** A record takes two microseconds. */
const READ_MILLISECONDS_MAX = 5000

/**
 * Reads what came since. What is beyond the bounds is left to the next reading.
 * @param after - Where the last reading ended; one of another boot, or none, means the oldest record that is there.
 * @param wanted - Which records are kept: a whole log is megabytes.
 * @param source - null: there is no log that can be read. Then there are no records either.
 */
export function readKernelLog(
  after: KmsgPosition | undefined,
  wanted: (record: KmsgRecord) => boolean,
  source: KmsgSource | null = kernelLogSource(),
): KmsgReading {
  if (source === null) return { records: [], position: after, lost: 0 }
  const { bootId, bootedAt, now } = source
  const known = after && isPositionOf(bootId, after) ? after : undefined
  const startedAt = now()
  const records: KmsgRecord[] = []
  let [next, lost, count] = [known?.sequence, 0, 0]
  let readAt = startedAt
  for (const bytes of source.records()) {
    if (count === RECORDS_MAX || now() - startedAt > READ_MILLISECONDS_MAX) {
      readAt = known?.readAt ?? bootedAt
      break
    }
    const head = parseHead(bytes)
    if (head === undefined || head.sequence < (next ?? 0)) continue
    lost += head.sequence - (next ?? head.sequence)
    next = head.sequence + 1
    count++
    const record = recordOf(bytes, head, at => Math.min(now(), Math.max(known?.readAt ?? 0, bootedAt + at)))
    if (wanted(record)) records.push(record)
  }
  return { records, position: { bootId, sequence: next ?? 0, readAt }, lost }
}

/** What was kept in a file may be anything. */
function isPositionOf(bootId: string, position: KmsgPosition): boolean {
  const { sequence, readAt } = position
  return (
    position.bootId === bootId && Number.isSafeInteger(sequence) && sequence >= 0 && Number.isFinite(readAt)
  )
}

/** @returns null where there is no /dev/kmsg (a container), or it cannot be opened (not root). */
export function kernelLogSource(): KmsgSource | null {
  try {
    const uptime = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0])
    const bootedAt = Date.now() - uptime * 1000
    const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    const fd = openSync('/dev/kmsg', constants.O_RDONLY | constants.O_NONBLOCK)
    return { bootId, bootedAt, now: Date.now, records: () => readDevice(fd) }
  } catch {
    return null
  }
}

function* readDevice(fd: number): Generator<Uint8Array> {
  const buffer = new Uint8Array(RECORD_BYTES_MAX)
  try {
    for (;;) {
      const bytes = readRecord(fd, buffer)
      if (bytes === undefined) return
      yield buffer.subarray(0, bytes)
    }
  } finally {
    closeSync(fd)
  }
}

/**
 * @returns Bytes; 0: it was overwritten just now, the next read is of the oldest that is left; undefined: none yet, or what
 * stands for the device in a container (/dev/null, a pipe) has none.
 */
function readRecord(fd: number, buffer: Uint8Array): number | undefined {
  try {
    return readSync(fd, buffer, 0, buffer.length, null) || undefined
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPIPE' ? 0 : undefined
  }
}

interface Head {
  readonly facility: number
  readonly sequence: number
  readonly milliseconds: number
  readonly textAt: number
}

/** `6,339,5140900,-;text`; later kernels put more between the third comma and the semicolon. */
function parseHead(bytes: Uint8Array): Head | undefined {
  const end = bytes.indexOf(0x3b)
  const [, priority, sequence, microseconds] =
    /^(\d{1,4}),(\d{1,15}),(\d{1,15}),/.exec(latin1(bytes.subarray(0, Math.max(end, 0)))) ?? []
  if (microseconds === undefined) return undefined
  return {
    facility: Number(priority) >> 3,
    sequence: Number(sequence),
    milliseconds: Number(microseconds) / 1000,
    textAt: end + 1,
  }
}

function recordOf(bytes: Uint8Array, head: Head, wallTime: (milliseconds: number) => number): KmsgRecord {
  // Behind the first line there are those of a dictionary, each after a blank: SUBSYSTEM, DEVICE.
  const end = bytes.indexOf(0x0a, head.textAt)
  const line = latin1(bytes.subarray(head.textAt, end < 0 ? undefined : end))
  // Every byte that is no printable ASCII, and the backslash, is `\xNN` there.
  const text = line.replaceAll(/\\x([0-9a-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  const time = new Date(wallTime(head.milliseconds))
  return { sequence: head.sequence, facility: head.facility, time, text }
}

const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
