// What the handler learns from the crashed process's memory while it holds it: its stacks, and the files behind them.
import type { CoreHead } from '../core/head.ts'
import { vdsoModule } from '../core/image.ts'
import { ADDRESS_MAX } from '../core/memory.ts'
import { type Module, modulesOf } from '../core/modules.ts'
import type { MappedFile } from '../core/notes.ts'
import { threadsIn } from '../core/threads.ts'
import { type StackTrace, Unwinder } from '../core/unwind/unwinder.ts'
import type { CrashFacts } from '../crash.ts'
import { fileMappings, localDevices, type MemoryRange } from '../kernel/mappings.ts'
import { ProcessMemory } from '../kernel/process-memory.ts'
import { hostMountinfo, type ProcessReading } from '../kernel/procfs.ts'

/** As systemd-coredump's: nobody reads more. */
const THREADS_MAX = 64
const FRAMES_MAX = 64
/**
 * For all stacks: a hundred threads take a third of it. Of the processor's time, not the clock's: in a storm, which takes
 * all processors, a stack that is cut would be another signature.
 */
const UNWIND_CPU_MS_MAX = 150

/** A crashed process that is held; whoever has it closes it. */
export interface Examination {
  readonly memory: ProcessMemory
  /** By address. */
  readonly files: readonly MappedFile[]
  /** Files that are mapped from their beginning on, and the vdso; by address. */
  readonly modules: readonly Module[]
  /** Whether what begins at an address is on a file system that may keep whoever reads it waiting for ever. */
  readonly isRemote: (start: number) => boolean
  readonly stacks: readonly StackTrace[]
  readonly threadsOmitted: number
}

/**
 * Examines the process that crashed.
 * @returns undefined where its memory cannot be had, or may be another's.
 */
export function examine(
  crash: Pick<CrashFacts, 'pid' | 'pidfd'>,
  reading: ProcessReading,
  head: CoreHead,
): Examination | undefined {
  if (reading.state !== 'read') return undefined
  const { maps = new Uint8Array(0), mountinfo = new Uint8Array(0) } = reading.process.files
  const isLocal = localDevices([mountinfo, hostMountinfo()])
  const mappings = [...fileMappings(maps)].filter(({ end }) => end <= ADDRESS_MAX)
  const remote = mappings.filter(({ device }) => !isLocal(device)).map(rangeOf)
  const memory = ProcessMemory.open(crash, remote)
  if (memory === undefined) return undefined

  const noted = [...head.files()]
  // The kernel leaves NT_FILE out where it would be too large.
  const files = noted.length > 0 ? noted : mappings
  const vdso = vdsoModule(memory, head.notes())
  const modules = [...modulesOf(files), ...(vdso ? [vdso] : [])].sort((a, b) => a.start - b.start)
  const stacks = unwindThreads(head, memory, modules)
  return {
    memory,
    files,
    modules,
    isRemote: start => remote.some(range => range.start === start),
    stacks,
    threadsOmitted: head.threads - stacks.length,
  }
}

const rangeOf = ({ start, end }: MappedFile): MemoryRange => ({ start: Number(start), end: Number(end) })

function unwindThreads(head: CoreHead, memory: ProcessMemory, modules: readonly Module[]): StackTrace[] {
  const unwinder = new Unwinder({ memory, modules })
  const limits = { framesMax: FRAMES_MAX, deadlineMs: cpuMs() + UNWIND_CPU_MS_MAX, now: cpuMs }
  const stacks: StackTrace[] = []
  for (const thread of threadsIn(head.notes())) {
    stacks.push(unwinder.unwind(thread, limits))
    if (stacks.length === THREADS_MAX || cpuMs() > limits.deadlineMs) break
  }
  return stacks
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
