// The threads of a core and their registers, from NT_PRSTATUS: struct elf_prstatus in the kernel's linux/elfcore.h, with
// x86-64's struct user_regs_struct from byte 112 on.
import type { Note } from './notes.ts'

const NT_PRSTATUS = 1
const PID_AT = 32
const REGISTERS_AT = 112
const REGISTERS = 27

/** Places in struct user_regs_struct, arch/x86/include/asm/user_64.h. */
export const REGISTER = {
  r15: 0,
  r14: 1,
  r13: 2,
  r12: 3,
  rbp: 4,
  rbx: 5,
  r11: 6,
  r10: 7,
  r9: 8,
  r8: 9,
  rax: 10,
  rcx: 11,
  rdx: 12,
  rsi: 13,
  rdi: 14,
  rip: 16,
  eflags: 18,
  rsp: 19,
  fsBase: 21,
} as const

export interface Thread {
  /** In the pid namespace of the process itself. */
  readonly tid: number
  /** By REGISTER. */
  readonly registers: BigUint64Array
}

/** Threads in the kernel's order: the one that crashed is the first. Notes too short for their registers are none. */
export function* threadsIn(notes: Iterable<Note>): Generator<Thread> {
  for (const { name, type, desc } of notes) {
    if (name !== 'CORE' || type !== NT_PRSTATUS || desc.length < REGISTERS_AT + REGISTERS * 8) continue
    const view = new DataView(desc.buffer, desc.byteOffset, desc.byteLength)
    const registers = new BigUint64Array(REGISTERS)
    for (let index = 0; index < REGISTERS; index++)
      registers[index] = view.getBigUint64(REGISTERS_AT + index * 8, true)
    yield { tid: view.getInt32(PID_AT, true), registers }
  }
}
