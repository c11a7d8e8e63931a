import t from 'tap'
import { coreChunks } from '../../src/core/core-writer.ts'
import { type Memory, PAGE_BYTES } from '../../src/core/memory.ts'
import { miniBytesMax, OWN_NOTE, PLAN_BYTES_MIN } from '../../src/core/plan.ts'
import { buildCore } from './build-core.ts'
import {
  headOf,
  holds,
  KIB,
  MIB,
  plan,
  scanned,
  scene,
  stackOf,
  TEXT,
  threadNote,
  written,
} from './crash-scene.ts'
import { SparseMemory } from './sparse-memory.ts'

t.test('with room for all nothing is dropped, and the note says so', async t => {
  const crash = scene()
  const planned = plan(crash, 16 * MIB)
  t.match(planned, { isWhole: true, bytesDropped: 0 })
  const core = written(planned, crash.memory)
  t.equal(core.bytes.length, planned.bytes)
  t.equal(core.bytesUnreadable, 0)
  const head = scanned(core.bytes)
  t.equal(head.bytesExpected, planned.bytes)
  t.match(head, { threads: 3, crashingThread: { tid: 1 }, machine: { number: 62 } })
  const own = [...head.notes()].at(-1)!
  t.match(own, OWN_NOTE)
  t.strictSame(JSON.parse(Buffer.from(own.desc).toString()), {
    kind: 'trimmed',
    bytesExpected: crash.head.bytesExpected,
    bytesDropped: 0,
  })
})

t.test('what is written is what the memory holds', async t => {
  const crash = scene()
  crash.memory.words(stackOf(1) + 512 * KIB - 64, 0x1122_3344)
  const { bytes } = written(plan(crash, 300 * KIB), crash.memory)
  const head = scanned(bytes)
  for (let index = 1; index < head.segments; index++) {
    const { vaddr, offset, filesz } = head.programHeader(index)
    const there = Buffer.alloc(filesz)
    crash.memory.read(Number(vaddr), there)
    t.ok(bytes.subarray(offset, offset + filesz).equals(there), `0x${vaddr.toString(16)}`)
    t.equal(offset % PAGE_BYTES, 0)
  }
})

t.test('a core over budget keeps the used stack of every thread', async t => {
  const planned = plan(scene({ usedBytes: 40 * KIB }), 256 * KIB)
  for (let thread = 0; thread < 3; thread++) {
    const end = stackOf(thread) + 512 * KIB
    t.ok(holds(planned, end - 40 * KIB, end), `thread ${thread}`)
  }
  t.ok(planned.bytes <= 256 * KIB)
  t.equal(planned.isWhole, false)
})

t.test('room is divided among stacks, and the one that crashed has the most', async t => {
  const planned = plan(scene({ threads: 10, usedBytes: 512 * KIB }), 320 * KIB)
  const kept = [...planned.mappings()].slice(2).map(({ bytesKept }) => bytesKept)
  t.ok(kept[0]! >= 64 * KIB)
  t.ok(
    kept.slice(1).every(bytes => bytes >= 16 * KIB),
    kept.join(),
  )
})

t.test('more threads than the budget has pages: it holds, and the first ones are kept', async t => {
  const planned = plan(scene({ threads: 100, usedBytes: 64 * KIB }), 256 * KIB)
  t.ok(planned.bytes <= 256 * KIB)
  const kept = [...planned.mappings()].slice(2).map(({ bytesKept }) => bytesKept)
  t.equal(kept[0], 64 * KIB)
  t.ok(kept[1]! >= PAGE_BYTES)
})

t.test('a stack pointer in the guard page belongs to the stack above', async t => {
  const crash = scene({ threads: 2, usedBytes: 512 * KIB + 100 })
  const planned = plan(crash, 200 * KIB)
  t.ok(holds(planned, stackOf(0), stackOf(0) + 64 * KIB))
})

