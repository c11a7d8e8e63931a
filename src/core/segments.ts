// What the kernel would dump of a process's memory, by address: the PT_LOAD segments of the full core, and which files
// are behind them. Dump filters (coredump_filter, MADV_DONTDUMP: core(5), madvise(2)) have had their say in them.
import type { CoreHead } from './head.ts'
import { ADDRESS_MAX, PAGE_BYTES } from './memory.ts'
import type { MappedFile } from './notes.ts'
import { lowest } from './ranges.ts'

const PT_LOAD = 1
const EXECUTABLE = 1
const WRITABLE = 2

/** Addresses are multiples of PAGE_BYTES. */
export interface Segment {
  readonly start: number
  /** Up to here the kernel would dump it: p_filesz. */
  readonly dumpedEnd: number
  /** p_memsz. */
  readonly end: number
  /** p_flags: 4 readable, 2 writable, 1 executable. */
  readonly flags: number
  /** File that is mapped here, as the kernel names it. */
  readonly path: Uint8Array | undefined
}

/**
 * Lists segments by address, also where kernel.core_sort_vma made the kernel write them by size. None overlap: where a
 * hostile head says otherwise, the lower one has the place. What is beyond ADDRESS_MAX (the vsyscall page) is left out.
 * @param files - Valid ones alone, by address: `validFiles`.
 */
export function segmentsOf(head: CoreHead, files: readonly MappedFile[]): Segment[] {
  const loads: Segment[] = []
  for (let index = 0; index < head.segments; index++) {
    const { type, vaddr, filesz, memsz, flags } = head.programHeader(index)
    if (type !== PT_LOAD) continue
    const [address, bytes] = [Number(vaddr), Math.max(Number(memsz), filesz)]
    const end = pageFloor(Math.min(address + bytes, ADDRESS_MAX))
    const dumpedEnd = Math.min(pageFloor(address + filesz), end)
    const start = pageCeil(address)
    if (start < end) loads.push({ start, dumpedEnd: Math.max(start, dumpedEnd), end, flags, path: undefined })
  }
  loads.sort((one, other) => one.start - other.start)
  return [...withPaths(withoutOverlaps(loads), files)]
}

function* withoutOverlaps(loads: Iterable<Segment>): Generator<Segment> {
  let free = 0
  for (const load of loads) {
    if (load.end <= free) continue
    const start = Math.max(load.start, free)
    yield start === load.start ? load : { ...load, start, dumpedEnd: Math.max(start, load.dumpedEnd) }
    free = load.end
  }
}

function* withPaths(loads: Iterable<Segment>, files: readonly MappedFile[]): Generator<Segment> {
  let next = 0
  for (const load of loads) {
    while (next < files.length && files[next]!.end <= load.start) next++
    const file = files[next]
    yield file !== undefined && file.start <= load.start ? { ...load, path: file.path } : load
  }
}

/** Mappings of files whose numbers are no contradiction, by address. */
export function validFiles(files: Iterable<MappedFile>): MappedFile[] {
  const sorted = [...files]
    .filter(({ start, end }) => start < end && end <= ADDRESS_MAX)
    .sort((one, other) => Number(one.start - other.start))
  return sorted.filter(({ start }, index) => index === 0 || sorted[index - 1]!.end <= start)
}

/** @param segments - By address. @returns Index of the first that ends behind an address. */
export function indexAt(segments: readonly Segment[], address: number): number {
  return lowest(segments.length, at => segments[at]!.end > address)
}

/** @param segments - By address. @returns The one that an address is in. */
export function segmentAt(segments: readonly Segment[], address: number): Segment | undefined {
  const segment = segments[indexAt(segments, address)]
  return segment !== undefined && segment.start <= address ? segment : undefined
}

export function isWritable({ flags }: Segment): boolean {
  return (flags & WRITABLE) !== 0
}

export function isExecutable({ flags }: Segment): boolean {
  return (flags & EXECUTABLE) !== 0
}

/** Text and constants: a debugger finds the same in the file. */
export function isFileText(segment: Segment): boolean {
  return segment.path !== undefined && !isWritable(segment)
}

export function pageFloor(address: number): number {
  return Math.floor(address / PAGE_BYTES) * PAGE_BYTES
}

export function pageCeil(address: number): number {
  return Math.ceil(address / PAGE_BYTES) * PAGE_BYTES
}
