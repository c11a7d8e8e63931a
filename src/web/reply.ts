// What a route answers, before anything is sent: a status, headers, and a body that is made as it is sent.
import { CoreliftError, type ErrorCode } from '../errors.ts'

export interface Request {
  /** Decoded, without its query; begins with `/`. */
  readonly path: string
  readonly query: URLSearchParams
  /** Checked: nothing in it but a name or an address, and a port. */
  readonly host: string
  readonly acceptEncoding: string
}

export type Chunk = string | Uint8Array

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /**
   * Not begun for HEAD. Where it throws, the connection is destroyed: what came so far must not pass for all.
   * Chunks may be used again when the next is asked for.
   */
  readonly body: Iterable<Chunk> | AsyncIterable<Chunk>
}

/** Of every answer. Pages have no script at all; their style sheet and icon come from here. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cache-Control': 'no-store',
}

/** For programs: debuginfod's clients, curl. */
export function plainReply(status: number, text: string, headers: Reply['headers'] = {}): Reply {
  return { status, headers: { 'Content-Type': 'text/plain; charset=utf-8', ...headers }, body: [`${text}\n`] }
}

export function redirect(location: string): Reply {
  return { status: 303, headers: { Location: location }, body: [] }
}

const STATUS: Partial<Record<ErrorCode, number>> = {
  E_USAGE: 400,
  E_CRASH_UNKNOWN: 404,
  E_CORE_ABSENT: 404,
  E_STORE_NO_OBJECT: 404,
  E_STORE_UNREACHABLE: 503,
  E_STORE_THROTTLED: 503,
}

/** @returns The status that says whose fault it is: what this server reads from the store is another server's. */
export function statusOf(error: unknown): number {
  if (!(error instanceof CoreliftError)) return 500
  const isStore = error.code.startsWith('E_STORE_')
  const isDamaged = error.code === 'E_MANIFEST' || error.code === 'E_CORE_CORRUPT'
  return STATUS[error.code] ?? (isStore || isDamaged ? 502 : 500)
}
