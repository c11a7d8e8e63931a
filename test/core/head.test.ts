import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { HEAD_BYTES_MAX, refuseAtEnd, scanHead } from '../../src/core/head.ts'
import type { CoreHead, HeadRefusal } from '../../src/core/head.ts'
import { buildCore, MALFORMED, note, notesAt, patched, segmentAt } from './build-core.ts'
import type { NoteSpec } from './build-core.ts'

/** Reads a head as the handler does: no more of the stream than was asked for, at most `stepBytes` at a time. */
function readHead(stream: Uint8Array, stepBytes = Infinity): CoreHead | HeadRefusal {
  let have = 0
  for (;;) {
    const scan = scanHead(stream.subarray(0, have))
    if (scan.state === 'core') return scan.head
    if (scan.state === 'refused') return scan
    if (scan.bytes <= have || scan.bytes > HEAD_BYTES_MAX)
      throw new Error(`asked for ${scan.bytes} with ${have}`)
    if (have === stream.length) return refuseAtEnd(stream, scan.bytes)
    have = Math.min(scan.bytes, stream.length, have + stepBytes)
  }
}

function headOf(stream: Uint8Array): CoreHead {
  const head = readHead(stream)
  if ('state' in head) throw new Error(`${head.reason}: ${head.detail}`)
  return head
}

/** All that a head says, as one value. */
function told(head: CoreHead | HeadRefusal): unknown {
  if ('state' in head) return head
  const { programHeader, notes, files, ...facts } = head
  return {
    ...facts,
    first: programHeader(0),
    last: programHeader(head.segments - 1),
    notes: [...notes()].map(({ name, type, desc }) => [name, type, desc.length]),
    files: [...files()].map(({ path, ...range }) => [Buffer.from(path).toString('latin1'), range]),
  }
}

t.test('a core tells its size, threads, signal and mappings', async t => {
  const core = buildCore()
  const head = headOf(core.whole())
  t.equal(head.bytesExpected, core.whole().length)
  t.equal(head.headBytes, core.head.length)
  t.equal(head.notesTruncated, false)
  t.match(head, {
    machine: { name: 'x86-64', number: 62 },
    segments: 3,
    threads: 2,
    crashingThread: { tid: 7, signal: 11 },
    signalInfo: { signo: 11, code: 1, errno: 0, address: 0xdead_beefn },
  })
  t.strictSame(head.programHeader(2), {
    type: 1,
    flags: 6,
    offset: core.bytes - 8192,
    vaddr: 0x7fff_ffff_e000n,
    filesz: 8192,
    memsz: 8192n,
  })
  const [file, ...others] = [...head.files()]
  t.match(file, { start: 0x40_0000n, end: 0x40_1000n, fileOffset: 8192n })
  t.equal(Buffer.from(file!.path).toString(), '/usr/bin/crasher')
  t.strictSame(others, [])
})

t.test('the head is known before the body comes', async t => {
  const core = buildCore({ segments: [{ vaddr: 0n, filesz: 2 ** 45 }] })
  t.equal(headOf(core.head).bytesExpected, core.bytes)
})

t.test('asking for a segment that does not exist is an error of the caller', async t => {
  const head = headOf(buildCore().head)
  for (const index of [-1, 3, Number.NaN]) t.throws(() => head.programHeader(index), RangeError)
})

for (const [name, { reason, bytes }] of Object.entries(MALFORMED)) {
  t.test(`${name}: ${reason}`, async t => {
    const stream = bytes()
    const refusal = readHead(stream)
    t.match(refusal, { state: 'refused', reason, detail: /./ })
    t.strictSame(readHead(stream, 1), refusal, 'byte by byte too')
  })
}

t.test('a refusal says what contradicts what', async t => {
  const detail = (name: string) => (readHead(MALFORMED[name]!.bytes()) as HeadRefusal).detail
  t.match(detail('a shell script'), /begins with the bytes 23212f62/)
  t.match(detail('notes within the program headers'), /notes at 64, within the program headers/)
  t.match(detail('a note of size 0xffffffff'), /a note of 4294967315 bytes, \d+ bytes before the end/)
})

t.test('a stream that ends anywhere in the head is truncated there', async t => {
  const { head } = buildCore()
  for (let length = 1; length < head.length; length += 7) {
    t.match(readHead(head.subarray(0, length)), { reason: 'head-truncated' }, `after ${length} bytes`)
  }
})

t.test('70,000 mappings: counted by the place of the notes, as e_phnum cannot hold them', async t => {
  const segments = Array.from({ length: 70_000 }, (_, index) => ({
    vaddr: BigInt(index) << 13n,
    filesz: 4096,
  }))
  const core = buildCore({ segments })
  const head = headOf(core.head)
  t.equal(head.segments, 70_001)
  t.equal(head.bytesExpected, core.bytes, 'with the section header that follows the last segment')
  t.equal(head.programHeader(70_000).vaddr, 69_999n << 13n)
})

t.test('more segments than 16 MiB of program headers hold are refused', async t => {
  const bytes = buildCore().head
  bytes.writeUInt16LE(0xffff, 56)
  bytes.writeBigUInt64LE(BigInt(64 + 56 * 300_000), segmentAt(0) + 8)
  t.match(readHead(bytes), { reason: 'head-invalid', detail: /300000 segments/ })
})

