// Builds ELF cores as the kernel lays them out (header, program headers, notes, page alignment, bodies), and wrong
// ones: for tests of the head and, piped into the handler, of the whole path.

import type { RefusalReason } from '../../src/crash.ts'

const PAGE = 4096
const HEADER_BYTES = 64
const PROGRAM_HEADER_BYTES = 56
const PN_XNUM = 0xffff

export interface SegmentSpec {
  vaddr: bigint
  /** Repeated byte of the body. */
  fill?: number
  filesz: number
  memsz?: bigint
  flags?: number
}

export interface NoteSpec {
  name: string
  type: number
  desc: Uint8Array
}

export interface CoreSpec {
  threads?: readonly { tid: number; signal: number }[]
  signalInfo?: { signo: number; code: number; errno?: number; address?: bigint }
  files?: readonly { start: bigint; end: bigint; pageOffset: bigint; path: string | Uint8Array }[]
  /** After the others. */
  notes?: readonly NoteSpec[]
  segments?: readonly SegmentSpec[]
}

export interface BuiltCore {
  /** Header, program headers and notes. */
  head: Buffer
  /** Size of the whole. */
  bytes: number
  /** The whole; only for cores that fit into memory. */
  whole: () => Buffer
}

const SMALL: Required<Pick<CoreSpec, 'threads' | 'signalInfo' | 'files' | 'segments'>> = {
  threads: [
    { tid: 7, signal: 11 },
    { tid: 9, signal: 0 },
  ],
  signalInfo: { signo: 11, code: 1, address: 0xdead_beefn },
  files: [{ start: 0x40_0000n, end: 0x40_1000n, pageOffset: 2n, path: '/usr/bin/crasher' }],
  segments: [
    { vaddr: 0x40_0000n, filesz: 3 * PAGE, fill: 0x61 },
    { vaddr: 0x7fff_ffff_e000n, filesz: 2 * PAGE, fill: 0x62 },
  ],
}

/** A core of two threads and 20 KiB of memory, unless the specification says otherwise. */
export function buildCore(spec: CoreSpec = {}): BuiltCore {
  const { threads, signalInfo, files, segments } = { ...SMALL, ...spec }
  const notes = Buffer.concat([
    ...threads.slice(0, 1).map(threadStatus),
    note('CORE', 0x53494749, signalInfoDesc(signalInfo)),
    ...(files.length > 0 ? [note('CORE', 0x46494c45, filesDesc(files))] : []),
    ...threads.slice(1).map(threadStatus),
    ...(spec.notes ?? []).map(({ name, type, desc }) => note(name, type, desc)),
  ])
  const count = segments.length + 1
  const notesAt = HEADER_BYTES + count * PROGRAM_HEADER_BYTES
  const bodyAt = Math.ceil((notesAt + notes.length) / PAGE) * PAGE
  const bodyEnd = segments.reduce((end, segment) => end + segment.filesz, bodyAt)
  const extended = count >= PN_XNUM
  const head = Buffer.concat([
    header(count, extended ? bodyEnd : 0),
    programHeader({ type: 4, offset: notesAt, vaddr: 0n, filesz: notes.length, memsz: 0n, flags: 0 }),
    ...loads(segments, bodyAt),
    notes,
  ])
  return {
    head,
    bytes: bodyEnd + (extended ? HEADER_BYTES : 0),
    whole: () =>
      Buffer.concat([
        head,
        Buffer.alloc(bodyAt - head.length),
        ...segments.map(({ filesz, fill }) => Buffer.alloc(filesz, fill ?? 0)),
        ...(extended ? [countingSectionHeader(count)] : []),
      ]),
  }
}

