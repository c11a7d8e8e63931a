import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import type { Memory } from '../../../src/core/memory.ts'
import { PageCache } from '../../../src/core/unwind/pages.ts'
import { memoryOf, words } from './build-image.ts'

const content = Buffer.from(Array.from({ length: 3 * 4096 }, (_, index) => (index * 7 + (index >> 8)) & 0xff))
const START = 0x7fff_ffff_0000

t.test('what is read through the cache is what is in memory', async () => {
  const far = START + 2 ** 30
  const memory = memoryOf({ [START]: content, [far]: content.subarray(0, 100) })
  const pages = new PageCache(memory)
  fc.assert(
    fc.property(
      fc.integer({ min: -20, max: 3 * 4096 + 20 }),
      fc.nat(6000),
      fc.boolean(),
      (at, length, near) => {
        const [address, cached, direct] = [
          (near ? START : far) + at,
          Buffer.alloc(length),
          Buffer.alloc(length),
        ]
        deepStrictEqual(pages.read(address, cached), memory.read(address, direct))
        deepStrictEqual(cached, direct)
        const whole = length === memory.read(address, direct)
        deepStrictEqual(pages.bytes(address, length), whole ? new Uint8Array(direct) : undefined)
      },
    ),
    { numRuns: 1000 },
  )
})

t.test('numbers may span pages', async t => {
  const numbers = Buffer.alloc(3 * 4096)
  const pages = new PageCache(memoryOf({ [START]: numbers }))
  const places = [0, 4090, 8187]
  for (const at of places) numbers.writeBigUInt64LE(0x1f_1122_3344_5566n, at)
  for (const at of places) {
    t.equal(pages.u8(START + at), 0x66)
    t.equal(pages.u32(START + at), 0x3344_5566)
    t.equal(pages.u64(START + at), 0x1f_1122_3344_5566)
  }
})

t.test('what cannot be read is not a number', async t => {
  const { read } = memoryOf({ [START]: content })
  const pages = new PageCache({
    read(address, into) {
      if (!Number.isSafeInteger(address) || address < 0) throw new Error('no address')
      return read(address, into)
    },
  })
  for (const at of [START - 1, START + 3 * 4096, -1, 2 ** 53, Number.NaN, Infinity]) {
    t.ok(Number.isNaN(pages.u8(at)))
    t.ok(Number.isNaN(pages.u32(at)))
    t.ok(Number.isNaN(pages.u64(at)))
    t.equal(pages.read(at, new Uint8Array(5000)), 0)
  }
  t.ok(Number.isNaN(pages.u64(START + 3 * 4096 - 4)), 'nor what can be read in part')
})

t.test(
  'a page is read once, and the stacks of many threads do not drive out each other’s tables',
  async t => {
    let reads = 0
    const memory: Memory = { read: (_, into) => (reads++, into.length) }
    const pages = new PageCache(memory)
    for (let round = 0; round < 10; round++)
      for (let page = 0; page < 32; page++) pages.u64(START + page * 8 * 2 ** 20)
    t.ok(reads < 64, `${reads} reads of 32 pages, 8 MiB apart`)
  },
)

t.test('reading more than a page drives out nothing', async t => {
  let reads = 0
  const memory = memoryOf({ 0x1000: words(1, 2, 3), 0x10_0000: new Uint8Array(8 * 2 ** 20) })
  const pages = new PageCache({ read: (at, into) => (reads++, memory.read(at, into)) })
  pages.u64(0x1000)
  pages.read(0x10_0000, new Uint8Array(8 * 2 ** 20))
  t.equal(pages.u64(0x1008), 2)
  t.equal(reads, 2)
})
