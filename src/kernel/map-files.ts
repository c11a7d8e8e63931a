// Files that the crashed process had mapped, opened by their range of memory: /proc/<pid>/map_files reaches deleted ones
// and those of another mount namespace, and follows no path of the workload's. proc_pid_map_files(5).
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'

/** An open file; a position beyond its end reads nothing. */
export interface OpenMappedFile {
  readonly bytes: number
  /** @returns Bytes read. Never throws. */
  read(at: number, into: Uint8Array): number
  close(): void
}

/**
 * @param range - Of one mapping, exactly as maps has it.
 * @returns undefined where there is no such mapping, or it is of no regular file.
 */
export function openMappedFile(
  pid: number,
  range: { readonly start: number; readonly end: number },
): OpenMappedFile | undefined {
  const name = `${range.start.toString(16)}-${range.end.toString(16)}`
  let fd: number
  try {
    fd = openSync(`/proc/${pid}/map_files/${name}`, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch {
    return undefined
  }
  const status = fstatSync(fd)
  if (status.isFile())
    return { bytes: status.size, read: (at, into) => readAt(fd, at, into), close: () => closeSync(fd) }
  closeSync(fd)
  return undefined
}

function readAt(fd: number, at: number, into: Uint8Array): number {
  try {
    return readSync(fd, into, 0, into.length, at)
  } catch {
    return 0
  }
}
