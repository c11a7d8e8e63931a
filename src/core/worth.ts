// What of a crashed process's memory is worth keeping, and in which order: what debuggers need for backtraces of every
// thread first. Each step is given at most a share of what is left, so that none, however hostile, starves the others.
import { AT } from './auxv.ts'
import type { Kept } from './kept.ts'
import { linkMapRanges } from './link-map.ts'
import { type Memory, PAGE_BYTES } from './memory.ts'
import { moduleAt, type Module } from './modules.ts'
import { reachablePages } from './reach.ts'
import { indexAt, isExecutable, isWritable, type Segment, segmentAt } from './segments.ts'
import { interrupted, RED_ZONE_BYTES, type Stack, stackAt, stackLevel } from './stacks.ts'

const KIB = 1024
/** Backtraces seldom need more; the raise of all stacks gives more where they do. */
const CRASH_STACK_BYTES = 64 * KIB
/** Of the crashed stack also what was popped last. */
const CRASH_RED_ZONE_BYTES = 256
/** Threads that wait in a pool have frames of a few KiB. */
const STACK_BYTES = 16 * KIB
/** 512 threads' worth of searching for signal frames. */
const SEARCHED_STACKS_MAX = 512
const FRAMES_MAX = 8
const MODULE_DATA_BYTES = 256 * KIB
/** struct pthread of glibc: what a debugger reads of it is in front. */
const THREAD_BYTES = 1024
/** Arguments, environment and auxiliary vector are at the end of [stack]. */
const ARGUMENTS_BYTES = 32 * KIB
const VDSO_BYTES_MAX = 64 * KIB
/** ELF magic, to tell images from other files: 65,000 mappings are not all read for it. */
const PROBES_MAX = 4096

/** Where a thread is. */
export interface ThreadPlace {
  readonly sp: number
  readonly ip: number
  /** Thread control block: fs_base on x86-64. */
  readonly tcb: number
}

export interface Crash {
  readonly memory: Memory
  /** Segments of which the kernel dumps something, by address. */
  readonly dumped: readonly Segment[]
  readonly modules: readonly Module[]
  readonly auxv: ReadonlyMap<number, number>
  /** The one that crashed first. */
  readonly threads: readonly ThreadPlace[]
  /** Values of the crashed thread's registers that may be addresses. */
  readonly registers: readonly number[]
}

/** Keeps what there is room for, the most valuable first. */
export function keepByWorth(kept: Kept, crash: Crash): void {
  keepVdso(kept, crash)
  const stack = keepCrashedThread(kept, crash)
  kept.within(kept.bytesLeft / 4, () => keepFileHeaders(kept, crash))
  const interrupted = keepInterrupted(kept, crash, stack)
  kept.within(kept.bytesLeft / 2, () => keepLinkMap(kept, crash))
  kept.within(kept.bytesLeft / 2, () => keepLoaderAndExecutable(kept, crash))
  const stacks = [...(stack ? [stack] : []), ...interrupted, ...otherStacks(crash)]
  keepStacks(kept, stacks)
  keepThreadData(kept, crash)
  kept.within(kept.bytesLeft / 2, () => keepModuleData(kept, crash))
  kept.within(kept.bytesLeft / 2, () => keepReachable(kept, crash, stacks))
  keepRest(kept, crash)
}

function keepVdso(kept: Kept, { auxv, dumped }: Crash): void {
  const start = auxv.get(AT.sysinfoEhdr)
  const segment = start === undefined ? undefined : segmentAt(dumped, start)
  if (segment) kept.keep(segment.start, Math.min(segment.end, segment.start + VDSO_BYTES_MAX))
}

function keepCrashedThread(kept: Kept, { memory, dumped, threads: [thread] }: Crash): Stack | undefined {
  if (thread === undefined) return undefined
  const stack = stackAt(dumped, thread.sp, CRASH_RED_ZONE_BYTES)
  kept.within(kept.bytesLeft / 2, () => {
    if (stack) kept.keep(stack.start, Math.min(stack.end, stack.start + CRASH_STACK_BYTES))
    kept.keep(thread.tcb, thread.tcb + THREAD_BYTES)
    keepCode(kept, memory, thread.ip)
  })
  return stack
}

/** A debugger that has not the file can still disassemble. */
function keepCode(kept: Kept, memory: Memory, ip: number): void {
  kept.keep(ip, ip + 1)
  kept.keepText(memory, ip)
}

/** Build-ids are in a file's first page. Those of files in which a thread is come first. */
function keepFileHeaders(kept: Kept, { memory, modules, threads }: Crash): void {
  const first = new Set<Module>()
  for (const { ip } of threads) {
    const module = moduleAt(modules, ip)
    if (module) first.add(module)
  }
  let probes = 0
  for (const { start } of new Set([...first, ...modules])) {
    kept.keep(start, start + PAGE_BYTES)
    if (!kept.ranges.has(start) && probes++ < PROBES_MAX && isImage(memory, start))
      kept.keepText(memory, start)
  }
}

/** The kernel dumps an image's first page, unless coredump_filter says otherwise: it is in the file as well. */
function isImage(memory: Memory, start: number): boolean {
  const magic = Buffer.alloc(4)
  return memory.read(start, magic) === 4 && magic.toString('latin1') === '\x7fELF'
}

