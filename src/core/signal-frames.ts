// Signal frames on a stack: what the kernel puts there before it calls a handler (struct rt_sigframe in
// arch/x86/include/asm/sigframe.h). They lead from an alternate signal stack to the one that was interrupted.
import { ADDRESS_MAX, type Memory } from './memory.ts'

/** cs 0x33, gs 0, fs 0, ss 0x2b in struct sigcontext: 64-bit user space. */
const SELECTORS_LOW = 0x33
const SELECTORS_HIGH = 0x2b_0000
/** Before the selectors: rsp, rip and eflags, 8 bytes each. */
const SAVED_BYTES = 24
/** Bit 1 of eflags is always set; from bit 22 on, and bits 3, 5 and 15, are never. */
const EFLAGS_SET = 0x2
const EFLAGS_CLEAR = 0xffc0_8028

/** Registers of what a signal interrupted. */
export interface Interrupted {
  readonly sp: number
  readonly ip: number
}

/**
 * Finds signal frames in a part of a stack.
 * @param start - A multiple of 8.
 * @param into - Scratch: as many bytes are searched. The stack's content may be anything.
 */
export function* signalFrames(memory: Memory, start: number, into: Uint8Array): Generator<Interrupted> {
  const bytes = memory.read(start, into)
  const view = new DataView(into.buffer, into.byteOffset, bytes)
  for (let at = SAVED_BYTES; at + 8 <= bytes; at += 8) {
    if (view.getUint32(at, true) !== SELECTORS_LOW || view.getUint32(at + 4, true) !== SELECTORS_HIGH)
      continue
    const [eflags, eflagsHigh] = [view.getUint32(at - 8, true), view.getUint32(at - 4, true)]
    if ((eflags & EFLAGS_SET) === 0 || (eflags & EFLAGS_CLEAR) !== 0 || eflagsHigh !== 0) continue
    const [sp, ip] = [view.getBigUint64(at - 24, true), view.getBigUint64(at - 16, true)]
    if (sp < ADDRESS_MAX && ip < ADDRESS_MAX) yield { sp: Number(sp), ip: Number(ip) }
  }
}
