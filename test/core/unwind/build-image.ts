// ELF images as they are in memory, with unwind tables of a test's own, and memories made of pieces.
import type { Memory } from '../../../src/core/memory.ts'
import type { Module } from '../../../src/core/modules.ts'
import { REGISTER, type Thread } from '../../../src/core/threads.ts'

export interface FunctionSpec {
  /** From the image's start. */
  readonly at: number
  readonly bytes: number
  /** Call frame instructions. */
  readonly rules: readonly number[]
  /** Of another CIE, in place of CIE_RULES and no signal's. */
  readonly cie?: { readonly rules?: readonly number[]; readonly augmentation?: string }
}

/** rsp + 8 is the CFA, the return address is below it. */
export const CIE_RULES = [0x0c, 7, 8, 0x90, 1]

const EH_FRAME_AT = 0x2000
export const IMAGE_BYTES = 0x4000

/** @returns An image without code: program headers, a build-id, .eh_frame_hdr and .eh_frame. */
export function buildImage(functions: readonly FunctionSpec[], { indexed = true } = {}): Buffer {
  const image = Buffer.alloc(IMAGE_BYTES)
  const [notesAt, indexAt] = [0x400, 0x1000]
  const headers = [
    { type: 1, flags: 4, at: 0, bytes: IMAGE_BYTES },
    { type: 4, flags: 4, at: notesAt, bytes: 36 },
    { type: indexed ? 0x6474e550 : 0, flags: 4, at: indexAt, bytes: 0x1000 },
  ]
  image.write('\x7fELF\x02\x01\x01', 'latin1')
  image.writeUInt16LE(3, 16)
  image.writeBigUInt64LE(64n, 32)
  image.writeUInt16LE(56, 54)
  image.writeUInt16LE(headers.length, 56)
  for (const [index, { type, flags, at, bytes }] of headers.entries()) {
    const header = 64 + index * 56
    image.writeUInt32LE(type, header)
    image.writeUInt32LE(flags, header + 4)
    for (const [field, value] of [at, at, at, bytes, bytes].entries())
      image.writeBigUInt64LE(BigInt(value), header + 8 + field * 8)
  }
  const buildId = Buffer.from('00112233445566778899aabbccddeeff00112233', 'hex')
  note(buildId).copy(image, notesAt)
  const fdes = writeFrames(image, functions)
  if (indexed) writeIndex(image, indexAt, fdes)
  return image
}

function note(desc: Buffer): Buffer {
  const header = Buffer.alloc(12)
  header.writeUInt32LE(4, 0)
  header.writeUInt32LE(desc.length, 4)
  header.writeUInt32LE(3, 8)
  return Buffer.concat([header, Buffer.from('GNU\0'), desc])
}

interface WrittenFde {
  readonly start: number
  readonly at: number
}

/** A CIE and an FDE for each function, then the section's end. */
function writeFrames(image: Buffer, functions: readonly FunctionSpec[]): WrittenFde[] {
  let at = EH_FRAME_AT
  const put = (id: (idAt: number) => number, body: Buffer): number => {
    const start = at
    const padded = Math.ceil(body.length / 4) * 4
    image.writeUInt32LE(4 + padded, start)
    image.writeUInt32LE(id(start + 4), start + 4)
    body.copy(image, start + 8)
    at = start + 8 + padded
    return start
  }
  return functions.map(({ at: start, bytes, rules, cie = {} }) => {
    const { augmentation = 'zR', rules: initial = CIE_RULES } = cie
    const common = Buffer.from([1, ...Buffer.from(`${augmentation}\0`), 1, 0x78, 16, 1, 0x1b, ...initial])
    const cieAt = put(() => 0, common)
    const range = Buffer.alloc(8)
    range.writeInt32LE(start - (at + 8), 0)
    range.writeInt32LE(bytes, 4)
    return { start, at: put(idAt => idAt - cieAt, Buffer.concat([range, Buffer.from([0, ...rules])])) }
  })
}

function writeIndex(image: Buffer, at: number, fdes: readonly WrittenFde[]): void {
  const sorted = [...fdes].sort((one, other) => one.start - other.start)
  image.set([1, 0x1b, 0x03, 0x3b], at)
  image.writeInt32LE(EH_FRAME_AT - (at + 4), at + 4)
  image.writeUInt32LE(sorted.length, at + 8)
  for (const [index, fde] of sorted.entries()) {
    image.writeInt32LE(fde.start - at, at + 12 + index * 8)
    image.writeInt32LE(fde.at - at, at + 16 + index * 8)
  }
}

/** Bytes at addresses; what is between them cannot be read. */
export function memoryOf(pieces: Readonly<Record<number, Uint8Array>>): Memory {
  const ranges = Object.entries(pieces).map(([start, bytes]) => ({ start: Number(start), bytes }))
  return {
    read(address, into) {
      for (let filled = 0; ;) {
        const at = address + filled
        const found = ranges.find(({ start, bytes }) => start <= at && at < start + bytes.length)
        if (found === undefined || filled === into.length) return filled
        const part = found.bytes.subarray(at - found.start, at - found.start + into.length - filled)
        into.set(part, filled)
        filled += part.length
      }
    },
  }
}

export function moduleOf(start: number, path = '/usr/lib/image.so', bytes = IMAGE_BYTES): Module {
  const end = start + bytes
  return { path: Buffer.from(path), start, end, mappings: [{ start, end, fileOffset: 0 }] }
}

/** Words from an address on. */
export function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 8)
  for (const [index, value] of values.entries()) bytes.writeBigUInt64LE(BigInt(value), index * 8)
  return bytes
}

export function threadWith(values: Partial<Record<keyof typeof REGISTER, number | bigint>>): Thread {
  const registers = new BigUint64Array(27)
  for (const [name, value] of Object.entries(values))
    registers[REGISTER[name as keyof typeof REGISTER]] = BigInt(value)
  return { tid: 7, registers }
}