t.test('the stack that a signal interrupted is kept as well', async t => {
  const [altstack, heap] = [0x6000_0000, 0x6100_0000]
  const extra = [
    { vaddr: BigInt(altstack), filesz: 64 * KIB },
    { vaddr: BigInt(heap), filesz: 8 * MIB },
  ]
  const base = scene({ threads: 2, extra })
  const crash = {
    memory: base.memory,
    head: scanned(
      buildCore({
        threads: [],
        notes: [threadNote(1, { rsp: altstack + 60 * KIB })],
        segments: [{ vaddr: BigInt(stackOf(0)), filesz: 512 * KIB }, ...extra],
      }).head,
    ),
  }
  const sp = stackOf(0) + 512 * KIB - 20 * KIB
  t.notOk(holds(plan(crash, 96 * KIB), sp, sp + 20 * KIB), 'there is no frame yet')
  crash.memory.words(altstack + 61 * KIB, sp, TEXT, 0x246, 0x002b_0000_0000_0033n)
  t.ok(holds(plan(crash, 96 * KIB), sp, sp + 20 * KIB))
})

t.test('the page at the instruction pointer is kept, of a file too', async t => {
  const planned = plan(scene(), 256 * KIB)
  t.ok(holds(planned, Number(TEXT) + 0x5000, Number(TEXT) + 0x6000))
  t.notOk(holds(planned, Number(TEXT) + 0x6000, Number(TEXT) + 0x7000))
})

t.test('memory that the kernel would not dump is not kept, wherever registers and stacks point', async t => {
  const [secret, hidden, end] = [0x6000_0000, 0x6100_0000, 64 * KIB]
  const segments = [
    { vaddr: BigInt(secret), filesz: 0, memsz: BigInt(end) }, // MADV_DONTDUMP
    { vaddr: BigInt(hidden), filesz: PAGE_BYTES, memsz: BigInt(end) },
    { vaddr: BigInt(stackOf(0)), filesz: 512 * KIB },
  ]
  const notes = [
    threadNote(1, { rsp: stackOf(0), rip: secret + 5000, fsBase: hidden + 5000, rax: secret }),
    threadNote(2, { rsp: secret + 100 }),
    threadNote(3, { rsp: hidden + 8192 }),
  ]
  const memory = new SparseMemory().map(stackOf(0), stackOf(0) + 512 * KIB)
  memory.map(secret, secret + end).map(hidden, hidden + end)
  memory.words(stackOf(0), secret + 0x3000, hidden + 0x3000)
  const planned = plan({ head: headOf({ threads: [], files: [], notes, segments }), memory }, 16 * MIB)
  t.strictSame(
    planned.runs.map(({ start, bytes }) => [start, bytes]),
    [
      [hidden, PAGE_BYTES],
      [stackOf(0), 512 * KIB],
    ],
  )
})

t.test('dropped memory is not announced, but for text, which is in the file', async t => {
  const crash = scene({ threads: 4, usedBytes: 512 * KIB })
  const planned = plan(crash, 200 * KIB)
  const announced = planned.runs.filter(({ bytes, memoryBytes }) => bytes < memoryBytes)
  t.strictSame(announced, [
    // As the kernel writes it: the first page, then nothing. And from the page at rip on.
    { start: Number(TEXT), bytes: PAGE_BYTES, memoryBytes: 0x5000, flags: 5 },
    { start: Number(TEXT) + 0x5000, bytes: PAGE_BYTES, memoryBytes: 0x1_b000, flags: 5 },
  ])
  t.ok(planned.bytesDropped > 0)
})

t.test('what is dropped is told for each mapping', async t => {
  const planned = plan(scene({ threads: 4, usedBytes: 512 * KIB }), 200 * KIB)
  const mappings = [...planned.mappings()]
  t.equal(mappings.length, 6)
  t.match(mappings[0], {
    start: Number(TEXT),
    end: Number(TEXT) + 0x2_0000,
    bytesDumped: 4096,
    bytesKept: 8192,
    path: Buffer.from('/bin/crashed'),
  })
  const sum = mappings.reduce((sum, each) => sum + Math.max(0, each.bytesDumped - each.bytesKept), 0)
  t.equal(planned.bytesDropped, sum)
  t.equal(mappings[2]!.path, undefined)
})

