// Whatever a process writes into its memory, unwinding ends soon and does not throw.
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import type { Memory } from '../../../src/core/memory.ts'
import { readCie, readFde, sortedIndex } from '../../../src/core/unwind/eh-frame.ts'
import { evaluate } from '../../../src/core/unwind/expression.ts'
import { PageCache } from '../../../src/core/unwind/pages.ts'
import { rulesAt } from '../../../src/core/unwind/rules.ts'
import { type StackTrace, Unwinder } from '../../../src/core/unwind/unwinder.ts'
import { buildImage, IMAGE_BYTES, memoryOf, moduleOf, threadWith } from './build-image.ts'

const IMAGE = 0x7f00_0000_0000
const STACK = 0x7ffd_0000_0000
/** One frame reads a record of 16 KiB at most, its CIE, and a page for each register and step of a search. */
const FRAME_READS_MAX = 400

const bytes = fc.uint8Array({ maxLength: 300 })
const anyWord = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.integer({ min: 0, max: IMAGE_BYTES }).map(at => BigInt(IMAGE + at)),
  fc.integer({ min: -64, max: 4096 }).map(at => BigInt(STACK + at)),
  fc.constantFrom(0n, 2n ** 64n - 1n, 2n ** 63n, 2n ** 53n),
)

/** Words of a stack, or registers, that lead to each other as often as not. */
const wordsOf = (count: number): fc.Arbitrary<Buffer> =>
  fc.array(anyWord, { minLength: count, maxLength: count }).map(values => {
    const stack = Buffer.alloc(count * 8)
    values.forEach((value, index) => stack.writeBigUInt64LE(value, index * 8))
    return stack
  })

function unwind(memory: Memory, registers: BigUint64Array, modules = [moduleOf(IMAGE)]): StackTrace {
  let reads = 0
  const counted: Memory = { read: (address, into) => (reads++, memory.read(address, into)) }
  const trace = new Unwinder({ memory: counted, modules }).unwind({ tid: 1, registers })
  if (trace.frames.length === 0 || trace.frames.length > 64) throw new Error('frames are not bounded')
  if (reads > trace.frames.length * FRAME_READS_MAX) throw new Error(`${reads} reads`)
  return trace
}

function registersFrom(stack: Buffer): BigUint64Array {
  const registers = new BigUint64Array(27)
  for (let index = 0; index < 27; index++) registers[index] = stack.readBigUInt64LE(index * 8)
  return registers
}

t.test('arbitrary bytes as an index, a record, instructions or an expression', async () => {
  fc.assert(
    fc.property(bytes, fc.nat(300), fc.boolean(), (content, pc, isCie) => {
      const record = Buffer.concat([Buffer.alloc(8), content])
      record.writeUInt32LE(4 + content.length)
      record.writeUInt32LE(isCie ? 0 : 4, 4)
      const pages = new PageCache(memoryOf({ 0x1000: record, 0x3000: content }))
      sortedIndex(pages, 0x3000)?.(pc)
      const cieAt = (address: number): ReturnType<typeof readCie> => readCie(pages, address)
      const fde = readFde(pages, 0x1000, cieAt)
      const cie = readCie(pages, 0x1000)
      if (fde) rulesAt(fde, pc)
      if (cie) rulesAt({ cie, start: 0, end: 400, instructions: cie.instructions }, pc)
      evaluate(content, new Float64Array(17).fill(0x3000), pages, pc)
    }),
    { numRuns: 5000 },
  )
})

