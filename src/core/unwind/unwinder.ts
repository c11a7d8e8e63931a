// Stack traces from a process's memory: by .eh_frame, and by frame pointers where that says nothing. x86-64 only. The
// process may have written anything into its memory: frames, steps, tables and time are bounded, nothing throws.
import { type Image, readImage } from '../image.ts'
import type { Memory } from '../memory.ts'
import { type Module, moduleAt } from '../modules.ts'
import type { Thread } from '../threads.ts'
import { type Cie, type Fde, type FdeIndex, readCie, readFde, sortedIndex } from './eh-frame.ts'
import { PageCache } from './pages.ts'
import {
  isSigreturn,
  loadRegisters,
  type Registers,
  type Step,
  stepByFramePointer,
  stepByRules,
  stepOutOfCall,
  stepOverSignal,
} from './registers.ts'
import { scannedIndex } from './scan.ts'
import { DWARF, REGISTERS, type Rules, rulesAt } from './rules.ts'

const FRAMES_MAX = 64
/** Addresses and CIEs that are remembered: more than the stacks of thousands of threads have different ones. */
const REMEMBERED_MAX = 16 * 1024

/** Where a frame's code is in a file. */
export interface FrameModule {
  /** As the kernel names it: no encoding may be assumed. */
  readonly path: Uint8Array
  /** Where the file is mapped: the same for all frames in it. */
  readonly start: number
  /** In hex; none where the linker wrote none. */
  readonly buildId?: string
  /** The address in the file's own counting. */
  readonly offset: number
}

/** Frames may be shared between traces. */
export interface Frame {
  /** Rounded above 2^53, where no code is. */
  readonly pc: number
  /**
   * `pc` is the instruction at hand: in the frame that crashed, in those that a signal interrupted, in a signal's own.
   * Else it is a return address, behind the call: look names up at `pc - 1`.
   */
  readonly isExact: boolean
  /** None for code that is in no ELF image: of a JIT compiler, or none at all. */
  readonly module?: FrameModule
}

export interface StackTrace {
  readonly tid: number
  /** From the innermost; there is always one. */
  readonly frames: readonly Frame[]
  /**
   * Why there are no more. `outermost`: it is complete; `limit` and `deadline`: as many as were asked for;
   * `no-unwind-info`: code without CFI and frame pointer; `unreadable`: the stack cannot be read;
   * `corrupt`: what was read cannot be a stack.
   */
  readonly end: Exclude<Step, 'stepped'> | 'limit' | 'deadline'
}

export interface UnwindLimits {
  /** 64 unless given. */
  readonly framesMax?: number
  /** By `now`: no frame is begun after it. */
  readonly deadlineMs?: number
  /** A clock in milliseconds. */
  readonly now?: () => number
}

export interface UnwinderOptions {
  readonly memory: Memory
  /** By address. */
  readonly modules: readonly Module[]
}

/** What is known of an address, whichever thread is there. */
interface Site {
  readonly frame: Frame
  /** From .eh_frame; none for code without. */
  readonly rules: Rules | undefined
  readonly interrupts: boolean
}

/** An image with its index, as far as it has one. */
interface UnwindImage {
  readonly image: Image
  readonly index: FdeIndex | undefined
}

/** Unwinds the threads of one process, which must not run meanwhile: what was read for one thread is used for others. */
export class Unwinder {
  readonly #pages: PageCache
  readonly #modules: readonly Module[]
  readonly #images = new Map<Module, UnwindImage | undefined>()
  readonly #cies = new Map<number, Cie | undefined>()
  readonly #exact = new Map<number, Site>()
  readonly #returns = new Map<number, Site>()
  #hasScanned = false
  #registers: Registers = new Float64Array(REGISTERS)
  #callers: Registers = new Float64Array(REGISTERS)

  constructor({ memory, modules }: UnwinderOptions) {
    this.#pages = new PageCache(memory)
    this.#modules = modules
  }

  unwind(thread: Thread, { framesMax = FRAMES_MAX, deadlineMs, now }: UnwindLimits = {}): StackTrace {
    const { tid } = thread
    const frames: Frame[] = []
    loadRegisters(thread.registers, this.#registers)
    let isExact = true
    for (;;) {
      const site = this.#siteAt(this.#registers[DWARF.rip]!, isExact)
      frames.push(site.frame)
      const step = this.#step(site)
      if (step !== 'stepped') return { tid, frames, end: step }
      if (frames.length >= framesMax) return { tid, frames, end: 'limit' }
      if (deadlineMs !== undefined && now !== undefined && now() > deadlineMs)
        return { tid, frames, end: 'deadline' }
      const callers = this.#callers
      this.#callers = this.#registers
      this.#registers = callers
      isExact = site.interrupts
    }
  }

  /** From #registers to #callers. */
  #step({ frame, rules, interrupts }: Site): Step {
    const [from, to, pages] = [this.#registers, this.#callers, this.#pages]
    if (rules) return stepByRules(rules, interrupts, from, to, pages)
    if (interrupts) return stepOverSignal(from, to, pages)
    if (frame.isExact && Number.isNaN(pages.u8(frame.pc))) return stepOutOfCall(from, to, pages)
    return stepByFramePointer(from, to, pages)
  }

  #siteAt(pc: number, isExact: boolean): Site {
    const sites = isExact ? this.#exact : this.#returns
    return remembered(sites, pc, () => this.#readSite(pc, isExact))
  }

  #readSite(pc: number, isExact: boolean): Site {
    // A call may be a function's last instruction, its return address then another function's.
    const at = isExact ? pc : pc - 1
    const module = moduleAt(this.#modules, at)
    const found = module && remembered(this.#images, module, () => this.#readModule(module))
    const fde = found?.index && this.#fdeAt(found.index, at)
    const interrupts = fde ? fde.cie.isSignalFrame : isSigreturn(pc, this.#pages)
    const frame = { pc, isExact: isExact || interrupts }
    return {
      frame: module && found ? { ...frame, module: frameModule(module, found.image, pc) } : frame,
      rules: fde && rulesAt(fde, at),
      interrupts,
    }
  }

  #fdeAt(index: FdeIndex, pc: number): Fde | undefined {
    const fde = readFde(this.#pages, index(pc), this.#cieAt)
    return fde && fde.start <= pc && pc < fde.end ? fde : undefined
  }

  #cieAt = (address: number): Cie | undefined =>
    remembered(this.#cies, address, () => readCie(this.#pages, address))

  #readModule(module: Module): UnwindImage | undefined {
    const image = readImage(this.#pages, module.start)
    if (image === undefined) return undefined
    return { image, index: this.#indexOf(image) }
  }

  #indexOf({ unwindTable, segments }: Image): FdeIndex | undefined {
    if (unwindTable !== undefined) return sortedIndex(this.#pages, unwindTable)
    // A program linked statically is the only image there is. A process with many more of them wants to keep us busy.
    if (this.#hasScanned) return undefined
    this.#hasScanned = true
    return scannedIndex(this.#pages, segments, this.#cieAt)
  }
}

function frameModule({ path, start }: Module, { bias, buildId }: Image, pc: number): FrameModule {
  const place = { path, start, offset: pc - bias }
  return buildId === undefined ? place : { ...place, buildId }
}

/** Looks up, or reads and keeps; what was kept is dropped when it becomes too much. */
function remembered<K, V>(known: Map<K, V>, key: K, read: () => V): V {
  const value = known.get(key)
  if (value !== undefined || known.has(key)) return value!
  if (known.size >= REMEMBERED_MAX) known.clear()
  const fresh = read()
  known.set(key, fresh)
  return fresh
}
