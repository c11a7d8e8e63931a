// zstd's seekable format (contrib/seekable_format/zstd_seekable_compression_format.md): independent frames, then a
// table of their sizes in a skippable frame, which every zstd decoder passes over. Pure: bytes in, bytes out.

const SKIPPABLE_MAGIC = 0x184d2a5e
const SEEKABLE_MAGIC = 0x8f92eab1
const SKIPPABLE_HEADER_BYTES = 8
const FOOTER_BYTES = 9
const ENTRY_BYTES = 8
const CHECKSUM_FLAG = 0x80
const RESERVED_BITS = 0x7c

/** Sizes of one frame in bytes: as stored, and of what it holds. */
export interface Frame {
  readonly storedBytes: number
  readonly bytes: number
}

/** Bytes at an object's end that always hold the footer, from which the table's own size follows. */
export const SEEK_TABLE_TAIL_BYTES = FOOTER_BYTES

/** @returns The seek table as the skippable frame that ends a seekable file. */
export function encodeSeekTable(frames: readonly Frame[]): Uint8Array {
  const content = frames.length * ENTRY_BYTES + FOOTER_BYTES
  const table = new Uint8Array(SKIPPABLE_HEADER_BYTES + content)
  const view = new DataView(table.buffer)
  view.setUint32(0, SKIPPABLE_MAGIC, true)
  view.setUint32(4, content, true)
  let at = SKIPPABLE_HEADER_BYTES
  for (const frame of frames) {
    view.setUint32(at, frame.storedBytes, true)
    view.setUint32(at + 4, frame.bytes, true)
    at += ENTRY_BYTES
  }
  view.setUint32(at, frames.length, true)
  view.setUint8(at + 4, 0) // descriptor: no checksums per entry, the frames carry their own
  view.setUint32(at + 5, SEEKABLE_MAGIC, true)
  return table
}

export type SeekTableRead =
  | { readonly state: 'table'; readonly frames: readonly Frame[]; readonly tableBytes: number }
  /** The table is longer than what was given: read this many bytes from the end. */
  | { readonly state: 'need'; readonly bytes: number }
  | { readonly state: 'invalid'; readonly detail: string }

/**
 * Reads the seek table.
 * @param tail - The last bytes of the object, at least `SEEK_TABLE_TAIL_BYTES`.
 */
export function decodeSeekTable(tail: Uint8Array): SeekTableRead {
  if (tail.length < FOOTER_BYTES) return { state: 'need', bytes: FOOTER_BYTES }
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength)
  const footer = tail.length - FOOTER_BYTES
  if (view.getUint32(footer + 5, true) !== SEEKABLE_MAGIC)
    return { state: 'invalid', detail: 'no seek table at the end' }
  const descriptor = view.getUint8(footer + 4)
  if ((descriptor & RESERVED_BITS) !== 0)
    return { state: 'invalid', detail: 'reserved bits set in the seek table' }
  const entryBytes = ENTRY_BYTES + ((descriptor & CHECKSUM_FLAG) === 0 ? 0 : 4)
  const count = view.getUint32(footer, true)
  const content = count * entryBytes + FOOTER_BYTES
  const tableBytes = SKIPPABLE_HEADER_BYTES + content
  if (tail.length < tableBytes) return { state: 'need', bytes: tableBytes }
  const start = tail.length - tableBytes
  if (view.getUint32(start, true) !== SKIPPABLE_MAGIC || view.getUint32(start + 4, true) !== content)
    return { state: 'invalid', detail: 'the seek table is not in a skippable frame of its size' }
  const frames: Frame[] = []
  for (let at = start + SKIPPABLE_HEADER_BYTES; at < footer; at += entryBytes)
    frames.push({ storedBytes: view.getUint32(at, true), bytes: view.getUint32(at + 4, true) })
  return { state: 'table', frames, tableBytes }
}
