// The head of an ELF core (header, program headers, notes), parsed while the kernel streams it: elf(5), core(5), and
// elf_core_dump in the kernel's fs/binfmt_elf.c. Pure: bytes in, a value out. Every number in it is hostile.

import type { RefusalReason } from '../crash.ts'
import { mappedFiles, noteBytesAt, notesIn, summarizeNotes } from './notes.ts'
import type { MappedFile, Note, NotesSummary } from './notes.ts'

const HEADER_BYTES = 64
const PROGRAM_HEADER_BYTES = 56
const ET_CORE = 4
const PT_NOTE = 4
/** e_phnum when there are as many segments or more: the count is then in a section header at the stream's end. */
const PN_XNUM = 0xffff

const MAGIC = [0x7f, 0x45, 0x4c, 0x46] as const
const MACHINES: Readonly<Record<number, string>> = {
  62: 'x86-64',
  183: 'aarch64',
  243: 'riscv64',
  258: 'loongarch64',
}

const MIB = 1024 * 1024
/**
 * Holds 299,592 segments. Nodes that raise vm.max_map_count for databases raise it to 262,144; beyond, the head alone
 * would take much of the handler's memory.
 */
const PROGRAM_HEADERS_END_MAX = 16 * MIB
/** Three times what 2,001 threads leave, four times the kernel's own limit for NT_FILE. */
const NOTES_BYTES_MAX = 16 * MIB
/** Room between the program headers and the notes: the kernel leaves none, other writers may align. */
const NOTES_GAP_BYTES_MAX = 64 * 1024
/** The most that `scanHead` asks for. */
export const HEAD_BYTES_MAX = PROGRAM_HEADERS_END_MAX + NOTES_GAP_BYTES_MAX + NOTES_BYTES_MAX

export interface ProgramHeader {
  /** 1 is PT_LOAD, 4 is PT_NOTE. */
  readonly type: number
  /** 4 readable, 2 writable, 1 executable. */
  readonly flags: number
  /** Into the core. */
  readonly offset: number
  readonly vaddr: bigint
  readonly filesz: number
  readonly memsz: bigint
}

/** What the head says. It reads from the scanned bytes when asked: they must not be changed while it is in use. */
export interface CoreHead extends Omit<NotesSummary, 'bytesRead'> {
  readonly machine: { readonly name: string; readonly number: number }
  /** Number of program headers. */
  readonly segments: number
  /** Size of the whole core: the end of the last segment, or of the section headers behind it. */
  readonly bytesExpected: number
  /** From the start to the end of the notes, as far as these are read. */
  readonly headBytes: number
  /**
   * Threads and mappings are not all known: the notes are larger than what is read of them (16 MiB), or they are
   * behind the memory, where gdb's generate-core-file puts them and the kernel never does.
   */
  readonly notesTruncated: boolean
  /** @throws RangeError when there is no such segment. */
  programHeader(index: number): ProgramHeader
  notes(): IterableIterator<Note>
  /** From NT_FILE, one at a time; none where the kernel left the note out. */
  files(): IterableIterator<MappedFile>
}

/** `need`: the result is known once the stream's first `bytes` bytes are there. */
export type HeadScan =
  | { readonly state: 'need'; readonly bytes: number }
  | { readonly state: 'core'; readonly head: CoreHead }
  | HeadRefusal

export interface HeadRefusal {
  readonly state: 'refused'
  readonly reason: RefusalReason
  readonly detail: string
}

type Unfinished = Exclude<HeadScan, { state: 'core' }>

/** The first PT_NOTE segment, as its program header says. */
interface NotesPlace {
  readonly at: number
  readonly bytes: number
  /** It is not in the head, but somewhere behind. */
  readonly behind: boolean
}

/** Where things are in the stream. */
interface Layout {
  readonly state: 'found'
  readonly programHeadersAt: number
  readonly segments: number
  /** Empty, behind the program headers, where there are none in the head. */
  readonly notes: NotesPlace
  readonly bytesExpected: number
}

