// Stacks of threads: what is in use of them, and how a budget is divided among them.
import type { Memory } from './memory.ts'
import { lowest } from './ranges.ts'
import { pageFloor, type Segment } from './segments.ts'
import { type Interrupted, signalFrames } from './signal-frames.ts'

/** What a thread uses of its stack: up to the end of the mapping, where its first frame is. Page by page. */
export interface Stack {
  readonly start: number
  readonly end: number
}

/**
 * Finds the stack that a stack pointer is in. One in a guard page or a hole has overflowed the stack just above.
 * @param dumped - Segments of which the kernel dumps something, by address.
 * @param redZoneBytes - What is in use below the stack pointer.
 */
export function stackAt(dumped: readonly Segment[], sp: number, redZoneBytes: number): Stack | undefined {
  const segment = dumped[lowest(dumped.length, at => dumped[at]!.dumpedEnd > sp)]
  if (segment === undefined) return undefined
  return { start: Math.max(segment.start, pageFloor(sp - redZoneBytes)), end: segment.dumpedEnd }
}

/**
 * Divides room among stacks: the same for each, but no more than it uses.
 * @returns The largest number N of bytes, in pages, with which all of min(used, N) together are within `bytesMax`;
 *   Infinity where all of every stack fits.
 */
export function stackLevel(stacks: readonly Stack[], bytesMax: number): number {
  const sizes = stacks.map(({ start, end }) => end - start).sort((one, other) => one - other)
  let bytesLeft = bytesMax
  for (const [index, size] of sizes.entries()) {
    const level = bytesLeft / (sizes.length - index)
    if (size > level) return pageFloor(Math.max(0, level))
    bytesLeft -= size
  }
  return Infinity
}

/**
 * Follows signal frames from stack to stack: a handler may have been interrupted as well.
 * @param window - Scratch: as many bytes of each stack are searched.
 * @param framesMax - How many frames are followed, and stacks searched at most.
 */
export function* interrupted(
  memory: Memory,
  dumped: readonly Segment[],
  from: Stack,
  { window, framesMax }: { window: Uint8Array; framesMax: number },
): Generator<Interrupted & { readonly stack: Stack }> {
  const pending = [from]
  const seen = new Set<number>()
  for (let searched = 0; searched < framesMax; searched++) {
    const stack = pending.shift()
    if (stack === undefined) return
    const bytes = Math.min(window.length, stack.end - stack.start)
    for (const frame of signalFrames(memory, stack.start, window.subarray(0, bytes))) {
      const next = stackAt(dumped, frame.sp, RED_ZONE_BYTES)
      if (next === undefined || seen.has(next.start)) continue
      if (seen.size === framesMax) return
      seen.add(next.start)
      pending.push(next)
      yield { ...frame, stack: next }
    }
  }
}

/** x86-64 ABI: leaf functions use this much below the stack pointer. */
export const RED_ZONE_BYTES = 128