t.test('segments by size, as kernel.core_sort_vma writes them, are written by address', async t => {
  const crash = scene({ extra: [{ vaddr: 0x10_0000n, filesz: PAGE_BYTES }] })
  const planned = plan(crash, 16 * MIB)
  const starts = planned.runs.map(({ start }) => start)
  t.strictSame(
    starts,
    [...starts].sort((one, other) => one - other),
  )
  t.equal(starts[0], 0x10_0000)
  t.equal(planned.isWhole, true)
})

t.test('pages that cannot be read are zeros, and counted', async t => {
  const crash = scene()
  const planned = plan(crash, 16 * MIB)
  const { bytes, bytesUnreadable } = written(planned, {
    read: (address, into) => (address >= stackOf(1) ? 0 : crash.memory.read(address, into)),
  })
  t.equal(bytesUnreadable, 2 * 512 * KIB)
  t.equal(bytes.length, planned.bytes)
  const { offset, filesz } = scanned(bytes).programHeader(scanned(bytes).segments - 1)
  t.ok(bytes.subarray(offset, offset + filesz).equals(Buffer.alloc(filesz)))
})

t.test('a mini core has 1 MiB, and more with more threads, to a limit', async t => {
  const limits = { bytesMax: MIB, bytesLimit: 32 * MIB }
  t.equal(miniBytesMax(1, 8 * KIB, limits), MIB)
  t.equal(miniBytesMax(100, 300 * KIB, limits), 512 * KIB + 300 * KIB + 100 * 16 * KIB)
  t.equal(miniBytesMax(2001, 5 * MIB, limits), 32 * MIB)
})

t.test('a budget of nothing is one of the smallest core', async t => {
  for (const bytesMax of [0, -1, 100]) t.ok(plan(scene(), bytesMax).bytes <= PLAN_BYTES_MIN)
})

t.test('70,000 mappings: more program headers than e_phnum counts are written and read again', async t => {
  const segments = Array.from({ length: 70_000 }, (_, index) => ({
    vaddr: BigInt(index) << 13n,
    filesz: PAGE_BYTES,
  }))
  const head = headOf({ segments, files: [] })
  const memory: Memory = { read: (_, into) => into.length }
  const mini = plan({ head, memory }, MIB)
  t.ok(mini.bytes <= MIB && mini.bytes > MIB - 2 * PAGE_BYTES, `${mini.bytes} bytes`)
  const planned = plan({ head, memory }, 512 * MIB)
  t.match(planned, { isWhole: true })
  let [bytes, first, last] = [0, Buffer.alloc(0), Buffer.alloc(0)]
  for (const chunk of coreChunks(planned, memory)) {
    bytes += chunk.length
    if (first.length < 8 * MIB) first = Buffer.concat([first, chunk])
    last = Buffer.from(chunk)
  }
  t.equal(bytes, planned.bytes)
  const again = scanned(first)
  t.match(again, { segments: 70_001, bytesExpected: planned.bytes })
  t.equal(last.readUInt32LE(last.length - 64 + 44), 70_001)
})

t.test('70,000 mappings of files fit into a mini core too', async t => {
  const count = 70_000
  const segments = Array.from({ length: count }, (_, index) => ({
    vaddr: BigInt(index) << 13n,
    filesz: 0,
    memsz: BigInt(PAGE_BYTES),
    flags: 4,
  }))
  const files = segments.map(({ vaddr }) => ({
    start: vaddr,
    end: vaddr + BigInt(PAGE_BYTES),
    pageOffset: 0n,
    path: 'f',
  }))
  const started = performance.now()
  const planned = plan({ head: headOf({ segments, files }), memory: new SparseMemory() }, MIB)
  t.ok(planned.bytes <= MIB)
  t.ok(performance.now() - started < 5000)
})
