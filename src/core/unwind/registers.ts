// Steps from a frame to its caller: a frame's registers in, those of its caller out. x86-64 (psABI; the kernel's
// arch/x86/include/uapi/asm/sigcontext.h).
import { ADDRESS_MAX } from '../memory.ts'
import { REGISTER } from '../threads.ts'
import { evaluate } from './expression.ts'
import type { PageCache } from './pages.ts'
import { DWARF, REGISTERS, RULE, type Rules } from './rules.ts'

/**
 * By DWARF's numbers, 16 being rip. NaN: not known. Rounded above 2^53, where no address is: what is not an address is
 * carried along, and of no use for unwinding.
 */
export type Registers = Float64Array

/** Why there is no step, or that there was one. */
export type Step = 'stepped' | 'outermost' | 'no-unwind-info' | 'unreadable' | 'corrupt'

/** Where REGISTER has DWARF's registers, by their numbers. */
const KERNEL_ORDER = [
  ...[REGISTER.rax, REGISTER.rdx, REGISTER.rcx, REGISTER.rbx, REGISTER.rsi, REGISTER.rdi, REGISTER.rbp],
  ...[REGISTER.rsp, REGISTER.r8, REGISTER.r9, REGISTER.r10, REGISTER.r11, REGISTER.r12, REGISTER.r13],
  ...[REGISTER.r14, REGISTER.r15, REGISTER.rip],
]
/** Where struct sigcontext has them, in words: r8 … r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip. */
const SIGCONTEXT_ORDER = [13, 12, 14, 11, 9, 8, 10, 15, 0, 1, 2, 3, 4, 5, 6, 7, 16]
/** uc_flags, uc_link and uc_stack precede it in struct ucontext, to which rsp points in a signal's restorer. */
const SIGCONTEXT_AT = 40
/** `mov $15, %rax; syscall` and `mov $15, %eax; syscall`: rt_sigreturn(2). libc and Go have it, musl and Go without CFI. */
const SIGRETURNS = [
  [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05],
  [0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05],
]
/** A frame is no larger than the stack, which is 8 MiB by default. */
const FRAME_BYTES_MAX = 8 * 2 ** 20

export function loadRegisters(kernel: BigUint64Array, into: Registers): void {
  for (let register = 0; register < REGISTERS; register++)
    into[register] = Number(kernel[KERNEL_ORDER[register]!])
}

/**
 * By the rules of .eh_frame.
 * @param interrupts - A signal's frame: its caller may have another stack. Others' callers are further up on theirs.
 */
export function stepByRules(
  rules: Rules,
  interrupts: boolean,
  from: Registers,
  to: Registers,
  pages: PageCache,
): Step {
  const cfa = rules.cfaExpression
    ? evaluate(rules.cfaExpression, from, pages)
    : from[rules.cfaRegister]! + rules.cfaOffset
  if (!isAddress(cfa)) return 'corrupt'
  const { returnColumn } = rules
  if (rules.kinds[returnColumn] === RULE.undefined) return 'outermost'
  for (let register = 0; register < REGISTERS; register++)
    to[register] = callersRegister(rules, register, cfa, from, pages)
  const pc = (to[DWARF.rip] = to[returnColumn]!)
  if (Number.isNaN(pc)) return 'unreadable'
  return interrupts || to[DWARF.rsp]! > from[DWARF.rsp]! ? stepped(pc) : 'corrupt'
}

function callersRegister(
  rules: Rules,
  register: number,
  cfa: number,
  from: Registers,
  pages: PageCache,
): number {
  const value = rules.values[register]!
  switch (rules.kinds[register]) {
    case RULE.same:
      return from[register]!
    case RULE.offset:
      return pages.u64(cfa + value)
    case RULE.valueOffset:
      return cfa + value
    case RULE.register:
      return from[value] ?? Number.NaN
    case RULE.expression:
      return pages.u64(evaluate(rules.expressions[register]!, from, pages, cfa))
    case RULE.valueExpression:
      return evaluate(rules.expressions[register]!, from, pages, cfa)
    default:
      return Number.NaN
  }
}

/** After a call of what is no code: nothing happened since the call pushed the return address. */
export function stepOutOfCall(from: Registers, to: Registers, pages: PageCache): Step {
  to.set(from)
  to[DWARF.rsp] = from[DWARF.rsp]! + 8
  return returnTo(pages.u64(from[DWARF.rsp]!), to)
}

/** @returns Whether a signal's handler returns to this address, to end the signal. */
export function isSigreturn(pc: number, pages: PageCache): boolean {
  return SIGRETURNS.some(code => code.every((byte, index) => pages.u8(pc + index) === byte))
}

/** From a signal's restorer to what the signal interrupted. */
export function stepOverSignal(from: Registers, to: Registers, pages: PageCache): Step {
  const context = from[DWARF.rsp]! + SIGCONTEXT_AT
  for (let register = 0; register < REGISTERS; register++)
    to[register] = pages.u64(context + SIGCONTEXT_ORDER[register]! * 8)
  return returnTo(to[DWARF.rip]!, to)
}

/** By the frame pointer, in code that keeps one and says nothing in .eh_frame: what JIT compilers make, as a rule. */
export function stepByFramePointer(from: Registers, to: Registers, pages: PageCache): Step {
  const [rsp, rbp] = [from[DWARF.rsp]!, from[DWARF.rbp]!]
  if (!(rbp >= rsp && rbp - rsp <= FRAME_BYTES_MAX && rbp % 8 === 0)) return 'no-unwind-info'
  to.set(from)
  to[DWARF.rbp] = pages.u64(rbp)
  to[DWARF.rsp] = rbp + 16
  return returnTo(pages.u64(rbp + 8), to)
}

function returnTo(pc: number, to: Registers): Step {
  to[DWARF.rip] = pc
  return Number.isNaN(pc) ? 'unreadable' : stepped(pc)
}

/** Threads begin with a return address of 0 where their code says nothing else. */
function stepped(pc: number): Step {
  return pc === 0 ? 'outermost' : 'stepped'
}

function isAddress(value: number): boolean {
  return value >= 0 && value < ADDRESS_MAX
}
