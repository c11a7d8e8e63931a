// The last lines of a container's log, as its runtime writes them (CRI's or docker's json-file format). The path is the
// runtime's word, but pods may be allowed to write in directories above it (a hostPath of /var/log): a link there must
// not make a root process read anything else.
import { constants } from 'node:fs'
import { open, readlink } from 'node:fs/promises'

/** Most that is kept. */
export const LOG_BYTES_MAX = 256 * 1024
/**
 * Components at its end that a path must keep when links are followed: pod, container, file. Directories above them may
 * be links of the administrator's.
 */
const OWN_COMPONENTS = 3
const NEWLINE = 0x0a

/** The tail, or why there is none. */
export type LogTail =
  { readonly state: 'read'; readonly bytes: Uint8Array } | { readonly state: 'none'; readonly detail: string }

/**
 * Reads a log's end. Never throws.
 * @param logPath - Absolute, without `..`.
 * @param linesMax - At least 1.
 * @returns Whole lines, at most LOG_BYTES_MAX of them; the end of one that alone is longer.
 */
export async function readLogTail(logPath: string, linesMax: number): Promise<LogTail> {
  try {
    // Neither blocked by a FIFO nor led away by a link in the last place.
    await using file = await open(logPath, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const real = await readlink(`/proc/self/fd/${file.fd}`)
    if (endOf(real) !== endOf(logPath)) return none('its path leads elsewhere')
    const stat = await file.stat()
    if (!stat.isFile()) return none('it is no regular file')
    const buffer = Buffer.alloc(Math.min(stat.size, LOG_BYTES_MAX))
    const { bytesRead } = await file.read(buffer, 0, buffer.length, stat.size - buffer.length)
    const isCut = stat.size > buffer.length
    return { state: 'read', bytes: lastLines(buffer.subarray(0, bytesRead), linesMax, isCut) }
  } catch (error) {
    return none((error as NodeJS.ErrnoException).code ?? String(error))
  }
}

const none = (detail: string): LogTail => ({ state: 'none', detail })
const endOf = (path: string): string => path.split('/').slice(-OWN_COMPONENTS).join('/')

/** @param isCut - The first line may be the rest of a longer one. */
function lastLines(bytes: Buffer, linesMax: number, isCut: boolean): Uint8Array {
  let from = bytes.length
  for (let lines = 0; lines < linesMax && from > 0; lines++) {
    // The newline that ends the line before this one.
    const newline = from < 2 ? -1 : bytes.lastIndexOf(NEWLINE, from - 2)
    if (newline === -1 && isCut) return from === bytes.length ? bytes : bytes.subarray(from)
    from = newline + 1
  }
  return bytes.subarray(from)
}
