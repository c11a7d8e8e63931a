// What is kept of a core so far, and how much room is left: of the memory that the kernel would dump, and of nothing
// else but file text that is asked for by name. Whoever comes first has the room.
import { type Memory, PAGE_BYTES } from './memory.ts'
import { RangeSet } from './ranges.ts'
import { indexAt, isFileText, pageCeil, pageFloor, type Segment } from './segments.ts'

/** One program header for each run of kept pages. */
const RUN_BYTES = 56

export class Kept {
  readonly segments: readonly Segment[]
  readonly ranges = new RangeSet()
  #bytesLeft: number

  /**
   * @param segments - By address: `segmentsOf`.
   * @param bytesMax - For the memory and its program headers.
   */
  constructor(segments: readonly Segment[], bytesMax: number) {
    this.segments = segments
    this.#bytesLeft = bytesMax
  }

  get bytesLeft(): number {
    return this.#bytesLeft
  }

  /** Takes room for what is no memory. @returns Whether there was enough. */
  reserve(bytes: number): boolean {
    if (bytes > this.#bytesLeft) return false
    this.#bytesLeft -= bytes
    return true
  }

  /** Lets something keep up to a share of the room that is left. */
  within(bytesMax: number, keep: () => void): void {
    const withheld = Math.max(0, this.#bytesLeft - Math.max(0, Math.floor(bytesMax)))
    this.#bytesLeft -= withheld
    keep()
    this.#bytesLeft += withheld
  }

  /** Keeps the pages of a range that the kernel would dump: from the lowest on, as many as there is room for. */
  keep(start: number, end: number): void {
    for (let index = indexAt(this.segments, start); index < this.segments.length; index++) {
      const segment = this.segments[index]!
      if (segment.start >= end || this.#bytesLeft < PAGE_BYTES) return
      this.#keepIn(segment, Math.max(start, segment.start), Math.min(end, segment.dumpedEnd))
    }
  }

  /** Keeps a page of a file's text, which the kernel leaves to the file, if it can be read. */
  keepText(memory: Memory, address: number): void {
    const segment = this.segments[indexAt(this.segments, address)]
    if (segment === undefined || segment.start > address || !isFileText(segment)) return
    if (memory.read(pageFloor(address), new Uint8Array(1)) === 1) this.#keepIn(segment, address, address + 1)
  }

  #keepIn(segment: Segment, from: number, to: number): void {
    if (to <= from) return
    for (const gap of this.ranges.gaps(pageFloor(from), pageCeil(to))) {
      const { start } = gap
      const joinsBelow = start > segment.start && this.ranges.has(start - 1)
      const joinsAbove = gap.end < segment.end && this.ranges.has(gap.end)
      const room = this.#bytesLeft - (joinsBelow ? 0 : RUN_BYTES)
      const end = Math.min(gap.end, start + pageFloor(Math.max(0, room)))
      if (end === start) return
      // Where it closes a gap, two runs become one, and a program header is saved.
      const runs = (joinsBelow ? 0 : 1) - (joinsAbove && end === gap.end ? 1 : 0)
      this.#bytesLeft -= end - start + runs * RUN_BYTES
      this.ranges.add(start, end)
    }
  }
}
