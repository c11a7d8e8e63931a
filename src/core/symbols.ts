// Function names from an ELF file's .symtab, or .dynsym where that was stripped (elf(5)). A table can have hundreds of
// thousands of symbols and a stack has few addresses: one pass over the table looks for all of them at once. The file is
// the workload's: every number in it is hostile.

/** A file that can be read anywhere. */
export interface FileReader {
  readonly bytes: number
  /** @returns Bytes read: fewer than asked for at the file's end, 0 where nothing can be read. */
  read(at: number, into: Uint8Array): number
}

/** Where an address is. */
export interface FunctionName {
  /** As in the file: mangled, and what it likes. */
  readonly name: string
  /** From the function's start. */
  readonly offset: number
}

const HEADER_BYTES = 64
const SECTION_BYTES = 64
const SYMBOL_BYTES = 24
/** Linked files have some dozens; e_shnum holds 65,279. */
const SECTIONS_MAX = 4096
/** 48 MiB of table, ten times node's. Of a larger one the first part is read. */
const SYMBOLS_MAX = 2 * 2 ** 20
/** Addresses named, over all symbols: functions do not overlap, but for some that are nested. */
const NAMINGS_MAX = 4 * 2 ** 20
/** Read at once; whole symbols. */
const CHUNK_BYTES = SYMBOL_BYTES * 4096
/** Templates have long names; longer ones are cut. */
const NAME_BYTES_MAX = 1024

const SHT_SYMTAB = 2
const SHT_DYNSYM = 11
const STT_NOTYPE = 0 // what assembly code does not call a function, as libc's __restore_rt
const STT_FUNC = 2
const STT_GNU_IFUNC = 10
const SHN_LORESERVE = 0xff00

/**
 * Names functions.
 * @param addresses - In the file's own counting; pass `pc - 1` for return addresses.
 * @returns For each address its function; undefined where no symbol names it, for all if the file has no symbols.
 */
export function functionNames(file: FileReader, addresses: readonly number[]): (FunctionName | undefined)[] {
  const none = addresses.map(() => undefined)
  const sections = readSections(file)
  const table = sections?.find(SHT_SYMTAB) ?? sections?.find(SHT_DYNSYM)
  if (sections === undefined || table === undefined) return none
  const search = new Search(addresses)
  for (const chunk of chunksOf(file, table)) search.look(chunk)
  return addresses.map(address => {
    const symbol = search.found(address, index => sections.endOf(index))
    const name = symbol && readName(file, sections.at(table.link), symbol.name)
    return symbol && name ? { name, offset: address - symbol.value } : undefined
  })
}

interface Section {
  readonly offset: number
  readonly bytes: number
  readonly link: number
}

class Sections {
  readonly #view: DataView
  readonly #count: number

  constructor(view: DataView) {
    this.#view = view
    this.#count = view.byteLength / SECTION_BYTES
  }

