// An ELF image in a process's memory: what its first pages say (elf(5)). All of it is the process's own to write, so
// every number is hostile; what contradicts itself is no image.
import { AT, auxiliaryVector } from './auxv.ts'
import { ADDRESS_MAX, type Memory, PAGE_BYTES } from './memory.ts'
import type { Module } from './modules.ts'
import { type Note, notesIn } from './notes.ts'

const MAGIC = 0x464c457f // 0x7f 'E' 'L' 'F'
const CLASS_64_LITTLE_ENDIAN = 0x0102
const HEADER_BYTES = 64
const PROGRAM_HEADER_BYTES = 56
/** Linkers write about a dozen; they fit into the first page. */
const PROGRAM_HEADERS_MAX = 512
const PT_LOAD = 1
const PT_NOTE = 4
const PT_GNU_EH_FRAME = 0x6474e550
const NT_GNU_BUILD_ID = 3
/** Linkers write a few hundred bytes of notes. */
const NOTES_BYTES_MAX = PAGE_BYTES
/** SHA-1 has 20; --build-id=0x… may have any number. */
const BUILD_ID_BYTES_MAX = 64

/** A part of an image, in memory. */
export interface ImageSegment {
  readonly start: number
  readonly bytes: number
  /** 1 executable, 2 writable, 4 readable. */
  readonly flags: number
}

export interface Image {
  /** What to subtract from an address to get the file's own. */
  readonly bias: number
  /** Those that are loaded. */
  readonly segments: readonly ImageSegment[]
  /** In hex; undefined where the linker wrote none, as Go's. */
  readonly buildId: string | undefined
  /** Address of .eh_frame_hdr. */
  readonly unwindTable: number | undefined
}

/**
 * Reads an image from its ELF header on.
 * @param start - Where the file's first byte is.
 * @returns undefined for what is no 64-bit little-endian image, or cannot be read.
 */
export function readImage(memory: Memory, start: number): Image | undefined {
  const table = readHeaders(memory, start)
  if (table === undefined) return undefined
  const headers = [...headersIn(table)]
  const loaded = headers.filter(({ type }) => type === PT_LOAD)
  const first = loaded.find(({ offset }) => offset < PAGE_BYTES)
  if (first === undefined) return undefined
  const bias = start - (first.vaddr - first.offset)
  const unwindTable = headers.find(({ type }) => type === PT_GNU_EH_FRAME)
  return {
    bias,
    segments: loaded.map(({ vaddr, bytes, flags }) => ({ start: bias + vaddr, bytes, flags })),
    buildId: readBuildId(memory, headers, ({ vaddr }) => bias + vaddr),
    unwindTable: unwindTable && bias + unwindTable.vaddr,
  }
}

/**
 * Reads the build-id of a file. Its beginning in memory has it too, but that is the process's to write.
 * @returns In hex; undefined where there is none, or the file is no 64-bit little-endian image.
 */
export function fileBuildId(file: Memory): string | undefined {
  const table = readHeaders(file, 0)
  const headers = table === undefined ? [] : [...headersIn(table)]
  return readBuildId(file, headers, ({ offset }) => offset)
}

/** Whether an image begins at an address, by its first bytes. */
export function isImage(memory: Memory, start: number): boolean {
  const magic = new Uint8Array(4)
  return memory.read(start, magic) === 4 && new DataView(magic.buffer).getUint32(0, true) === MAGIC
}

/**
 * The kernel's own image in every process, by which clock_gettime(2) and others return: vdso(7). No list of mapped
 * files has it.
 * @param notes - With NT_AUXV.
 * @returns It under the name that ldd(1) prints, undefined where there is none.
 */
export function vdsoModule(memory: Memory, notes: Iterable<Note>): Module | undefined {
  const start = auxiliaryVector(notes).get(AT.sysinfoEhdr)
  const image = start === undefined ? undefined : readImage(memory, start)
  if (start === undefined || image === undefined) return undefined
  const end = Math.max(...image.segments.map(segment => segment.start + segment.bytes))
  return { path: Buffer.from('linux-vdso.so.1'), start, end, mappings: [{ start, end, fileOffset: 0 }] }
}

interface Header {
  readonly type: number
  readonly flags: number
  readonly offset: number
  readonly vaddr: number
  /** In memory. */
  readonly bytes: number
}

/** @returns The program headers. */
function readHeaders(memory: Memory, start: number): DataView | undefined {
  const header = new DataView(new ArrayBuffer(HEADER_BYTES))
  if (memory.read(start, new Uint8Array(header.buffer)) < HEADER_BYTES) return undefined
  if (header.getUint32(0, true) !== MAGIC || header.getUint16(4, true) !== CLASS_64_LITTLE_ENDIAN)
    return undefined
  const [at, bytes, count] = [readU64(header, 32), header.getUint16(54, true), header.getUint16(56, true)]
  if (bytes !== PROGRAM_HEADER_BYTES || count > PROGRAM_HEADERS_MAX) return undefined
  const table = new Uint8Array(count * PROGRAM_HEADER_BYTES)
  return memory.read(start + at, table) === table.length ? new DataView(table.buffer) : undefined
}

/** Those whose numbers an address space can have. */
function* headersIn(table: DataView): Generator<Header> {
  for (let at = 0; at < table.byteLength; at += PROGRAM_HEADER_BYTES) {
    const header = {
      type: table.getUint32(at, true),
      flags: table.getUint32(at + 4, true),
      offset: readU64(table, at + 8),
      vaddr: readU64(table, at + 16),
      bytes: readU64(table, at + 40),
    }
    if (header.vaddr + header.bytes < ADDRESS_MAX && header.offset < ADDRESS_MAX) yield header
  }
}

function readBuildId(
  memory: Memory,
  headers: readonly Header[],
  placeOf: (header: Header) => number,
): string | undefined {
  for (const header of headers) {
    const { type, bytes } = header
    if (type !== PT_NOTE) continue
    const region = new Uint8Array(Math.min(bytes, NOTES_BYTES_MAX))
    const filled = memory.read(placeOf(header), region)
    for (const { name, type, desc } of notesIn(region.subarray(0, filled))) {
      if (name !== 'GNU' || type !== NT_GNU_BUILD_ID) continue
      if (desc.length > 0 && desc.length <= BUILD_ID_BYTES_MAX) return Buffer.from(desc).toString('hex')
    }
  }
  return undefined
}

/** Exact below 2^53; above, inexact but never below it, so that a check against 2^53 holds. */
function readU64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32
}
