// Which pages the words of some others point to, breadth first: what the variables on a stack refer to.
import { type Memory, PAGE_BYTES } from './memory.ts'
import { pageFloor, type Segment, segmentAt } from './segments.ts'
import type { Range } from './ranges.ts'

/** 32 MiB: reading and searching more than that would hold the process too long. */
const PAGES_MAX = 8192

/**
 * Yields pages in the order in which they are reached, each once, the ones to start from first. The order depends on
 * nothing but the memory, so that a larger budget keeps what a smaller one does.
 * @param dumped - Segments that count as memory, by address.
 * @param roots - Multiples of PAGE_BYTES.
 */
export function* reachablePages(
  memory: Memory,
  dumped: readonly Segment[],
  roots: readonly Range[],
): Generator<number> {
  const first = dumped[0]?.start ?? 0
  const last = dumped.at(-1)?.dumpedEnd ?? 0
  const seen = new Set<number>()
  for (const { start, end } of roots)
    for (let page = start; page < end && seen.size < PAGES_MAX; page += PAGE_BYTES) seen.add(page)
  const bytes = new Uint8Array(PAGE_BYTES)
  // Every machine that this runs on is little-endian.
  const words = new Uint32Array(bytes.buffer)
  // A set yields what is added to it meanwhile, in order: the queue of the search.
  for (const page of seen) {
    yield page
    if (seen.size >= PAGES_MAX) continue
    const filled = memory.read(page, bytes)
    let before = page
    for (let at = 0; at + 2 <= filled / 4; at += 2) {
      const address = words[at]! + words[at + 1]! * 2 ** 32
      if (address < first || address >= last) continue
      const target = pageFloor(address)
      // Neighbours often point to the same page.
      if (target === before) continue
      before = target
      if (seen.has(target) || seen.size >= PAGES_MAX) continue
      const segment = segmentAt(dumped, target)
      if (segment !== undefined && target < segment.dumpedEnd) seen.add(target)
    }
  }
}
