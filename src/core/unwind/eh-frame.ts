// .eh_frame and the sorted index before it, .eh_frame_hdr: LSB core, "Exception Frames". Read from a process's memory,
// where the process can write what it likes: whatever contradicts itself is not there.
import { Cursor } from './cursor.ts'
import type { PageCache } from './pages.ts'

/** The largest in node, whose functions are huge, has 3,144. */
export const RECORD_BYTES_MAX = 16 * 1024
/** A CIE has about 20 bytes. */
const CIE_BYTES_MAX = 512
/** `zPLRSB` is the longest there is. */
const AUGMENTATION_MAX = 8
const HEADER_BYTES_MAX = 32
/** An executable of 4 GiB has fewer functions. */
const ENTRIES_MAX = 2 ** 28

/** Finds FDEs: the address of that of the last function that starts at `pc` or before it, NaN where there is none. */
export type FdeIndex = (pc: number) => number

/** What the FDEs of many functions share: Common Information Entry. */
export interface Cie {
  readonly codeFactor: number
  readonly dataFactor: number
  readonly returnColumn: number
  readonly pointerEncoding: number
  /** Its functions interrupt others: `S`. */
  readonly isSignalFrame: boolean
  /** FDEs have an augmentation to skip: `z`. */
  readonly isAugmented: boolean
  /** At the first instruction; a new one for each reader. */
  readonly instructions: () => Cursor
}

/** How to unwind a function: Frame Description Entry. */
export interface Fde {
  readonly cie: Cie
  readonly start: number
  readonly end: number
  readonly instructions: () => Cursor
}

/**
 * The index that linkers write: pairs of a function's start and the address of its FDE, sorted.
 * @param address - Of .eh_frame_hdr.
 */
export function sortedIndex(pages: PageCache, address: number): FdeIndex | undefined {
  const bytes = new Uint8Array(HEADER_BYTES_MAX)
  const cursor = new Cursor(bytes.subarray(0, pages.read(address, bytes)), address)
  const [version, frameEncoding, countEncoding] = [cursor.u8(), cursor.u8(), cursor.u8()]
  const entryEncoding = cursor.u8()
  cursor.pointer(frameEncoding)
  const entries = cursor.pointer(countEncoding)
  // DW_EH_PE_datarel with sdata4, in images beyond 2 GiB with sdata8.
  const fieldBytes = entryEncoding === 0x3b ? 4 : entryEncoding === 0x3c ? 8 : undefined
  if (version !== 1 || fieldBytes === undefined) return undefined
  if (cursor.overrun || !(entries > 0 && entries <= ENTRIES_MAX)) return undefined
  const entriesAt = cursor.address
  const field = (index: number): number => {
    const at = entriesAt + index * fieldBytes
    const low = pages.u32(at)
    return address + (fieldBytes === 4 ? low | 0 : low + (pages.u32(at + 4) | 0) * 2 ** 32)
  }
  return pc => {
    const after = firstAfter(entries, index => field(index * 2), pc)
    return after === 0 ? Number.NaN : field(after * 2 - 1)
  }
}

/** @returns The first of `count` ascending numbers that is larger, `count` where none is. */
export function firstAfter(count: number, numberAt: (index: number) => number, value: number): number {
  let [low, high] = [0, count]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (numberAt(middle) <= value) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * @param address - Of the FDE.
 * @param cieAt - Reads a CIE, or remembers it.
 */
export function readFde(
  pages: PageCache,
  address: number,
  cieAt: (address: number) => Cie | undefined,
): Fde | undefined {
  const record = readRecord(pages, address)
  if (record === undefined || record.id === 0) return undefined
  const cie = cieAt(record.idAddress - record.id)
  if (cie === undefined) return undefined
  const { cursor } = record
  const start = cursor.pointer(cie.pointerEncoding)
  const end = start + cursor.length(cie.pointerEncoding)
  if (cie.isAugmented) cursor.block()
  if (cursor.overrun || !(end > start)) return undefined
  return { cie, start, end, instructions: record.instructions() }
}

export function readCie(pages: PageCache, address: number): Cie | undefined {
  const record = readRecord(pages, address, CIE_BYTES_MAX)
  if (record === undefined || record.id !== 0) return undefined
  const { cursor } = record
  const version = cursor.u8()
  const augmentation = cursor.text(AUGMENTATION_MAX)
  if (augmentation === undefined || ![1, 3, 4].includes(version)) return undefined
  if (version === 4) cursor.skip(2) // sizes of addresses and segment selectors
  const [codeFactor, dataFactor] = [cursor.uleb(), cursor.sleb()]
  const returnColumn = version === 1 ? cursor.u8() : cursor.uleb()
  const augmented = readAugmentation(cursor, augmentation)
  if (augmented === undefined || cursor.overrun) return undefined
  const factors = { codeFactor, dataFactor, returnColumn }
  return { ...factors, ...augmented, instructions: record.instructions() }
}

function readAugmentation(
  cursor: Cursor,
  text: string,
): Pick<Cie, 'pointerEncoding' | 'isSignalFrame' | 'isAugmented'> | undefined {
  let [pointerEncoding, isSignalFrame] = [0, false]
  if (text === '') return { pointerEncoding, isSignalFrame, isAugmented: false }
  if (!text.startsWith('z')) return undefined // gcc 2's `eh`
  const length = cursor.uleb()
  const end = cursor.at + length
  for (const letter of text.slice(1)) {
    if (letter === 'R') pointerEncoding = cursor.u8()
    else if (letter === 'L') cursor.u8()
    else if (letter === 'P') cursor.pointer(cursor.u8())
    else if (letter === 'S') isSignalFrame = true
    else break // what it means is unknown, where it ends is not
  }
  cursor.skip(end - cursor.at)
  return { pointerEncoding, isSignalFrame, isAugmented: true }
}

interface EhRecord {
  /** Behind the id. */
  readonly cursor: Cursor
  /** 0 in a CIE; in an FDE the way back to its CIE. */
  readonly id: number
  readonly idAddress: number
  /** @returns What makes cursors from where this record's is now. */
  readonly instructions: () => () => Cursor
}

function readRecord(pages: PageCache, address: number, bytesMax = RECORD_BYTES_MAX): EhRecord | undefined {
  const length = pages.u32(address)
  // 0 ends the section; 0xffffffff, a length of 64 bits, is larger than any that is read.
  if (!(length >= 4 && length <= bytesMax)) return undefined
  const idAddress = address + 4
  const bytes = pages.bytes(idAddress, length)
  if (bytes === undefined) return undefined
  const cursor = new Cursor(bytes, idAddress)
  return {
    cursor,
    id: cursor.u32(),
    idAddress,
    instructions: () => {
      const { at } = cursor
      return () => new Cursor(bytes, idAddress, at)
    },
  }
}
