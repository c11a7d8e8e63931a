// What the first bytes of an executable or a core tell a debugger's choice: the machine, and whether Go built it. They come
// from a container: nothing in them is to be believed but for that.
import { open } from 'node:fs/promises'
import { notesIn } from '../core/notes.ts'

/** Go's linker puts its note right behind the program headers. */
const HEAD_BYTES = 64 * 1024
const PROGRAM_HEADER_BYTES = 56
const PT_NOTE = 4
/** With the padding that its linker counts as part of the name. */
const GO = /^Go\0*$/
/** elf(5), e_machine: as gdb's packages and process.arch name them. */
const ARCHITECTURES: Readonly<Record<number, NodeJS.Architecture>> = {
  3: 'ia32',
  40: 'arm',
  62: 'x64',
  183: 'arm64',
  243: 'riscv64',
  258: 'loong64',
}

export interface ElfKind {
  /** As process.arch has it; undefined for others, or what is no ELF file. */
  readonly architecture: NodeJS.Architecture | undefined
  /** e_machine */
  readonly machine: number
  readonly isGo: boolean
}

/** @returns undefined for what is no ELF file of 64 bits, little-endian. */
export async function elfKind(path: string): Promise<ElfKind | undefined> {
  const head = await readHead(path)
  const isElf = head.length >= 64 && head.readUInt32BE(0) === 0x7f454c46 && head[4] === 2 && head[5] === 1
  if (!isElf) return undefined
  const machine = head.readUInt16LE(18)
  return { architecture: ARCHITECTURES[machine], machine, isGo: hasGoNote(head) }
}

/** cmd/link's `.note.go.buildid`: there whatever was stripped. */
function hasGoNote(head: Buffer): boolean {
  const table = Number(head.readBigUInt64LE(32))
  const count = head.readUInt16LE(56)
  for (let header = 0; header < count; header++) {
    const at = table + header * PROGRAM_HEADER_BYTES
    if (at + PROGRAM_HEADER_BYTES > head.length) return false
    if (head.readUInt32LE(at) !== PT_NOTE) continue
    const start = Number(head.readBigUInt64LE(at + 8))
    const bytes = Number(head.readBigUInt64LE(at + 32))
    const notes = start + bytes <= head.length ? head.subarray(start, start + bytes) : head.subarray(0, 0)
    for (const note of notesIn(notes)) if (GO.test(note.name)) return true
  }
  return false
}

async function readHead(path: string): Promise<Buffer> {
  const file = await open(path, 'r')
  try {
    const head = Buffer.alloc(HEAD_BYTES)
    const { bytesRead } = await file.read(head, 0, HEAD_BYTES, 0)
    return head.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}