/** Streams that are no usable core, by name, with the reason that the record must give. */
export const MALFORMED: Readonly<Record<string, { reason: RefusalReason; bytes: () => Buffer }>> = {
  'an empty stream': { reason: 'empty', bytes: () => Buffer.alloc(0) },
  'three bytes': { reason: 'head-truncated', bytes: () => Buffer.from('\x7fEL') },
  'a shell script': { reason: 'not-elf', bytes: () => Buffer.from('#!/bin/sh\n') },
  'a long text': { reason: 'not-elf', bytes: () => Buffer.alloc(100_000, 'no core ') },
  'a magic that is almost right': {
    reason: 'not-elf',
    bytes: () => patched(bytes => bytes.writeUInt8(0x7e, 0)),
  },
  'an executable': { reason: 'not-elf', bytes: () => patched(bytes => bytes.writeUInt16LE(2, 16)) },
  'a 32-bit core': { reason: 'elf-32bit', bytes: () => patched(bytes => bytes.writeUInt8(1, 4)) },
  'a big-endian core': { reason: 'elf-big-endian', bytes: () => patched(bytes => bytes.writeUInt8(2, 5)) },
  'truncated program headers': { reason: 'head-truncated', bytes: () => buildCore().head.subarray(0, 130) },
  'truncated notes': { reason: 'head-truncated', bytes: () => buildCore().head.subarray(0, -8) },
  'no program headers': { reason: 'head-invalid', bytes: () => patched(bytes => bytes.writeUInt16LE(0, 56)) },
  'program headers of another size': {
    reason: 'head-invalid',
    bytes: () => patched(bytes => bytes.writeUInt16LE(32, 54)),
  },
  'program headers far away': {
    reason: 'head-invalid',
    bytes: () => patched(bytes => bytes.writeBigUInt64LE(1n << 40n, 32)),
  },
  'program headers within the ELF header': {
    reason: 'head-invalid',
    bytes: () => patched(bytes => bytes.writeBigUInt64LE(8n, 32)),
  },
  'a segment whose end overflows 64 bits': {
    reason: 'head-invalid',
    bytes: () => patched(bytes => bytes.writeBigUInt64LE(0xffff_ffff_ffff_f000n, segmentAt(1) + 32)),
  },
  'a segment that ends beyond 2^53': {
    reason: 'head-invalid',
    bytes: () => patched(bytes => bytes.writeBigUInt64LE(1n << 53n, segmentAt(1) + 8)),
  },
  'notes within the program headers': {
    reason: 'head-invalid',
    bytes: () => patched(bytes => bytes.writeBigUInt64LE(64n, segmentAt(0) + 8)),
  },
  'a note of size 0xffffffff': {
    reason: 'head-invalid',
    bytes: () => patched(bytes => bytes.writeUInt32LE(0xffff_ffff, notesAt() + 4)),
  },
  'a note whose name has size 0xffffffff': {
    reason: 'head-invalid',
    bytes: () => patched(bytes => bytes.writeUInt32LE(0xffff_ffff, notesAt())),
  },
  'uncounted segments that the place of the notes makes few': {
    reason: 'head-invalid',
    bytes: () => patched(bytes => bytes.writeUInt16LE(PN_XNUM, 56)),
  },
  'uncounted segments without notes in front': {
    reason: 'head-invalid',
    bytes: () =>
      patched(bytes => {
        bytes.writeUInt16LE(PN_XNUM, 56)
        bytes.writeUInt32LE(1, segmentAt(0))
        bytes.writeBigUInt64LE(64n + 70_000n * 56n, segmentAt(0) + 8)
      }),
  },
}

/** The small core, whole, after a change. */
export function patched(change: (bytes: Buffer) => void): Buffer {
  const bytes = buildCore().whole()
  change(bytes)
  return bytes
}

/** Offset of a program header; 0 is PT_NOTE. */
export function segmentAt(index: number): number {
  return HEADER_BYTES + index * PROGRAM_HEADER_BYTES
}

/** Offset of the notes in the small core. */
export function notesAt(): number {
  return segmentAt(SMALL.segments.length + 1)
}

