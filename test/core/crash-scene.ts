// A process that crashed, made up: an executable, threads with stacks, and what planning and writing its core gives.
import { coreChunks } from '../../src/core/core-writer.ts'
import { type CoreHead, scanHead } from '../../src/core/head.ts'
import { type Memory, PAGE_BYTES } from '../../src/core/memory.ts'
import { type CorePlan, planCore } from '../../src/core/plan.ts'
import { REGISTER } from '../../src/core/threads.ts'
import { buildCore, type CoreSpec, type NoteSpec, type SegmentSpec } from './build-core.ts'
import { SparseMemory } from './sparse-memory.ts'

export const KIB = 1024
export const MIB = 1024 * KIB
export const TEXT = 0x40_0000n
const DATA = 0x50_0000n
const STACKS = 0x7f00_0000_0000

export const stackOf = (thread: number): number => STACKS + thread * MIB

/** NT_PRSTATUS with registers. */
export function threadNote(tid: number, registers: Partial<Record<keyof typeof REGISTER, number>>): NoteSpec {
  const desc = Buffer.alloc(336)
  desc.writeInt32LE(tid, 32)
  for (const [name, value] of Object.entries(registers))
    desc.writeBigUInt64LE(BigInt(value), 112 + REGISTER[name as keyof typeof REGISTER] * 8)
  return { name: 'CORE', type: 1, desc }
}

export interface Scene {
  readonly head: CoreHead
  readonly memory: SparseMemory
}

/** An executable, and threads with stacks of 512 KiB, all of them in use but for the upper `usedBytes`. */
export function scene({
  threads = 3,
  usedBytes = 64 * KIB,
  extra = [],
  notes = [],
}: {
  threads?: number
  usedBytes?: number
  extra?: readonly SegmentSpec[]
  notes?: readonly NoteSpec[]
} = {}): Scene {
  const stackEnd = (thread: number): number => stackOf(thread) + 512 * KIB
  const segments: SegmentSpec[] = [
    { vaddr: TEXT, filesz: PAGE_BYTES, memsz: 0x2_0000n, flags: 5 },
    { vaddr: DATA, filesz: 2 * PAGE_BYTES, flags: 6 },
    ...extra,
    ...Array.from({ length: threads }, (_, thread) => ({
      vaddr: BigInt(stackOf(thread)),
      filesz: 512 * KIB,
      flags: 6,
    })),
  ]
  const path = '/bin/crashed'
  const head = headOf({
    threads: [],
    files: [
      { start: TEXT, end: TEXT + 0x2_0000n, pageOffset: 0n, path },
      { start: DATA, end: DATA + 0x2000n, pageOffset: 32n, path },
    ],
    notes: [
      ...Array.from({ length: threads }, (_, thread) =>
        threadNote(thread + 1, { rsp: stackEnd(thread) - usedBytes, rip: Number(TEXT) + 0x5123 }),
      ),
      ...notes,
    ],
    segments,
  })
  const memory = new SparseMemory()
  for (const { vaddr, filesz, memsz } of segments)
    memory.map(Number(vaddr), Number(vaddr) + Math.max(filesz, Number(memsz ?? 0)), 0x61)
  return { head, memory }
}

export function headOf(spec: CoreSpec): CoreHead {
  return scanned(buildCore(spec).head)
}

export function scanned(bytes: Uint8Array): CoreHead {
  const scan = scanHead(bytes)
  if (scan.state !== 'core') throw new Error(JSON.stringify(scan))
  return scan.head
}

export function plan({ head, memory }: { head: CoreHead; memory: Memory }, bytesMax: number): CorePlan {
  return planCore({ kind: 'trimmed', head, memory, files: head.files(), bytesMax })
}

/** The finished core, and what the writer says of it. */
export function written(planned: CorePlan, memory: Memory): { bytes: Buffer; bytesUnreadable: number } {
  const [chunks, parts] = [coreChunks(planned, memory), [] as Buffer[]]
  for (;;) {
    const next = chunks.next()
    if (next.done) return { bytes: Buffer.concat(parts), ...next.value }
    parts.push(Buffer.from(next.value))
  }
}

/** Whether all of a range is in the core. */
export function holds({ runs }: CorePlan, start: number, end: number): boolean {
  let at = start
  for (const run of runs) if (run.start <= at && at < run.start + run.bytes) at = run.start + run.bytes
  return at >= end
}
