// An index of .eh_frame for images without .eh_frame_hdr: gcc -static links without. In memory nothing says where the
// section is, so its first record is looked for, that of the C library's start code.
import type { ImageSegment } from '../image.ts'
import { type Cie, type FdeIndex, firstAfter, RECORD_BYTES_MAX } from './eh-frame.ts'
import type { PageCache } from './pages.ts'

/** A CIE from its id on, as gcc and clang write it: version 1, `zR`, code in bytes, data in -8, return address in 16. */
const FIRST_CIE = Buffer.from([0, 0, 0, 0, 1, 0x7a, 0x52, 0, 1, 0x78, 0x10])
/** The section follows .rodata. Go's programs have none, and this much is read of them in vain: 4 MiB. */
const CHUNKS_MAX = 64
const CHUNK_BYTES = 64 * 1024
/** A static program of 15 MB has as many functions. */
const RECORDS_MAX = 32 * 1024
/** Id, start and length of a function. */
const RECORD_BYTES_MIN = 12
/** How compilers for x86-64 write a function's start. */
const PCREL_SDATA4 = 0x1b
const WRITABLE_OR_EXECUTABLE = 3

/** @param cieAt - Reads a CIE, or remembers it. */
export function scannedIndex(
  pages: PageCache,
  segments: readonly ImageSegment[],
  cieAt: (address: number) => Cie | undefined,
): FdeIndex | undefined {
  const first = findFirstCie(pages, segments)
  if (first === undefined) return undefined
  const found: { readonly start: number; readonly address: number }[] = []
  let address = first
  for (let records = 0; records < RECORDS_MAX; records++) {
    const [length, id] = [pages.u32(address), pages.u32(address + 4)]
    if (!(length >= RECORD_BYTES_MIN && length <= RECORD_BYTES_MAX)) break
    if (id !== 0 && cieAt(address + 4 - id)?.pointerEncoding === PCREL_SDATA4)
      found.push({ start: address + 8 + (pages.u32(address + 8) | 0), address })
    address += 4 + length
  }
  found.sort((one, other) => one.start - other.start)
  return pc => found[firstAfter(found.length, index => found[index]!.start, pc) - 1]?.address ?? Number.NaN
}

/** @returns Its address. */
function findFirstCie(pages: PageCache, segments: readonly ImageSegment[]): number | undefined {
  const chunk = Buffer.alloc(CHUNK_BYTES)
  // Chunks overlap, as a record may lie across.
  const step = CHUNK_BYTES - FIRST_CIE.length
  let chunksLeft = CHUNKS_MAX
  for (const { start, bytes, flags } of segments) {
    if (flags & WRITABLE_OR_EXECUTABLE) continue
    for (let at = start; at < start + bytes && chunksLeft > 0; at += step, chunksLeft--) {
      const idAt = chunk.subarray(0, pages.read(at, chunk)).indexOf(FIRST_CIE)
      if (idAt >= 4) return at + idAt - 4
    }
  }
  return undefined
}
