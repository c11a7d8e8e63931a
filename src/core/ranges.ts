// A set of addresses, as ranges. There can be a hundred thousand: in blocks, so that adding one moves few.

/** Ranges in a block before it is split; moving as many is a copy of 8 KiB. */
const BLOCK_RANGES_MAX = 512

export interface Range {
  readonly start: number
  readonly end: number
}

/** A place in the blocks: the range at `index` of block `block`. */
interface Place {
  readonly block: number
  readonly index: number
}

export class RangeSet {
  /** By address; none is empty. Start and end of each range in turn. */
  readonly #blocks: number[][] = []

  /** Adds a range; those that it overlaps or touches become one with it. */
  add(start: number, end: number): void {
    if (end <= start) return
    const from = this.#firstEndingAt(start)
    const to = this.#firstStartingAfter(end)
    const merged = [start, end]
    if (from.block < to.block || from.index < to.index) {
      merged[0] = Math.min(start, this.#blocks[from.block]![from.index]!)
      merged[1] = Math.max(end, this.#lastEndBefore(to))
    }
    this.#replace(from, to, merged)
  }

  /** @returns The parts of a range that are not in the set, by address. */
  gaps(start: number, end: number): Range[] {
    const gaps: Range[] = []
    let at = start
    for (const range of this.#from(this.#firstEndingAt(start))) {
      if (range.start >= end) break
      if (range.start > at) gaps.push({ start: at, end: range.start })
      at = Math.max(at, range.end)
    }
    if (at < end) gaps.push({ start: at, end })
    return gaps
  }

  has(address: number): boolean {
    const { block, index } = this.#firstEndingAt(address + 1)
    const start = this.#blocks[block]?.[index]
    return start !== undefined && start <= address
  }

  /** @returns The parts of a range that are in the set, by address. */
  *within(start: number, end: number): Generator<Range> {
    for (const range of this.#from(this.#firstEndingAt(start + 1))) {
      if (range.start >= end) return
      yield { start: Math.max(start, range.start), end: Math.min(end, range.end) }
    }
  }

  *#from({ block, index }: Place): Generator<Range> {
    for (let at = block, first = index; at < this.#blocks.length; at++, first = 0) {
      const ranges = this.#blocks[at]!
      for (let each = first; each < ranges.length; each += 2)
        yield { start: ranges[each]!, end: ranges[each + 1]! }
    }
  }

  /** @returns The first range that ends at an address or behind it. */
  #firstEndingAt(address: number): Place {
    const block = this.#firstBlock(ranges => ranges.at(-1)! >= address)
    const ranges = this.#blocks[block] ?? []
    return { block, index: 2 * lowest(ranges.length / 2, at => ranges[2 * at + 1]! >= address) }
  }

  /** @returns The first range that starts behind an address. */
  #firstStartingAfter(address: number): Place {
    const block = this.#firstBlock(ranges => ranges.at(-2)! > address)
    const ranges = this.#blocks[block] ?? []
    return { block, index: 2 * lowest(ranges.length / 2, at => ranges[2 * at]! > address) }
  }

  /** The last one where there is none: what is behind all is put at its end. */
  #firstBlock(holds: (ranges: readonly number[]) => boolean): number {
    const last = Math.max(0, this.#blocks.length - 1)
    return lowest(last, at => holds(this.#blocks[at]!))
  }

  #lastEndBefore({ block, index }: Place): number {
    return index > 0 ? this.#blocks[block]![index - 1]! : this.#blocks[block - 1]!.at(-1)!
  }

  #replace(from: Place, to: Place, range: number[]): void {
    const head = this.#blocks[from.block]?.slice(0, from.index) ?? []
    const tail = this.#blocks[to.block]?.slice(to.index) ?? []
    const joined = head.concat(range, tail)
    const middle = 2 * Math.ceil(joined.length / 4)
    const blocks =
      joined.length > 2 * BLOCK_RANGES_MAX ? [joined.slice(0, middle), joined.slice(middle)] : [joined]
    this.#blocks.splice(from.block, to.block + 1 - from.block, ...blocks)
  }
}

/** @returns The lowest number below `count` for which something holds that holds for all above; `count` if for none. */
export function lowest(count: number, holds: (at: number) => boolean): number {
  let [low, high] = [0, count]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (holds(middle)) high = middle
    else low = middle + 1
  }
  return low
}
