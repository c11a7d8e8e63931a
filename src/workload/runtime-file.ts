// Files that a runtime keeps of its containers, in directories of root's: read with the care that a root process owes to
// whatever somebody may have put there in their place.
import { constants } from 'node:fs'
import { lstat, open } from 'node:fs/promises'
import path from 'node:path'
import { ANSWER_BYTES_MAX } from './forms.ts'

/** What a file holds, or why it was not read. */
export type FileReading = { readonly text: string } | { readonly detail: string }

/**
 * Reads a file, if its directory is one and the file a regular one in it: neither a symbolic link that leads elsewhere
 * nor a FIFO that blocks (apport's CVE-2021-25684).
 * @returns undefined where there is no such file.
 * @throws What the system says, for anything but its absence.
 */
export async function readRuntimeFile(directory: string, name: string): Promise<FileReading | undefined> {
  try {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
    // At once: each waits for a thread of the runtime's.
    const opening = open(path.join(directory, name), flags)
    const [parent, opened] = await Promise.allSettled([lstat(directory), opening])
    await using file = opened.status === 'fulfilled' ? opened.value : undefined
    if (parent.status === 'rejected') throw parent.reason
    if (!parent.value.isDirectory()) return { detail: `${directory} is no directory` }
    if (file === undefined) throw (opened as PromiseRejectedResult).reason
    const stat = await file.stat()
    if (!stat.isFile()) return { detail: `${name} is no regular file` }
    // One byte more than is allowed, so that a file that grows meanwhile is noticed as well.
    const buffer = Buffer.alloc(Math.min(stat.size, ANSWER_BYTES_MAX) + 1)
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0)
    if (bytesRead > ANSWER_BYTES_MAX) return { detail: `${name} is over ${ANSWER_BYTES_MAX} bytes` }
    return { text: buffer.toString('utf8', 0, bytesRead) }
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

export function isAbsent(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code === 'ENOENT' || code === 'ENOTDIR'
}

/**
 * Reads a number that is all of a file, such as a runtime's pid file.
 * @returns undefined for anything else; forms.ts knows what a count is.
 */
export async function readCount(directory: string, name: string): Promise<string | undefined> {
  const file = await readRuntimeFile(directory, name).catch(() => undefined)
  return file !== undefined && 'text' in file ? file.text.trim() : undefined
}

/** @returns The object that a JSON text holds, or undefined for any other text. */
export function jsonObject(text: string): Readonly<Record<string, unknown>> | undefined {
  return objectOf(jsonValue(text))
}

/** @returns undefined for a text that is no JSON. */
export function jsonValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** @returns The value, if it is an object and no array. */
export function objectOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined
}
