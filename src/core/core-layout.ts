// How a finished core is laid out, as elf_core_dump in the kernel's fs/binfmt_elf.c does it: ELF header, program headers
// with PT_NOTE first, notes, then pages from a page's beginning on, and a section header if e_phnum cannot hold the count.
import type { Kept } from './kept.ts'
import { PAGE_BYTES } from './memory.ts'
import { encodeNote, noteBytes } from './note-budget.ts'
import type { Note } from './notes.ts'
import type { Range } from './ranges.ts'
import { isExecutable, isFileText, pageCeil, type Segment } from './segments.ts'

const HEADER_BYTES = 64
export const PROGRAM_HEADER_BYTES = 56
const SECTION_HEADER_BYTES = 64
const PN_XNUM = 0xffff
const ET_CORE = 4
const PT_LOAD = 1
const PT_NOTE = 4

/** What a core has besides notes, memory and its program headers, at most. */
export const FIXED_BYTES = HEADER_BYTES + PROGRAM_HEADER_BYTES + PAGE_BYTES + SECTION_HEADER_BYTES

/** A PT_LOAD segment of the finished core. */
export interface Run {
  readonly start: number
  /** In the core. */
  readonly bytes: number
  /** In memory: more where file text follows that the core leaves to the file. */
  readonly memoryBytes: number
  readonly flags: number
}

export interface Layout {
  readonly machine: number
  readonly notes: readonly Note[]
  readonly runs: readonly Run[]
}

/**
 * Lists the segments to write. Dropped memory is left out: with p_filesz below p_memsz debuggers read zeros where there
 * were none, without a word, whereas what is not there is an error. Text is in the file, so it is announced.
 * @param withText - Whether text gets program headers of its own.
 */
export function* runsOf({ segments, ranges }: Kept, withText: boolean): Generator<Run> {
  for (const segment of segments) {
    const textStart = withText && isFileText(segment) ? startOfText(segment) : segment.end
    let run: Run | undefined
    let at = segment.start
    for (const { start, end } of withEnd(ranges.within(segment.start, segment.end), segment.end)) {
      const textAt = Math.max(at, textStart)
      if (textAt < start && run !== undefined && run.start + run.bytes === textAt) {
        run = { ...run, memoryBytes: start - run.start }
      } else if (textAt < start) {
        if (run) yield run
        run = { start: textAt, bytes: 0, memoryBytes: start - textAt, flags: segment.flags }
      }
      if (start === end) break
      if (run) yield run
      run = { start, bytes: end - start, memoryBytes: end - start, flags: segment.flags }
      at = end
    }
    if (run) yield run
  }
}

/** What the kernel dumps of a file that is not executable was changed: the file has not what was there. */
function startOfText(segment: Segment): number {
  return isExecutable(segment) ? segment.start : segment.dumpedEnd
}

function* withEnd(ranges: Iterable<Range>, end: number): Generator<Range> {
  yield* ranges
  yield { start: end, end }
}

/** @returns Exact size of the finished core. */
export function coreBytes(layout: Layout): number {
  const memory = layout.runs.reduce((sum, { bytes }) => sum + bytes, 0)
  return memoryAt(layout) + memory + (needsSectionHeader(layout) ? SECTION_HEADER_BYTES : 0)
}

/** Yields all that comes before the memory, its padding included. */
export function* encodeHead(layout: Layout): Generator<Uint8Array> {
  yield encodeHeader(layout)
  yield encodeProgramHeaders(layout)
  for (const note of layout.notes) yield encodeNote(note)
  yield new Uint8Array(memoryAt(layout) - notesAt(layout) - bytesOf(layout.notes))
}

/** @returns What follows the memory: with 65,535 segments or more, their count (sh_info), else nothing. */
export function encodeTail(layout: Layout): Uint8Array {
  if (!needsSectionHeader(layout)) return new Uint8Array(0)
  const view = new DataView(new ArrayBuffer(SECTION_HEADER_BYTES))
  writeU64(view, 32, 1) // sh_size: number of section headers
  view.setUint32(44, countOf(layout), true)
  return new Uint8Array(view.buffer)
}

function encodeHeader(layout: Layout): Uint8Array {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES))
  view.setUint32(0, 0x7f454c46) // 0x7f 'E' 'L' 'F'
  view.setUint32(4, 0x0201_0100) // 64-bit, little-endian, version 1
  view.setUint16(16, ET_CORE, true)
  view.setUint16(18, layout.machine, true)
  view.setUint32(20, 1, true)
  writeU64(view, 32, HEADER_BYTES)
  view.setUint16(52, HEADER_BYTES, true)
  view.setUint16(54, PROGRAM_HEADER_BYTES, true)
  view.setUint16(56, Math.min(countOf(layout), PN_XNUM), true)
  if (needsSectionHeader(layout)) {
    writeU64(view, 40, coreBytes(layout) - SECTION_HEADER_BYTES)
    view.setUint16(58, SECTION_HEADER_BYTES, true)
    view.setUint16(60, 1, true)
  }
  return new Uint8Array(view.buffer)
}

/** In one piece: there can be a hundred thousand. */
function encodeProgramHeaders(layout: Layout): Uint8Array {
  const view = new DataView(new ArrayBuffer(countOf(layout) * PROGRAM_HEADER_BYTES))
  const notes = { start: 0, bytes: bytesOf(layout.notes), memoryBytes: 0, flags: 0 }
  encodeProgramHeader(view, 0, { type: PT_NOTE, offset: notesAt(layout), align: 4, ...notes })
  let offset = memoryAt(layout)
  for (const [index, run] of layout.runs.entries()) {
    const at = (index + 1) * PROGRAM_HEADER_BYTES
    encodeProgramHeader(view, at, { type: PT_LOAD, offset, align: PAGE_BYTES, ...run })
    offset += run.bytes
  }
  return new Uint8Array(view.buffer)
}

function encodeProgramHeader(
  view: DataView,
  at: number,
  header: Run & { readonly type: number; readonly offset: number; readonly align: number },
): void {
  view.setUint32(at, header.type, true)
  view.setUint32(at + 4, header.flags, true)
  writeU64(view, at + 8, header.offset)
  writeU64(view, at + 16, header.start)
  writeU64(view, at + 32, header.bytes)
  writeU64(view, at + 40, header.memoryBytes)
  writeU64(view, at + 48, header.align)
}

function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % 2 ** 32, true)
  view.setUint32(at + 4, value / 2 ** 32, true)
}

/** With PT_NOTE. */
function countOf({ runs }: Layout): number {
  return runs.length + 1
}

function needsSectionHeader(layout: Layout): boolean {
  return countOf(layout) >= PN_XNUM
}

function notesAt(layout: Layout): number {
  return HEADER_BYTES + countOf(layout) * PROGRAM_HEADER_BYTES
}

function memoryAt(layout: Layout): number {
  return pageCeil(notesAt(layout) + bytesOf(layout.notes))
}

function bytesOf(notes: readonly Note[]): number {
  return notes.reduce((sum, note) => sum + noteBytes(note), 0)
}
