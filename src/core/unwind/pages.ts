// Memory through a cache of pages: each read of another process is a system call, and frames of a stack share pages as
// unwind tables do.
import { ADDRESS_MAX, type Memory, PAGE_BYTES } from '../memory.ts'

/** 1 MiB: the tables of a dozen libraries and the stack at hand. A power of two, for `slotOf`. */
const PAGES = 256

/**
 * Keeps the pages read last, one for each slot. What is numbers here may be wrong by rounding above 2^53, where no
 * address is, and is NaN where memory cannot be read. Never throws.
 */
export class PageCache implements Memory {
  readonly #memory: Memory
  readonly #bytes = new Uint8Array(PAGES * PAGE_BYTES)
  readonly #view = new DataView(this.#bytes.buffer)
  /** Page numbers by slot; NaN is equal to none. */
  readonly #pages = new Float64Array(PAGES).fill(Number.NaN)
  /** Bytes that could be read of each. */
  readonly #filled = new Uint16Array(PAGES)

  constructor(memory: Memory) {
    this.#memory = memory
  }

  u8(address: number): number {
    const at = this.#find(address, 1)
    return at < 0 ? Number.NaN : this.#bytes[at]!
  }

  u32(address: number): number {
    const at = this.#find(address, 4)
    return at < 0 ? this.#gather(address, 4) : this.#view.getUint32(at, true)
  }

  u64(address: number): number {
    const at = this.#find(address, 8)
    if (at < 0) return this.#gather(address, 8)
    return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32
  }

  read(address: number, into: Uint8Array): number {
    // What is larger than a page is read once, and would only drive out what is read again.
    if (into.length > PAGE_BYTES && address >= 0 && address < ADDRESS_MAX)
      return this.#memory.read(address, into)
    let filled = 0
    while (filled < into.length) {
      const at = this.#find(address + filled, 1)
      if (at < 0) break
      const slot = Math.floor(at / PAGE_BYTES)
      const end = Math.min(slot * PAGE_BYTES + this.#filled[slot]!, at + into.length - filled)
      into.set(this.#bytes.subarray(at, end), filled)
      filled += end - at
    }
    return filled
  }

  /** @returns Bytes from an address on, undefined where not all of them can be read. */
  bytes(address: number, length: number): Uint8Array | undefined {
    const bytes = new Uint8Array(length)
    return this.read(address, bytes) === length ? bytes : undefined
  }

  /** @returns Where in #bytes so many bytes at an address are, -1 where they cannot be read or span two pages. */
  #find(address: number, length: number): number {
    if (!(address >= 0 && address < ADDRESS_MAX)) return -1
    const page = Math.floor(address / PAGE_BYTES)
    const slot = slotOf(page)
    if (this.#pages[slot] !== page) this.#load(page, slot)
    const within = address - page * PAGE_BYTES
    return within + length <= this.#filled[slot]! ? slot * PAGE_BYTES + within : -1
  }

  #load(page: number, slot: number): void {
    const at = slot * PAGE_BYTES
    this.#filled[slot] = this.#memory.read(page * PAGE_BYTES, this.#bytes.subarray(at, at + PAGE_BYTES))
    this.#pages[slot] = page
  }

  /** A number that spans two pages, or cannot be read. */
  #gather(address: number, length: number): number {
    let value = 0
    for (let index = length - 1; index >= 0; index--) value = value * 256 + this.u8(address + index)
    return value
  }
}

/** Multiplied by the golden ratio's fraction (Knuth's hash): stacks lie at strides that are powers of two. */
function slotOf(page: number): number {
  return Math.imul((page >>> 0) ^ (page / 2 ** 32), 0x9e37_79b1) >>> (32 - Math.log2(PAGES))
}