t.test('arbitrary instructions, augmentations, registers and stacks', async () => {
  const letters = fc.constantFrom('z', 'R', 'L', 'P', 'S', 'B', 'e')
  const spec = fc.record({
    at: fc.constantFrom(0x100, 0x140, 0x180),
    bytes: fc.constantFrom(0x40, 0x7fff_ffff, -1),
    rules: fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 40 }),
    cie: fc.record({
      augmentation: fc.oneof(fc.constant('zR'), fc.string({ unit: letters, maxLength: 6 })),
      rules: fc.oneof(fc.constant([0x0c, 7, 8, 0x90, 1]), fc.array(fc.integer({ min: 0, max: 255 }))),
    }),
  })
  fc.assert(
    fc.property(
      fc.array(spec, { maxLength: 3 }),
      wordsOf(64),
      wordsOf(27),
      fc.boolean(),
      (functions, stack, registers, indexed) => {
        const image = buildImage(functions, { indexed })
        unwind(memoryOf({ [IMAGE]: image, [STACK]: stack }), registersFrom(registers))
      },
    ),
    { numRuns: 2000 },
  )
})

t.test('an image that names itself in every pointer', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(IMAGE_BYTES - 8), anyWord, fc.constantFrom(1, 4, 8)), { maxLength: 12 }),
      wordsOf(64),
      wordsOf(27),
      (mutations, stack, registers) => {
        const image = buildImage([{ at: 0x100, bytes: 0x40, rules: [0x41, 0x0e, 16] }])
        for (const [at, value, width] of mutations) {
          const little = Buffer.alloc(8)
          little.writeBigUInt64LE(value)
          little.copy(image, at, 0, width)
        }
        unwind(memoryOf({ [IMAGE]: image, [STACK]: stack }), registersFrom(registers))
      },
    ),
    { numRuns: 2000 },
  )
})

t.test('signal frames that return to each other', async t => {
  // CFA: rsp - 8; the return address is where it was, so the same is found again and again.
  const image = buildImage([
    { at: 0x100, bytes: 0x40, rules: [0x12, 7, 0, 0x2f, 16, 0], cie: { augmentation: 'zRS' } },
  ])
  const stack = Buffer.alloc(8)
  stack.writeBigUInt64LE(BigInt(IMAGE + 0x110))
  const { registers } = threadWith({ rip: IMAGE + 0x110, rsp: STACK })
  const trace = unwind(memoryOf({ [IMAGE]: image, [STACK]: stack }), registers)
  t.match(trace, { end: 'limit', frames: { length: 64 } })
})

t.test('a record of 4 GiB is not read', async t => {
  const image = buildImage([{ at: 0x100, bytes: 0x40, rules: [] }])
  const fdeAt = 0x2000 + 4 + image.readUInt32LE(0x2000)
  const { registers } = threadWith({ rip: IMAGE + 0x110, rsp: STACK })
  const largest = { read: 0 }
  const memory = memoryOf({ [IMAGE]: image, [STACK]: new Uint8Array(8) })
  const counted: Memory = {
    read(address, into) {
      largest.read = Math.max(largest.read, into.length)
      return memory.read(address, into)
    },
  }
  for (const recordAt of [0x2000, fdeAt]) {
    image.writeUInt32LE(0xffff_fff0, recordAt)
    const trace = new Unwinder({ memory: counted, modules: [moduleOf(IMAGE)] }).unwind({ tid: 1, registers })
    t.equal(trace.end, 'no-unwind-info')
  }
  t.ok(largest.read <= 16 * 1024, `${largest.read} bytes at once`)
})

t.test('records without end, in an image that has to be searched', async t => {
  const start = buildImage([{ at: 0x100, bytes: 0x40, rules: [] }], { indexed: false })
  const endless = 2 ** 40
  for (const field of [64 + 32, 64 + 40]) start.writeBigUInt64LE(BigInt(endless), field)
  // A CIE, again and again from the first one on.
  const cieAt = 0x2000
  const cie = start.subarray(cieAt, cieAt + 4 + start.readUInt32LE(cieAt))
  let reads = 0
  const memory: Memory = {
    read(address, into) {
      reads++
      for (let index = 0; index < into.length; index++) {
        const at = address - IMAGE + index
        into[index] = at < cieAt ? start[at]! : cie[(at - cieAt) % cie.length]!
      }
      return into.length
    },
  }
  const { registers } = threadWith({ rip: IMAGE + 0x110, rsp: STACK })
  new Unwinder({ memory, modules: [moduleOf(IMAGE, '/endless', endless)] }).unwind({ tid: 1, registers })
  t.ok(reads < 1000, `${reads} reads`)
})

