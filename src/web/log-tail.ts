// The end of a container's log, out of a crash's kit.
import { readObject } from '../commands/download.ts'
import { CoreliftError } from '../errors.ts'
import { readEntry } from '../kit/tar.ts'
import { kitKey } from '../store/keys.ts'
import type { Manifest } from '../store/manifest.ts'
import type { Store } from '../store/store.ts'
import type { FrameDecompressor } from '../zstd/codec.ts'

/** In the kit: docs/format.md. */
const LOG_ENTRY = 'log'
const LINES_MAX = 200
const TAIL_BYTES_MAX = 64 * 1024
/** A kit has a mini core of megabytes before the log. */
const KIT_BYTES_MAX = 256 * 1024 * 1024

export interface LogTail {
  /** Oldest first; U+FFFD stands for what is no UTF-8. */
  readonly lines: readonly string[]
  /** Whether the kit has more. */
  readonly isCut: boolean
}

/**
 * @param manifest - undefined for a crash that is unfinished.
 * @returns undefined where the kit has no log.
 * @throws CoreliftError `E_CORE_ABSENT`, `E_CORE_CORRUPT`, `E_STORE_…`
 */
export async function readLogTail(
  store: Store,
  prefix: string,
  manifest: Manifest | undefined,
  decompressor: FrameDecompressor,
): Promise<LogTail | undefined> {
  const sha256Stored = manifest?.kit?.sha256Stored
  const expected = sha256Stored === undefined ? {} : { sha256Stored }
  const archive = bounded(readObject(store, kitKey(prefix), expected, decompressor))
  let tail: Buffer | undefined
  let bytes = 0
  for await (const chunk of readEntry(archive, LOG_ENTRY)) {
    bytes += chunk.length
    tail = Buffer.concat([tail ?? Buffer.alloc(0), chunk.subarray(-TAIL_BYTES_MAX)]).subarray(-TAIL_BYTES_MAX)
  }
  return tail && tailOf(tail, bytes > tail.length)
}

function tailOf(tail: Buffer, isCut: boolean): LogTail {
  const lines = tail.toString('utf8').replace(/\n$/, '').split('\n')
  // The first line has lost its beginning.
  if (isCut && lines.length > 1) lines.shift()
  return { lines: lines.slice(-LINES_MAX), isCut: isCut || lines.length > LINES_MAX }
}

async function* bounded(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of chunks) {
    bytes += chunk.length
    if (bytes > KIT_BYTES_MAX)
      throw new CoreliftError('E_CORE_CORRUPT', `the kit has more than ${KIT_BYTES_MAX} bytes`)
    yield chunk
  }
}