/**
 * Parses the head of a core.
 * @param bytes - The stream from its first byte on, as far as it was read; more than the head does no harm.
 * @returns The head, a refusal, or how many bytes to come back with: more than `bytes` holds, at most HEAD_BYTES_MAX.
 *   The result does not depend on how the stream was cut.
 */
export function scanHead(bytes: Uint8Array): HeadScan {
  if (bytes.length < HEADER_BYTES) return { state: 'need', bytes: HEADER_BYTES }
  const foreign = refuseForeign(bytes)
  if (foreign) return foreign

  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const layout = findLayout(view)
  if (layout.state !== 'found') return layout

  const { notes } = layout
  const headBytes = notes.at + Math.min(notes.bytes, NOTES_BYTES_MAX)
  if (bytes.length < headBytes) return { state: 'need', bytes: headBytes }
  const region = bytes.subarray(notes.at, headBytes)
  const { bytesRead, ...summary } = summarizeNotes(region)
  const cut = noteBytesAt(region, bytesRead)
  if (cut !== undefined && bytesRead + cut > notes.bytes) {
    return invalid(`a note of ${cut} bytes, ${notes.bytes - bytesRead} bytes before the end of its segment`)
  }

  const machine = view.getUint16(18, true)
  return {
    state: 'core',
    head: {
      machine: { name: MACHINES[machine] ?? `machine ${machine}`, number: machine },
      segments: layout.segments,
      bytesExpected: layout.bytesExpected,
      headBytes,
      ...summary,
      notesTruncated: notes.behind || notes.bytes > NOTES_BYTES_MAX,
      programHeader: index => readProgramHeader(view, layout, index),
      notes: () => notesIn(region),
      files: () => mappedFiles(notesIn(region)),
    },
  }
}

/**
 * Says what is wrong with a stream that ended while `scanHead` needed more of it.
 * @param bytes - All that came.
 * @param needed - The `bytes` of the last scan.
 */
export function refuseAtEnd(bytes: Uint8Array, needed: number): HeadRefusal {
  if (bytes.length === 0) return refused('empty', 'the stream ended before its first byte')
  const detail = `the stream ended after ${bytes.length} bytes, its head has ${needed} or more`
  return refuseForeign(bytes) ?? refused('head-truncated', detail)
}

/** Refuses what is no 64-bit little-endian ELF core, as far as the bytes that are there can tell. */
function refuseForeign(bytes: Uint8Array): HeadRefusal | undefined {
  if (MAGIC.some((byte, at) => at < bytes.length && bytes[at] !== byte)) {
    const start = Buffer.from(bytes.subarray(0, MAGIC.length)).toString('hex')
    return refused('not-elf', `begins with the bytes ${start}, an ELF file with 7f454c46`)
  }
  const [elfClass, encoding] = [bytes[4], bytes[5]]
  if (elfClass === 1) return refused('elf-32bit', 'a core of a 32-bit process')
  if (elfClass !== undefined && elfClass !== 2)
    return refused('not-elf', `ELF class ${elfClass} does not exist`)
  if (encoding === 2) return refused('elf-big-endian', 'a core of a big-endian machine')
  if (encoding !== undefined && encoding !== 1)
    return refused('not-elf', `ELF data encoding ${encoding} does not exist`)
  const [typeLow, typeHigh] = [bytes[16], bytes[17]]
  if (typeLow === undefined || typeHigh === undefined) return undefined
  const type = typeLow + typeHigh * 256
  return type === ET_CORE
    ? undefined
    : refused('not-elf', `an ELF file of type ${type}; a core has type ${ET_CORE}`)
}

function findLayout(view: DataView): Layout | Unfinished {
  const entryBytes = view.getUint16(54, true)
  if (entryBytes !== PROGRAM_HEADER_BYTES)
    return invalid(`program headers of ${entryBytes} bytes; 64-bit ELF has 56`)
  const at = readU64(view, 32)
  if (at < HEADER_BYTES) return invalid(`program headers at ${at}, within the ELF header`)
  if (at + PROGRAM_HEADER_BYTES > PROGRAM_HEADERS_END_MAX)
    return invalid(`program headers at ${at}, too far away`)
  const segments = countSegments(view, at)
  if (typeof segments !== 'number') return segments
  const end = at + segments * PROGRAM_HEADER_BYTES
  if (end > PROGRAM_HEADERS_END_MAX) return invalid(`${segments} segments, more than fit into 16 MiB of head`)
  if (view.byteLength < end) return { state: 'need', bytes: end }
  return measureSegments(view, at, segments)
}

