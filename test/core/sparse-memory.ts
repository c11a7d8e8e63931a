// Memory of a process that never ran: pages of zeros where a test says so, with words in them.
import { type Memory, PAGE_BYTES } from '../../src/core/memory.ts'

export class SparseMemory implements Memory {
  readonly #pages = new Map<number, Buffer>()

  /** Maps the pages of a range, filled with a byte. */
  map(start: number, end: number, fill = 0): this {
    for (let page = start; page < end; page += PAGE_BYTES)
      this.#pages.set(page, Buffer.alloc(PAGE_BYTES, fill))
    return this
  }

  /** Writes 64-bit words from an address on, which must be mapped. */
  words(address: number, ...words: readonly (number | bigint)[]): this {
    return this.bytes(address, Buffer.from(BigUint64Array.from(words.map(BigInt)).buffer))
  }

  bytes(address: number, bytes: Uint8Array): this {
    for (const [index, byte] of bytes.entries()) {
      const at = address + index
      this.#pages.get(at - (at % PAGE_BYTES))![at % PAGE_BYTES] = byte
    }
    return this
  }

  read(address: number, into: Uint8Array): number {
    let filled = 0
    while (filled < into.length) {
      const at = address + filled
      const page = this.#pages.get(at - (at % PAGE_BYTES))
      if (page === undefined) break
      filled += page.copy(into, filled, at % PAGE_BYTES)
    }
    return filled
  }
}
