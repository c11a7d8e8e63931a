// The auxiliary vector, from NT_AUXV: what the kernel told the process of itself at its start, getauxval(3).
import { ADDRESS_MAX } from './memory.ts'
import type { Note } from './notes.ts'

const NT_AUXV = 6

/** linux/auxvec.h. */
export const AT = {
  phdr: 3,
  phnum: 5,
  base: 7,
  entry: 9,
  random: 25,
  execfn: 31,
  sysinfoEhdr: 33,
} as const

/** @returns Values by their AT_…; those that no address can be are left out. */
export function auxiliaryVector(notes: Iterable<Note>): Map<number, number> {
  const values = new Map<number, number>()
  for (const { name, type, desc } of notes) {
    if (name !== 'CORE' || type !== NT_AUXV) continue
    const view = new DataView(desc.buffer, desc.byteOffset, desc.byteLength)
    for (let at = 0; at + 16 <= desc.length; at += 16) {
      const [key, value] = [view.getBigUint64(at, true), view.getBigUint64(at + 8, true)]
      if (key < ADDRESS_MAX && value < ADDRESS_MAX) values.set(Number(key), Number(value))
    }
    break
  }
  return values
}