function keepInterrupted(kept: Kept, { memory, dumped }: Crash, from: Stack | undefined): Stack[] {
  if (from === undefined) return []
  const stacks: Stack[] = []
  const bounds = { window: new Uint8Array(CRASH_STACK_BYTES), framesMax: FRAMES_MAX }
  kept.within(kept.bytesLeft / 2, () => {
    for (const { stack, ip } of interrupted(memory, dumped, from, bounds)) {
      stacks.push(stack)
      kept.keep(stack.start, Math.min(stack.end, stack.start + CRASH_STACK_BYTES))
      keepCode(kept, memory, ip)
    }
  })
  return stacks
}

function keepLinkMap(kept: Kept, { memory, auxv }: Crash): void {
  for (const { start, end } of linkMapRanges(memory, auxv)) kept.keep(start, end)
}

function keepLoaderAndExecutable(kept: Kept, { auxv, modules }: Crash): void {
  for (const address of [auxv.get(AT.base), auxv.get(AT.phdr)]) {
    const module = address === undefined ? undefined : moduleAt(modules, address)
    if (module) kept.within(MODULE_DATA_BYTES, () => keepDataOf(kept, module))
  }
}

/** Variables before what was relocated, which the file tells almost. With .bss, which is behind the file's mappings. */
function keepDataOf(kept: Kept, { start, end }: Module): void {
  const segments: Segment[] = []
  for (let index = indexAt(kept.segments, start); index < kept.segments.length; index++) {
    const segment = kept.segments[index]!
    if (segment.start >= end && (segment.start > end || segment.path !== undefined)) break
    segments.push(segment)
  }
  for (const segment of segments) if (isWritable(segment)) kept.keep(segment.start, segment.dumpedEnd)
  for (const segment of segments) if (!isExecutable(segment)) kept.keep(segment.start, segment.dumpedEnd)
}

/** With those that signals interrupted. */
function* otherStacks({ memory, dumped, threads }: Crash): Generator<Stack> {
  const bounds = { window: new Uint8Array(STACK_BYTES), framesMax: 2 }
  for (const [index, { sp }] of threads.entries()) {
    const stack = index === 0 ? undefined : stackAt(dumped, sp, RED_ZONE_BYTES)
    if (stack === undefined) continue
    yield stack
    if (index > SEARCHED_STACKS_MAX) continue
    for (const { stack: other } of interrupted(memory, dumped, stack, bounds)) yield other
  }
}

/** A little of each first, then as much of each as 60 % of the room allows. */
function keepStacks(kept: Kept, stacks: readonly Stack[]): void {
  const first = Math.max(PAGE_BYTES, Math.min(STACK_BYTES, stackLevel(stacks, kept.bytesLeft * 0.9)))
  keepUpTo(kept, stacks, first)
  const share = kept.bytesLeft * 0.6
  const there = stacks.reduce((bytes, { start, end }) => bytes + Math.min(end - start, first), 0)
  kept.within(share, () => keepUpTo(kept, stacks, stackLevel(stacks, there + share)))
}

function keepUpTo(kept: Kept, stacks: readonly Stack[], level: number): void {
  for (const { start, end } of stacks) kept.keep(start, Math.min(end, start + level))
}

function keepThreadData(kept: Kept, { auxv, dumped, threads, registers }: Crash): void {
  for (const { tcb } of threads) kept.keep(tcb, tcb + THREAD_BYTES)
  for (const address of registers) kept.keep(address, address + 1)
  const random = auxv.get(AT.random)
  const stack = random === undefined ? undefined : segmentAt(dumped, random)
  if (stack) kept.keep(Math.max(stack.start, stack.dumpedEnd - ARGUMENTS_BYTES), stack.dumpedEnd)
}

function keepModuleData(kept: Kept, { auxv, modules, threads: [thread] }: Crash): void {
  for (const address of [thread?.ip, auxv.get(AT.phdr)]) {
    const module = address === undefined ? undefined : moduleAt(modules, address)
    if (module) keepDataOf(kept, module)
  }
}

function keepReachable(kept: Kept, { memory, dumped }: Crash, stacks: readonly Stack[]): void {
  const roots = stacks.map(({ start, end }, index) => ({
    start,
    end: Math.min(end, start + (index === 0 ? CRASH_STACK_BYTES : STACK_BYTES)),
  }))
  for (const page of reachablePages(memory, dumped, roots)) {
    kept.keep(page, page + PAGE_BYTES)
    if (kept.bytesLeft < PAGE_BYTES) return
  }
}

/** Modules' data, then code that was made at run time, then anonymous memory; the smallest of each first. */
function keepRest(kept: Kept, { dumped }: Crash): void {
  const ranked = dumped.map((segment, index) => ({
    segment,
    rank: rankOf(segment, dumped[index - 1]),
    bytes: segment.dumpedEnd - segment.start,
  }))
  ranked.sort((one, other) => one.rank - other.rank || one.bytes - other.bytes)
  for (const { segment } of ranked) {
    if (kept.bytesLeft < PAGE_BYTES) return
    kept.keep(segment.start, segment.dumpedEnd)
  }
}

function rankOf(segment: Segment, before: Segment | undefined): number {
  const isBss = before?.path !== undefined && before.end === segment.start
  if (segment.path !== undefined || isBss) return 0
  if (isExecutable(segment)) return 1
  return isWritable(segment) ? 2 : 3
}