interface Part {
  readonly at: number
  readonly bytes: number
}

/** The C library that this process runs with: its file's pages where a loader would put them. */
function loadedLibc(): { readonly image: Buffer; readonly tables: Part; readonly code: Part } | undefined {
  const path = /^.* (\/.*\/libc\.so\.6)$/m.exec(readFileSync('/proc/self/maps', 'utf8'))?.[1]
  if (path === undefined) return undefined
  const file = readFileSync(path)
  const headers = Array.from({ length: file.readUInt16LE(56) }, (_, index) => {
    const at = Number(file.readBigUInt64LE(32)) + index * 56
    const [offset, vaddr, , bytes] = [8, 16, 24, 32].map(field => Number(file.readBigUInt64LE(at + field)))
    const [type, flags] = [file.readUInt32LE(at), file.readUInt32LE(at + 4)]
    return { type, flags, offset: offset!, vaddr: vaddr!, bytes: bytes! }
  })
  const loaded = headers.filter(({ type }) => type === 1)
  const image = Buffer.alloc(Math.max(...loaded.map(({ vaddr, bytes }) => vaddr + bytes)))
  for (const { offset, vaddr, bytes } of loaded) file.copy(image, vaddr, offset, offset + bytes)
  const index = headers.find(({ type }) => type === 0x6474e550)!
  const readOnly = loaded.find(({ vaddr, bytes }) => vaddr <= index.vaddr && index.vaddr < vaddr + bytes)!
  const code = loaded.find(({ flags }) => flags === 5)!
  return {
    image,
    tables: { at: index.vaddr, bytes: readOnly.vaddr + readOnly.bytes - index.vaddr },
    code: { at: code.vaddr, bytes: code.bytes },
  }
}

const libc = loadedLibc()

t.test(
  '3,000 mutations of a real library’s unwind tables',
  { skip: libc === undefined && 'this process has no libc.so.6' },
  async t => {
    const { image, tables, code } = libc!
    const random = pseudoRandom(20_251_124)
    const anyCode = (): number => IMAGE + code.at + random(code.bytes)
    const module = moduleOf(IMAGE, '/usr/lib/libc.so.6', image.length)
    const ends = new Set<string>()
    let frames = 0
    for (let round = 0; round < 3000; round++) {
      const undo: [number, number][] = []
      // One byte in a thousand, or some of the index's header.
      const [area, mutations] = round % 10 === 0 ? [12, 2] : [tables.bytes, tables.bytes / 1000]
      for (let count = 0; count < mutations; count++) {
        const at = tables.at + random(area)
        undo.push([at, image[at]!])
        image[at] = random(256)
      }
      const stack = Buffer.alloc(2048)
      for (let at = 0; at < stack.length; at += 8)
        stack.writeBigUInt64LE(BigInt(random(8) ? anyCode() : STACK + random(2048)), at)
      const registers = registersFrom(stack)
      registers.set(threadWith({ rip: anyCode(), rsp: STACK }).registers.slice(16, 20), 16)
      const trace = unwind(memoryOf({ [IMAGE]: image, [STACK]: stack }), registers, [module])
      ends.add(trace.end)
      frames += trace.frames.length
      for (const [at, byte] of undo.toReversed()) image[at] = byte
    }
    t.ok(frames > 3000 * 2, `${frames} frames: most tables were still of use`)
    t.strictSame([...ends].sort(), ['corrupt', 'no-unwind-info', 'outermost', 'unreadable'])
  },
)

/** The same numbers in each run: xorshift32. */
function pseudoRandom(seed: number): (below: number) => number {
  let state = seed
  return below => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}