function countSegments(view: DataView, at: number): number | Unfinished {
  const told = view.getUint16(56, true)
  if (told === 0) return invalid('no program headers')
  if (told !== PN_XNUM) return told
  // The section header with the count comes last in the stream. But the kernel writes PT_NOTE first and the notes
  // straight behind the program headers, so that the place of the notes tells how many these are.
  if (view.byteLength < at + PROGRAM_HEADER_BYTES) return { state: 'need', bytes: at + PROGRAM_HEADER_BYTES }
  const count = (readU64(view, at + 8) - at) / PROGRAM_HEADER_BYTES
  if (view.getUint32(at, true) !== PT_NOTE || !Number.isInteger(count) || count < PN_XNUM) {
    return invalid('65,535 segments or more, and the first is not the notes straight behind them')
  }
  return count
}

/** One pass over the program headers without an object for each: there can be hundreds of thousands. */
function measureSegments(view: DataView, programHeadersAt: number, segments: number): Layout | HeadRefusal {
  const programHeadersEnd = programHeadersAt + segments * PROGRAM_HEADER_BYTES
  let bytesExpected = Math.max(programHeadersEnd, sectionHeadersEnd(view))
  let notes: NotesPlace | undefined
  for (let index = 0; index < segments; index++) {
    const at = programHeadersAt + index * PROGRAM_HEADER_BYTES
    const offset = readU64(view, at + 8)
    const bytes = readU64(view, at + 32)
    bytesExpected = Math.max(bytesExpected, offset + bytes)
    if (view.getUint32(at, true) === PT_NOTE) notes ??= placeNotes(offset, bytes, programHeadersEnd)
  }
  if (!Number.isSafeInteger(bytesExpected))
    return invalid('a segment or the section headers end beyond 2^53 bytes')
  notes ??= { at: programHeadersEnd, bytes: 0, behind: false }
  if (notes.at < programHeadersEnd) return invalid(`notes at ${notes.at}, within the program headers`)
  return { state: 'found', programHeadersAt, segments, notes, bytesExpected }
}

function placeNotes(at: number, bytes: number, programHeadersEnd: number): NotesPlace {
  const behind = at > programHeadersEnd + NOTES_GAP_BYTES_MAX
  return behind ? { at: programHeadersEnd, bytes: 0, behind } : { at, bytes, behind }
}

/** 0 where there are none. The kernel writes one for PN_XNUM; debuggers write one a segment. */
function sectionHeadersEnd(view: DataView): number {
  const at = readU64(view, 40)
  // A count of 0 where there is a table: too many for the field, and the first header has the count.
  return at === 0 ? 0 : at + Math.max(view.getUint16(60, true), 1) * view.getUint16(58, true)
}

function readProgramHeader(
  view: DataView,
  { programHeadersAt, segments }: Layout,
  index: number,
): ProgramHeader {
  if (!(index >= 0 && index < segments)) throw new RangeError(`segment ${index} of ${segments}`)
  const at = programHeadersAt + index * PROGRAM_HEADER_BYTES
  return {
    type: view.getUint32(at, true),
    flags: view.getUint32(at + 4, true),
    offset: readU64(view, at + 8),
    vaddr: view.getBigUint64(at + 16, true),
    filesz: readU64(view, at + 32),
    memsz: view.getBigUint64(at + 40, true),
  }
}

/** Exact below 2^53; above, inexact but never below it, so that a check against 2^53 holds. */
function readU64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32
}

function refused(reason: RefusalReason, detail: string): HeadRefusal {
  return { state: 'refused', reason, detail }
}

function invalid(detail: string): HeadRefusal {
  return refused('head-invalid', detail)
}
