// The dynamic linker's list of loaded libraries, as debuggers find it: AT_PHDR, PT_DYNAMIC, DT_DEBUG, struct r_debug and
// a chain of struct link_map (glibc's elf/link.h; musl has the same). Chains may be loops, names may have no end.
import { AT } from './auxv.ts'
import { type Memory, PAGE_BYTES, readPointer } from './memory.ts'
import type { Range } from './ranges.ts'

const PROGRAM_HEADER_BYTES = 56
/** Linkers write about a dozen. */
const PROGRAM_HEADERS_MAX = 512
const PT_LOAD = 1
const PT_DYNAMIC = 2
const PT_PHDR = 6
const DT_DEBUG = 21
const DYNAMIC_ENTRIES_MAX = 512
/** r_version, r_map, r_brk, r_state, r_ldbase; from version 2 on r_next, the next namespace of dlmopen(3). */
const DEBUG_BYTES = 48
const NAMESPACES_MAX = 16
/** l_addr, l_name, l_ld, l_next, l_prev. */
const LINK_MAP_BYTES = 40
/** In all namespaces. Large programs load several hundred. */
const LINK_MAPS_MAX = 4096
/** PATH_MAX, as far as a name goes: all of it is seldom used. */
const NAME_BYTES_MAX = PAGE_BYTES

/** A library, or the executable, as the dynamic linker has it. */
export interface LinkMapEntry {
  /** l_name, without its NUL: the path by which it was opened; empty for the executable. */
  readonly name: Uint8Array
  /** l_ld: an address in its image. */
  readonly dynamic: number
}

/** @returns Entries of all namespaces, in the list's order; without those that cannot be read. */
export function* linkMapEntries(memory: Memory, auxv: ReadonlyMap<number, number>): Generator<LinkMapEntry> {
  for (const { entry } of walk(memory, auxv)) if (entry) yield entry
}

/** @returns Ranges of memory that a debugger reads on its way through the list, in that order. */
export function* linkMapRanges(memory: Memory, auxv: ReadonlyMap<number, number>): Generator<Range> {
  for (const { range } of walk(memory, auxv)) yield range
}

/** What is read, and with an entry's last range the entry. */
interface Step {
  readonly range: Range
  readonly entry?: LinkMapEntry
}

function* walk(memory: Memory, auxv: ReadonlyMap<number, number>): Generator<Step> {
  const dynamic = dynamicSection(memory, auxv)
  if (dynamic === undefined) return
  for (let entry = 0; entry < DYNAMIC_ENTRIES_MAX; entry++) {
    const at = dynamic + entry * 16
    const tag = readPointer(memory, at)
    if (tag === 0) return
    if (tag !== DT_DEBUG) continue
    yield { range: { start: dynamic, end: at + 16 } }
    const debug = readPointer(memory, at + 8)
    if (debug !== undefined) yield* namespaces(memory, debug)
    return
  }
}

function* namespaces(memory: Memory, first: number): Generator<Step> {
  const seen = new Set<number>()
  let debug: number | undefined = first
  for (let count = 0; debug !== undefined && debug > 0 && count < NAMESPACES_MAX; count++) {
    yield { range: { start: debug, end: debug + DEBUG_BYTES } }
    const map = readPointer(memory, debug + 8)
    if (map !== undefined) yield* chain(memory, map, seen)
    const version = new Uint8Array(4)
    if (memory.read(debug, version) < 4 || version[0]! < 2) return
    debug = readPointer(memory, debug + 40)
  }
}

/** @param seen - The nodes of all chains so far: these end at each other. */
function* chain(memory: Memory, first: number, seen: Set<number>): Generator<Step> {
  const name = new Uint8Array(NAME_BYTES_MAX)
  let map: number | undefined = first
  while (map !== undefined && map > 0 && seen.size < LINK_MAPS_MAX && !seen.has(map)) {
    seen.add(map)
    yield { range: { start: map, end: map + LINK_MAP_BYTES } }
    const nameAt = readPointer(memory, map + 8)
    if (nameAt !== undefined) {
      const filled = memory.read(nameAt, name)
      const end = name.subarray(0, filled).indexOf(0)
      const range = { start: nameAt, end: nameAt + (end < 0 ? filled : end + 1) }
      const dynamic = readPointer(memory, map + 16)
      const isEntry = dynamic !== undefined && end >= 0
      yield { range, ...(isEntry && { entry: { name: name.slice(0, end), dynamic } }) }
    }
    map = readPointer(memory, map + 24)
  }
}

/** @returns Its address in memory, undefined for programs that are linked statically. */
function dynamicSection(memory: Memory, auxv: ReadonlyMap<number, number>): number | undefined {
  const [at, count] = [auxv.get(AT.phdr), auxv.get(AT.phnum)]
  if (at === undefined || count === undefined) return undefined
  const table = new Uint8Array(Math.min(count, PROGRAM_HEADERS_MAX) * PROGRAM_HEADER_BYTES)
  const view = new DataView(table.buffer, 0, memory.read(at, table))
  let [dynamic, bias]: (number | undefined)[] = []
  for (let header = 0; header + PROGRAM_HEADER_BYTES <= view.byteLength; header += PROGRAM_HEADER_BYTES) {
    const type = view.getUint32(header, true)
    const vaddr = Number(view.getBigUint64(header + 16, true))
    if (type === PT_DYNAMIC) dynamic = vaddr
    if (type === PT_PHDR) bias = at - vaddr
    // Static executables that may be loaded anywhere have no PT_PHDR: the headers are in the file's first page.
    if (type === PT_LOAD && view.getBigUint64(header + 8, true) === 0n)
      bias ??= Math.floor(at / PAGE_BYTES) * PAGE_BYTES - vaddr
  }
  return dynamic === undefined || bias === undefined ? undefined : dynamic + bias
}