t.test('2,001 threads are counted, and the first is the one that crashed', async t => {
  const threads = Array.from({ length: 2001 }, (_, index) => ({
    tid: 100 + index,
    signal: index === 0 ? 6 : 0,
  }))
  const registers: NoteSpec[] = threads.map(() => ({ name: 'LINUX', type: 0x202, desc: Buffer.alloc(2440) }))
  const head = headOf(buildCore({ threads, notes: registers }).head)
  t.match(head, { threads: 2001, crashingThread: { tid: 100, signal: 6 }, notesTruncated: false })
})

t.test('notes beyond 16 MiB are left unread, and the core is not refused for them', async t => {
  const desc = Buffer.alloc(5 * 1024 * 1024)
  const notes = Array.from({ length: 4 }, () => ({ name: 'LINUX', type: 1, desc }))
  const core = buildCore({ notes })
  const head = headOf(core.head)
  t.match(head, { notesTruncated: true, threads: 2, bytesExpected: core.bytes })
  t.equal(head.headBytes, notesAt() + 16 * 1024 * 1024)
  t.equal([...head.notes()].filter(({ name }) => name === 'LINUX').length, 3)
})

t.test('a note type counts only under its owner', async t => {
  const head = headOf(buildCore({ notes: [{ name: 'GNU', type: 1, desc: Buffer.alloc(336) }] }).head)
  t.equal(head.threads, 2)
})

t.test('a core without notes has no threads', async t => {
  const head = headOf(patched(bytes => bytes.writeUInt32LE(1, segmentAt(0))))
  t.match(head, { threads: 0, crashingThread: undefined, signalInfo: undefined })
  t.strictSame([...head.files()], [])
})

t.test('notes behind the memory are not waited for', async t => {
  const head = headOf(patched(bytes => bytes.writeBigUInt64LE(1n << 40n, segmentAt(0) + 8)))
  t.match(head, { notesTruncated: true, threads: 0, headBytes: segmentAt(3) })
})

t.test('the faulting address is told only where the signal has one', async t => {
  const address = 0x1234n
  const addressOf = (signo: number, code: number) =>
    headOf(buildCore({ signalInfo: { signo, code, address } }).head).signalInfo?.address
  t.equal(addressOf(11, 1), address, 'SIGSEGV by a fault')
  t.equal(addressOf(7, 2), address, 'SIGBUS by a fault')
  t.equal(addressOf(11, 0x80), undefined, 'SI_KERNEL')
  t.equal(addressOf(11, -6), undefined, 'SIGSEGV by tgkill: pid and uid are in its place')
  t.equal(addressOf(6, 1), undefined, 'SIGABRT')
})

t.test('short descriptors say nothing', async t => {
  const short = buildCore({
    threads: [],
    files: [],
    notes: [{ name: 'CORE', type: 1, desc: Buffer.alloc(20) }],
  })
  t.match(headOf(short.head), { threads: 1, crashingThread: undefined })
})

t.test('mappings end where NT_FILE contradicts itself', async t => {
  const pathsMissing = Buffer.alloc(16 + 24 * 2 + 3, 'a')
  pathsMissing.writeBigUInt64LE(2n, 0)
  const countTooLarge = Buffer.alloc(64)
  countTooLarge.writeBigUInt64LE(0xffff_ffff_ffff_ffffn, 0)
  for (const desc of [pathsMissing, countTooLarge, Buffer.alloc(7)]) {
    const head = headOf(buildCore({ files: [], notes: [{ name: 'CORE', type: 0x46494c45, desc }] }).head)
    t.strictSame([...head.files()], [])
  }
})

t.test('arbitrary bytes never throw, and never ask for more than the bound', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (bytes, magic) => {
      const stream = Buffer.from(bytes)
      if (magic) buildCore().head.copy(stream, 0, 0, 18)
      told(readHead(stream))
    }),
    { numRuns: 2000 },
  )
})

t.test('mutated heads never throw, and say the same however the stream is cut', async () => {
  const { head } = buildCore({ notes: [{ name: 'LINUX', type: 0x202, desc: Buffer.alloc(40) }] })
  const hostile = fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.constantFrom(0n, 2n ** 64n - 1n, 2n ** 63n),
  )
  const mutation = fc.record({
    at: fc.nat(head.length - 9),
    value: hostile,
    width: fc.constantFrom(1, 2, 4, 8),
  })
  fc.assert(
    fc.property(
      fc.array(mutation, { maxLength: 4 }),
      fc.integer({ min: 1, max: 300 }),
      (mutations, stepBytes) => {
        const stream = Buffer.concat([head, Buffer.alloc(300)])
        for (const { at, value, width } of mutations) {
          const little = Buffer.alloc(8)
          little.writeBigUInt64LE(value)
          little.copy(stream, at, 0, width)
        }
        deepStrictEqual(told(readHead(stream, stepBytes)), told(readHead(stream)))
      },
    ),
    { numRuns: 1000 },
  )
})

t.test('any notes are walked to their end', async () => {
  const arbitrary = fc.record({
    name: fc.string({ maxLength: 9, unit: 'binary-ascii' }),
    type: fc.nat(),
    desc: fc.uint8Array({ maxLength: 50 }),
  })
  fc.assert(
    fc.property(fc.array(arbitrary), notes => {
      const head = headOf(buildCore({ threads: [], files: [], notes }).head)
      const [, ...read] = [...head.notes()]
      deepStrictEqual(
        read.map(({ name, type, desc }) => note(name, type, desc)),
        notes.map(({ name, type, desc }) => note(name, type, desc)),
      )
    }),
  )
})
