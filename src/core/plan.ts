// Plans a core that must be small: a mini core, which gives backtraces of every thread, or one trimmed to a budget. Both
// are cut by value, never by position (worth.ts); what is kept is what the kernel wrote, and what is dropped is said.
import { auxiliaryVector } from './auxv.ts'
import { coreBytes, FIXED_BYTES, PROGRAM_HEADER_BYTES, runsOf } from './core-layout.ts'
import type { Run } from './core-layout.ts'
import type { CoreHead } from './head.ts'
import { Kept } from './kept.ts'
import { ADDRESS_MAX, type Memory } from './memory.ts'
import { modulesOf } from './modules.ts'
import { noteBytes, notesWithin } from './note-budget.ts'
import type { MappedFile, Note } from './notes.ts'
import { isFileText, type Segment, segmentsOf, validFiles } from './segments.ts'
import { REGISTER, threadsIn } from './threads.ts'
import { type Crash, keepByWorth } from './worth.ts'

const KIB = 1024
const X86_64 = 62
/** Owner and type of the note that says what the core is. Delve goes by the type alone: none that is in use. */
export const OWN_NOTE = { name: 'corelift', type: 0x636c_6674 } as const // "clft"
/** Its text with the largest numbers, rounded up. */
const OWN_NOTE_BYTES_MAX = 192
/** A smaller budget would not even hold the thread that crashed. */
export const PLAN_BYTES_MIN = 32 * KIB
/** Three a thread, of 43,000 threads: more fit into a head only if they are empty. */
const NOTES_MAX = 2 ** 17
/** Per thread: for its stack. */
const THREAD_BYTES = 16 * KIB

export type PlanKind = 'mini' | 'trimmed'

export interface PlanRequest {
  readonly kind: PlanKind
  readonly head: CoreHead
  readonly memory: Memory
  /** From NT_FILE, or from /proc/<pid>/maps where the kernel left that out. */
  readonly files: Iterable<MappedFile>
  /** Of the finished core, uncompressed; PLAN_BYTES_MIN where it is less. */
  readonly bytesMax: number
}

/** What is left of a segment of the full core. */
export interface KeptMapping {
  readonly start: number
  readonly end: number
  readonly bytesDumped: number
  /** More than `bytesDumped` where text was kept that the kernel leaves to the file. */
  readonly bytesKept: number
  readonly path: Uint8Array | undefined
}

export interface CorePlan {
  readonly machine: number
  /** Exact size of the finished core. */
  readonly bytes: number
  /** In the kernel's order, our own last. */
  readonly notes: readonly Note[]
  /** By address. */
  readonly runs: readonly Run[]
  /** Bytes that the kernel would dump and the finished core lacks. */
  readonly bytesDropped: number
  /** Nothing was dropped, neither memory nor notes. */
  readonly isWhole: boolean
  /** By address, one for each segment of the full core below ADDRESS_MAX. */
  mappings(): IterableIterator<KeptMapping>
}

/**
 * Plans what to keep of a core. Reads what leads to more of it (stacks, link map) from the memory; never throws, whatever
 * is in it. The same head, memory and budget give the same plan.
 */
export function planCore({ kind, head, memory, files, ...request }: PlanRequest): CorePlan {
  const bytesMax = Math.max(PLAN_BYTES_MIN, Math.floor(request.bytesMax))
  const mapped = validFiles(files)
  const segments = segmentsOf(head, mapped)
  const allNotes = [...firstNotes(head)]
  const notes = notesWithin(allNotes, bytesMax / 2)
  const notesBytes = OWN_NOTE_BYTES_MAX + notes.reduce((sum, note) => sum + noteBytes(note), 0)
  const kept = new Kept(segments, bytesMax - FIXED_BYTES - notesBytes)
  const withText = reserveTextHeaders(kept, bytesMax / 8)
  keepByWorth(kept, crashOf(memory, segments, mapped, allNotes, head.machine.number))

  const runs = [...runsOf(kept, withText)]
  const bytesDropped = [...mappingsOf(kept)].reduce((sum, each) => sum + dropped(each), 0)
  const own = ownNote({ kind, bytesExpected: head.bytesExpected, bytesDropped })
  const finished = { machine: head.machine.number, notes: [...notes, own], runs }
  return {
    ...finished,
    bytes: coreBytes(finished),
    bytesDropped,
    isWhole: bytesDropped === 0 && notes.length === allNotes.length && !head.notesTruncated,
    mappings: () => mappingsOf(kept),
  }
}

function* firstNotes(head: CoreHead): Generator<Note> {
  let count = 0
  for (const note of head.notes()) {
    if (count++ === NOTES_MAX) return
    yield note
  }
}

/**
 * Size of a mini core that has room for every thread's stack.
 * @param limits - `bytesMax` is for processes of a few threads, `bytesLimit` for those of thousands.
 */
export function miniBytesMax(
  threads: number,
  notesBytes: number,
  { bytesMax, bytesLimit }: { readonly bytesMax: number; readonly bytesLimit: number },
): number {
  // Half for what does not grow with the threads: the crashed one, link map, data.
  const needed = bytesMax / 2 + notesBytes + threads * THREAD_BYTES
  return Math.min(bytesLimit, Math.max(bytesMax, Math.ceil(needed)))
}

/** Program headers of text that is not in the core: only tens of thousands are too many. @returns Whether there is room. */
function reserveTextHeaders(kept: Kept, bytesMax: number): boolean {
  const bytes = kept.segments.filter(isFileText).length * PROGRAM_HEADER_BYTES
  return bytes <= bytesMax && kept.reserve(bytes)
}

/** Registers are known of x86-64 alone: elsewhere the stacks come with the anonymous memory. */
function crashOf(
  memory: Memory,
  segments: readonly Segment[],
  files: readonly MappedFile[],
  notes: readonly Note[],
  machine: number,
): Crash {
  const threads = machine === X86_64 ? [...threadsIn(notes)] : []
  return {
    memory,
    dumped: segments.filter(({ start, dumpedEnd }) => dumpedEnd > start),
    modules: modulesOf(files),
    auxv: auxiliaryVector(notes),
    threads: threads.map(({ registers }) => ({
      sp: addressIn(registers[REGISTER.rsp]),
      ip: addressIn(registers[REGISTER.rip]),
      tcb: addressIn(registers[REGISTER.fsBase]),
    })),
    registers: Array.from(threads[0]?.registers ?? [], addressIn),
  }
}

/** ADDRESS_MAX, where nothing is, for what is none. */
function addressIn(register: bigint | undefined): number {
  return register !== undefined && register < ADDRESS_MAX ? Number(register) : ADDRESS_MAX
}

function* mappingsOf({ segments, ranges }: Kept): Generator<KeptMapping> {
  for (const { start, dumpedEnd, end, path } of segments) {
    let bytesKept = 0
    for (const range of ranges.within(start, end)) bytesKept += range.end - range.start
    yield { start, end, bytesDumped: dumpedEnd - start, bytesKept, path }
  }
}

function dropped({ bytesDumped, bytesKept }: KeptMapping): number {
  return Math.max(0, bytesDumped - bytesKept)
}

function ownNote(said: { kind: PlanKind; bytesExpected: number; bytesDropped: number }): Note {
  return { ...OWN_NOTE, desc: Buffer.from(JSON.stringify(said)) }
}
