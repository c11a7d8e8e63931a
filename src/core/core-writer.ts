// Writes a planned core, reading the memory as it goes, through one buffer.
import { encodeHead, encodeTail } from './core-layout.ts'
import { type Memory, PAGE_BYTES } from './memory.ts'
import type { CorePlan } from './plan.ts'

/** What the handler takes from a pipe at once, too. */
const CHUNK_BYTES = 256 * 1024

/**
 * Yields the finished core: `plan.bytes` bytes.
 * @param memory - What the plan was made of. A page that cannot be read becomes zeros, as in the kernel's dump_user_range.
 * @returns Bytes of such pages. Each chunk is valid until the next is asked for.
 */
export function* coreChunks(
  plan: CorePlan,
  memory: Memory,
): Generator<Uint8Array, { readonly bytesUnreadable: number }> {
  const buffer = new Uint8Array(CHUNK_BYTES)
  let filled = 0
  let bytesUnreadable = 0
  for (const part of partsOf(plan)) {
    for (let done = 0; done < part.bytes;) {
      const room = buffer.subarray(filled, filled + part.bytes - done)
      if (part.from instanceof Uint8Array) room.set(part.from.subarray(done, done + room.length))
      else bytesUnreadable += readPages(memory, part.from + done, room)
      done += room.length
      filled += room.length
      if (filled < CHUNK_BYTES) continue
      yield buffer
      filled = 0
    }
  }
  if (filled > 0) yield buffer.subarray(0, filled)
  return { bytesUnreadable }
}

/** Bytes, or an address to read them from. */
interface Part {
  readonly from: Uint8Array | number
  readonly bytes: number
}

function* partsOf(plan: CorePlan): Generator<Part> {
  for (const from of encodeHead(plan)) yield { from, bytes: from.length }
  for (const { start, bytes } of plan.runs) yield { from: start, bytes }
  const tail = encodeTail(plan)
  yield { from: tail, bytes: tail.length }
}

/** Fills a buffer with memory. @returns Bytes of pages that could not be read, all of them zeros. */
function readPages(memory: Memory, start: number, into: Uint8Array): number {
  let bytesUnreadable = 0
  for (let done = 0; done < into.length;) {
    const rest = into.subarray(done)
    const read = Math.min(memory.read(start + done, rest), rest.length)
    done += read
    if (done === into.length) break
    // The rest of the page in which reading ended.
    const missing = Math.min(PAGE_BYTES - ((start + done) % PAGE_BYTES), into.length - done)
    into.fill(0, done, done + missing)
    bytesUnreadable += missing
    done += missing
  }
  return bytesUnreadable
}
