// Reads what DWARF writes: LEB128 numbers and pointers in the encodings of DW_EH_PE_… (LSB core, "Exception Frames").

/** Low four bits: how a pointer is written. The next three: what it counts from. The last, indirect, is not followed. */
const FORMAT = 0x0f
const RELATION = 0x70
const PCREL = 0x10
const DATAREL = 0x30

/**
 * A place in bytes that were copied from memory. Numbers above 2^53 are rounded. Reading past the end gives zeros and
 * sets `overrun`, so that readers need to look once, in the end.
 */
export class Cursor {
  at: number
  readonly end: number
  overrun = false
  readonly #bytes: Uint8Array
  readonly #view: DataView
  /** Of the first byte, in memory. */
  readonly #address: number

  constructor(bytes: Uint8Array, address: number, at = 0, end = bytes.length) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#address = address
    this.at = at
    this.end = Math.min(end, bytes.length)
  }

  /** In memory. */
  get address(): number {
    return this.#address + this.at
  }

  /** @returns Where the bytes skipped begin, 0 where there are not so many. */
  skip(length: number): number {
    const from = this.at
    if (!(length <= this.end - from)) {
      this.overrun = true
      this.at = this.end
      return 0
    }
    this.at = from + length
    return from
  }

  u8(): number {
    const from = this.skip(1)
    return this.overrun ? 0 : this.#bytes[from]!
  }

  u16(): number {
    const from = this.skip(2)
    return this.overrun ? 0 : this.#view.getUint16(from, true)
  }

  u32(): number {
    const from = this.skip(4)
    return this.overrun ? 0 : this.#view.getUint32(from, true)
  }

  /** As two's complement: an address is the same, a distance may be negative. */
  i64(): number {
    const from = this.skip(8)
    return this.overrun ? 0 : this.#view.getUint32(from, true) + this.#view.getInt32(from + 4, true) * 2 ** 32
  }

  /** Exact, for expressions. */
  u64(): bigint {
    const from = this.skip(8)
    return this.overrun ? 0n : this.#view.getBigUint64(from, true)
  }

  uleb(): number {
    let [value, scale] = [0, 1]
    for (;;) {
      const byte = this.u8()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 128
    }
  }

  sleb(): number {
    let [value, scale] = [0, 1]
    for (;;) {
      const byte = this.u8()
      value += (byte & 0x7f) * scale
      scale *= 128
      if (byte < 0x80) return byte & 0x40 ? value - scale : value
    }
  }

  /** Skips a length (unsigned LEB128) and as many bytes. @returns These, not copied. */
  block(): Uint8Array {
    const length = this.uleb()
    const from = this.skip(length)
    return this.#bytes.subarray(from, this.overrun ? from : from + length)
  }

  /** Up to the NUL, which is skipped; undefined where none comes within so many bytes. */
  text(lengthMax: number): string | undefined {
    let text = ''
    while (text.length <= lengthMax) {
      const byte = this.u8()
      if (byte === 0) return text
      text += String.fromCharCode(byte)
    }
    return undefined
  }

  /**
   * A pointer; an indirect one is the address of where it is.
   * @param base - What DW_EH_PE_datarel counts from.
   * @returns NaN for an encoding that has no meaning here.
   */
  pointer(encoding: number, base = Number.NaN): number {
    const relation = encoding & RELATION
    const from = this.address
    const value = this.#formatted(encoding)
    if (relation === 0) return value
    if (relation === PCREL) return value + from
    return relation === DATAREL ? value + base : Number.NaN
  }

  /** The number of a pointer's format alone, as the length of a range is written. */
  length(encoding: number): number {
    return this.#formatted(encoding)
  }

  #formatted(encoding: number): number {
    switch (encoding & FORMAT) {
      case 0x00: // absptr
      case 0x04: // udata8
      case 0x0c: // sdata8
        return this.i64()
      case 0x01:
        return this.uleb()
      case 0x02:
        return this.u16()
      case 0x03:
        return this.u32()
      case 0x09:
        return this.sleb()
      case 0x0a:
        return (this.u16() << 16) >> 16
      case 0x0b:
        return this.u32() | 0
      default:
        return Number.NaN
    }
  }
}