export function note(name: string, type: number, desc: Uint8Array): Buffer {
  const nameBytes = Buffer.from(`${name}\0`, 'latin1')
  const lengths = Buffer.alloc(12)
  lengths.writeUInt32LE(nameBytes.length, 0)
  lengths.writeUInt32LE(desc.length, 4)
  lengths.writeUInt32LE(type, 8)
  return Buffer.concat([lengths, padded(nameBytes), padded(desc)])
}

function header(segments: number, sectionHeadersAt: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES)
  bytes.write('\x7fELF\x02\x01\x01', 'latin1')
  bytes.writeUInt16LE(4, 16) // ET_CORE
  bytes.writeUInt16LE(62, 18) // x86-64
  bytes.writeUInt32LE(1, 20)
  bytes.writeBigUInt64LE(BigInt(HEADER_BYTES), 32)
  bytes.writeBigUInt64LE(BigInt(sectionHeadersAt), 40)
  bytes.writeUInt16LE(HEADER_BYTES, 52)
  bytes.writeUInt16LE(PROGRAM_HEADER_BYTES, 54)
  bytes.writeUInt16LE(Math.min(segments, PN_XNUM), 56)
  bytes.writeUInt16LE(sectionHeadersAt > 0 ? 64 : 0, 58)
  bytes.writeUInt16LE(sectionHeadersAt > 0 ? 1 : 0, 60)
  return bytes
}

function loads(segments: readonly SegmentSpec[], bodyAt: number): Buffer[] {
  let offset = bodyAt
  return segments.map(({ vaddr, filesz, memsz, flags }) => {
    const bytes = programHeader({
      type: 1,
      offset,
      vaddr,
      filesz,
      memsz: memsz ?? BigInt(filesz),
      flags: flags ?? 6,
    })
    offset += filesz
    return bytes
  })
}

function programHeader(fields: {
  type: number
  offset: number
  vaddr: bigint
  filesz: number
  memsz: bigint
  flags: number
}): Buffer {
  const bytes = Buffer.alloc(PROGRAM_HEADER_BYTES)
  bytes.writeUInt32LE(fields.type, 0)
  bytes.writeUInt32LE(fields.flags, 4)
  bytes.writeBigUInt64LE(BigInt(fields.offset), 8)
  bytes.writeBigUInt64LE(fields.vaddr, 16)
  bytes.writeBigUInt64LE(BigInt(fields.filesz), 32)
  bytes.writeBigUInt64LE(fields.memsz, 40)
  return bytes
}

/** The one that PN_XNUM needs: sh_info is the count. */
function countingSectionHeader(segments: number): Buffer {
  const bytes = Buffer.alloc(64)
  bytes.writeUInt32LE(segments, 44)
  return bytes
}

function threadStatus({ tid, signal }: { tid: number; signal: number }): Buffer {
  const desc = Buffer.alloc(336) // sizeof(struct elf_prstatus) on x86-64
  desc.writeInt32LE(signal, 0)
  desc.writeInt16LE(signal, 12)
  desc.writeInt32LE(tid, 32)
  return note('CORE', 1, desc)
}

function signalInfoDesc({ signo, code, errno, address }: NonNullable<CoreSpec['signalInfo']>): Buffer {
  const desc = Buffer.alloc(128)
  desc.writeInt32LE(signo, 0)
  desc.writeInt32LE(errno ?? 0, 4)
  desc.writeInt32LE(code, 8)
  desc.writeBigUInt64LE(address ?? 0n, 16)
  return desc
}

function filesDesc(files: NonNullable<CoreSpec['files']>): Buffer {
  const numbers = [BigInt(files.length), BigInt(PAGE)]
  for (const { start, end, pageOffset } of files) numbers.push(start, end, pageOffset)
  return Buffer.concat([
    Buffer.from(BigUint64Array.from(numbers).buffer),
    ...files.map(({ path }) => Buffer.concat([Buffer.from(path as string), Buffer.from([0])])),
  ])
}

function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)])
}
