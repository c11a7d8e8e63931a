// What the handler learns from the crashed process's memory while it holds it: its stacks, and the files behind them.
import type { CoreHead } from '../core/head.ts'
import { vdsoModule } from '../core/image.ts'
import { ADDRESS_MAX } from '../core/memory.ts'
import { type Module, modulesOf } from '../core/modules.ts'
import type { MappedFile } from '../core/notes.ts'
import { threadsIn } from '../core/threads.ts'
import { type StackTrace, Unwinder } from '../core/unwind/unwinder.ts'
import type { CrashFacts } from '../crash.ts'
import { type OpenMappedFile, openMappedFile } from '../kernel/map-files.ts'
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
/** Of files whose symbols are wanted; a descriptor each. */
const FILES_MAX = 64

/** A crashed process that is held; whoever has it closes it. */
export interface Examination {
  readonly memory: ProcessMemory
  /** By address. */
  readonly files: readonly MappedFile[]
  readonly stacks: readonly StackTrace[]
  readonly threadsOmitted: number
  /** Files that frames point to, by where they are mapped. They can be read after the process is gone. */
  readonly symbolFiles: ReadonlyMap<number, OpenMappedFile>
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
    stacks,
    threadsOmitted: head.threads - stacks.length,
    symbolFiles: openSymbolFiles(crash.pid, stacks, modules, remote),
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

/** Frames of the thread that crashed come first, so that theirs are opened whatever the others have. */
function openSymbolFiles(
  pid: number,
  stacks: readonly StackTrace[],
  modules: readonly Module[],
  remote: readonly MemoryRange[],
): Map<number, OpenMappedFile> {
  const wanted = new Set(
    stacks
      .flatMap(({ frames }) => frames.map(({ module }) => module?.start))
      .filter(start => start !== undefined),
  )
  const opened = new Map<number, OpenMappedFile>()
  for (const start of [...wanted].slice(0, FILES_MAX)) {
    const mapping = modules.find(module => module.start === start)?.mappings[0]
    if (mapping === undefined || remote.some(range => range.start === mapping.start)) continue
    const file = openMappedFile(pid, mapping)
    if (file) opened.set(start, file)
  }
  return opened
}