  find(type: number): Section | undefined {
    for (let index = 0; index < this.#count; index++)
      if (this.#view.getUint32(index * SECTION_BYTES + 4, true) === type) return this.at(index)
    return undefined
  }

  at(index: number): Section | undefined {
    if (index >= this.#count) return undefined
    const [view, at] = [this.#view, index * SECTION_BYTES]
    return { offset: u64(view, at + 24), bytes: u64(view, at + 32), link: view.getUint32(at + 40, true) }
  }

  /** @returns Address behind the section, 0 where there is none. */
  endOf(index: number): number {
    if (index >= this.#count) return 0
    const at = index * SECTION_BYTES
    return u64(this.#view, at + 16) + u64(this.#view, at + 32)
  }
}

function readSections(file: FileReader): Sections | undefined {
  const header = readExactly(file, 0, HEADER_BYTES)
  // 0x7f 'E' 'L' 'F', of 64 bits, little-endian.
  if (header?.getUint32(0, true) !== 0x464c457f || header.getUint16(4, true) !== 0x0102) return undefined
  const [bytes, count] = [header.getUint16(58, true), header.getUint16(60, true)]
  if (bytes !== SECTION_BYTES || count === 0 || count > SECTIONS_MAX) return undefined
  const view = readExactly(file, u64(header, 40), count * SECTION_BYTES)
  return view && new Sections(view)
}

/** The table's symbols, some thousands at a time, in a buffer that is used again. */
function* chunksOf(file: FileReader, { offset, bytes }: Section): Generator<DataView> {
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, Math.max(bytes, 0)))
  const end = offset + Math.min(bytes, SYMBOLS_MAX * SYMBOL_BYTES)
  for (let at = offset; at < end; at += chunk.length) {
    const filled = readAt(file, at, chunk.subarray(0, Math.min(chunk.length, end - at)))
    const whole = filled - (filled % SYMBOL_BYTES)
    yield new DataView(chunk.buffer, 0, whole)
    if (whole < chunk.length) return
  }
}

function readName(file: FileReader, strings: Section | undefined, at: number): string | undefined {
  if (strings === undefined || at >= strings.bytes) return undefined
  const bytes = Buffer.alloc(Math.min(NAME_BYTES_MAX, strings.bytes - at))
  const filled = bytes.subarray(0, readAt(file, strings.offset + at, bytes))
  const end = filled.indexOf(0)
  return filled.toString('utf8', 0, end < 0 ? filled.length : end)
}

function readExactly(file: FileReader, at: number, bytes: number): DataView | undefined {
  const buffer = new Uint8Array(bytes)
  return readAt(file, at, buffer) === bytes ? new DataView(buffer.buffer) : undefined
}

/** A place beyond the file's end may be one that no file can have, and no reader takes. */
function readAt(file: FileReader, at: number, into: Uint8Array): number {
  return at < file.bytes ? file.read(at, into) : 0
}

/** Exact below 2^53; above, inexact but never below it. */
function u64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32
}

interface SymbolFound {
  readonly value: number
  /** Where its name is among the strings. */
  readonly name: number
}

/**
 * Looks for many addresses at once. A symbol with a size names what is in it, the innermost before the others. One
 * without names what follows it in its section, up to the next symbol.
 */
class Search {
  /** Ascending, each once. */
  readonly #addresses: Float64Array
  readonly #values: Float64Array
  readonly #names: Uint32Array
  /** What `preferable` goes by among symbols of the same address. */
  readonly #ranks: Float64Array
  /** The last label at each address or before it, down to the address before. */
  readonly #labels: Float64Array
  readonly #labelNames: Uint32Array
  readonly #labelSections: Uint16Array
  /** The last end of a symbol with a size, in the same way. */
  readonly #ends: Float64Array
  #namingsLeft = NAMINGS_MAX

  constructor(addresses: readonly number[]) {
    this.#addresses = Float64Array.from(new Set(addresses)).sort()
    const count = this.#addresses.length
    this.#values = new Float64Array(count).fill(-1)
    this.#names = new Uint32Array(count)
    this.#ranks = new Float64Array(count)
    this.#labels = new Float64Array(count).fill(-1)
    this.#labelNames = new Uint32Array(count)
    this.#labelSections = new Uint16Array(count)
    this.#ends = new Float64Array(count).fill(-1)
  }

  look(symbols: DataView): void {
    for (let at = 0; at < symbols.byteLength; at += SYMBOL_BYTES) {
      const info = symbols.getUint8(at + 4)
      const type = info & 0xf
      if (type !== STT_FUNC && type !== STT_NOTYPE && type !== STT_GNU_IFUNC) continue
      const section = symbols.getUint16(at + 6, true)
      if (section === 0 || section >= SHN_LORESERVE) continue
      const value = u64(symbols, at + 8)
      const size = u64(symbols, at + 16)
      const name = symbols.getUint32(at, true)
      if (size === 0) this.#addLabel(value, name, section)
      else this.#addSized(value, size, name, info >>> 4)
    }
  }

  #addSized(value: number, size: number, name: number, binding: number): void {
    const addresses = this.#addresses
    const end = value + size
    let index = this.#firstFrom(value)
    const rank = rankOf(binding, size)
    for (; index < addresses.length && addresses[index]! < end; index++) {
      if (this.#namingsLeft-- <= 0) return
      const best = this.#values[index]!
      if (value < best || (value === best && rank <= this.#ranks[index]!)) continue
      this.#values[index] = value
      this.#names[index] = name
      this.#ranks[index] = rank
    }
    if (index < addresses.length && this.#ends[index]! < end) this.#ends[index] = end
  }

  #addLabel(value: number, name: number, section: number): void {
    const index = this.#firstFrom(value)
    if (index === this.#addresses.length || value <= this.#labels[index]!) return
    this.#labels[index] = value
    this.#labelNames[index] = name
    this.#labelSections[index] = section
  }

  found(address: number, sectionEnd: (index: number) => number): SymbolFound | undefined {
    let index = this.#firstFrom(address)
    if (this.#addresses[index] !== address) return undefined
    if (this.#values[index]! >= 0) return { value: this.#values[index]!, name: this.#names[index]! }
    let end = -1
    for (; index >= 0; index--) {
      end = Math.max(end, this.#ends[index]!)
      const value = this.#labels[index]!
      if (value < 0) continue
      const isNear = value >= end && address < sectionEnd(this.#labelSections[index]!)
      return isNear ? { value, name: this.#labelNames[index]! } : undefined
    }
    return undefined
  }

  /** @returns Index of the first address that is not less. */
  #firstFrom(value: number): number {
    let [low, high] = [0, this.#addresses.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#addresses[middle]! < value) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Of several names of one function that of global binding is the public one; the smallest says most. */
function rankOf(binding: number, size: number): number {
  const [STB_GLOBAL, STB_WEAK] = [1, 2]
  const byBinding = binding === STB_GLOBAL ? 2 : binding === STB_WEAK ? 1 : 0
  return byBinding - Math.min(size / 2 ** 52, 0.5)
}
