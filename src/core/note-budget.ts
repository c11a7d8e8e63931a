// Which notes fit into a core that must be small, and their bytes: elf(5), "Notes", the kernel's writenote in
// fs/binfmt_elf.c. Registers tell where a thread is; its extended ones (2.4 KiB on x86-64) are the first to be missed.
import type { Note } from './notes.ts'

const NT_PRSTATUS = 1
const NT_PRFPREG = 2
const NT_FILE = 0x46494c45
const NT_X86_XSTATE = 0x202

/** namesz, descsz, type. */
const HEADER_BYTES = 12

/** Classes of notes in the order in which they are given room; all of the last two, or none: half of them mislead. */
const CRASH = 0
const THREADS = 1
const FILES = 2
const FLOATING_POINT = 3
const EXTENDED = 4
const ALL_OR_NONE: readonly number[] = [FLOATING_POINT, EXTENDED]

/**
 * Chooses notes, without changing their order.
 * @param notes - As the kernel writes them: those of the thread that crashed first.
 * @param bytesMax - Of those chosen together.
 */
export function notesWithin(notes: Iterable<Note>, bytesMax: number): Note[] {
  const classes: { note: Note; order: number }[][] = [[], [], [], [], []]
  let threads = 0
  let order = 0
  for (const note of notes) {
    if (note.type === NT_PRSTATUS && note.name === 'CORE') threads++
    classes[classOf(note, threads)]!.push({ note, order: order++ })
  }
  const chosen: { note: Note; order: number }[] = []
  let bytesLeft = bytesMax
  for (const [index, candidates] of classes.entries()) {
    const bytes = candidates.reduce((sum, { note }) => sum + noteBytes(note), 0)
    if (ALL_OR_NONE.includes(index) && bytes > bytesLeft) break
    for (const candidate of candidates) {
      if (noteBytes(candidate.note) > bytesLeft) continue
      bytesLeft -= noteBytes(candidate.note)
      chosen.push(candidate)
    }
  }
  return chosen.sort((one, other) => one.order - other.order).map(({ note }) => note)
}

function classOf({ name, type }: Note, threads: number): number {
  if (type === NT_FILE && name === 'CORE') return FILES
  if (threads <= 1) return CRASH
  if (type === NT_PRFPREG && name === 'CORE') return FLOATING_POINT
  return type === NT_X86_XSTATE && name === 'LINUX' ? EXTENDED : THREADS
}

/** Size of a note as `encodeNote` writes it. */
export function noteBytes({ name, desc }: Note): number {
  return HEADER_BYTES + padded(name.length + 1) + padded(desc.length)
}

export function encodeNote({ name, type, desc }: Note): Uint8Array {
  const bytes = new Uint8Array(noteBytes({ name, type, desc }))
  const view = new DataView(bytes.buffer)
  view.setUint32(0, name.length + 1, true)
  view.setUint32(4, desc.length, true)
  view.setUint32(8, type, true)
  bytes.set(Buffer.from(name, 'latin1'), HEADER_BYTES)
  bytes.set(desc, HEADER_BYTES + padded(name.length + 1))
  return bytes
}

function padded(bytes: number): number {
  return Math.ceil(bytes / 4) * 4
}
