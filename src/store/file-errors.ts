// What the file system says, in the store's words: errno(3) to E_STORE_….

import { CoreliftError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import { printable } from '../printable.ts'

interface Translation {
  readonly code: ErrorCode
  readonly words: string
  readonly hint?: string
}

const BY_ERRNO: Record<string, Translation> = {
  ENOSPC: {
    code: 'E_STORE_FULL',
    words: 'no space left',
    hint: 'make room, or set a larger disk up for store.url',
  },
  EDQUOT: {
    code: 'E_STORE_FULL',
    words: 'quota exceeded',
    hint: "raise the disk quota of the store's owner",
  },
  EROFS: {
    code: 'E_STORE_DENIED',
    words: 'read-only file system',
    hint: 'remount it; dmesg says if errors did it',
  },
  EACCES: { code: 'E_STORE_DENIED', words: 'permission denied', hint: 'the store belongs to root: try sudo' },
  EPERM: {
    code: 'E_STORE_DENIED',
    words: 'operation not permitted',
    hint: 'the store belongs to root: try sudo',
  },
}

/** What it means that a path is not there: the store's directory is gone, or it never had the object. */
type Absent = 'E_STORE_ABSENT' | 'E_STORE_NO_OBJECT'

const ABSENT: Record<Absent, Translation> = {
  E_STORE_ABSENT: {
    code: 'E_STORE_ABSENT',
    words: 'no such directory',
    hint: 'create the directory that store.url names, on the disk meant for cores',
  },
  E_STORE_NO_OBJECT: { code: 'E_STORE_NO_OBJECT', words: 'no such object' },
}

/**
 * @param error - Of node:fs; a `CoreliftError` is passed on as it is.
 * @param operation - What was tried, on which key.
 */
export function translateFileError(error: unknown, operation: string, absent: Absent): CoreliftError {
  if (error instanceof CoreliftError) return error
  const { code: errno = 'unknown error' } = error as NodeJS.ErrnoException
  const { code, words, hint } = isAbsence(errno) ? ABSENT[absent] : (BY_ERRNO[errno] ?? other(errno))
  return new CoreliftError(code, `${printable(operation)}: ${words}`, { ...(hint && { hint }), cause: error })
}

/** A directory where an object was expected, or the other way round, is no object either. */
export function isAbsence(errno: string | undefined): boolean {
  return errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'EISDIR'
}

function other(errno: string): Translation {
  return { code: 'E_STORE_UNREACHABLE', words: errno, hint: 'dmesg may say more about the disk' }
}
