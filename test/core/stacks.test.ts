import fc from 'fast-check'
import t from 'tap'
import { PAGE_BYTES } from '../../src/core/memory.ts'
import type { Segment } from '../../src/core/segments.ts'
import { interrupted, type Stack, stackAt, stackLevel } from '../../src/core/stacks.ts'
import { SparseMemory } from './sparse-memory.ts'

const segment = (start: number, end: number): Segment => ({
  start,
  dumpedEnd: end,
  end,
  flags: 6,
  path: undefined,
})
const used = (...pages: readonly number[]): Stack[] =>
  pages.map(count => ({ start: 0, end: count * PAGE_BYTES }))

t.test('a stack is in use from its pointer to the end of its mapping', async t => {
  const dumped = [segment(0x1_0000, 0x2_0000), segment(0x3_0000, 0x4_0000)]
  t.strictSame(stackAt(dumped, 0x1_8100, 128), { start: 0x1_8000, end: 0x2_0000 })
  t.strictSame(stackAt(dumped, 0x1_8010, 128), { start: 0x1_7000, end: 0x2_0000 }, 'with its red zone')
  t.strictSame(
    stackAt(dumped, 0x1_0010, 128),
    { start: 0x1_0000, end: 0x2_0000 },
    'no lower than its mapping',
  )
  t.strictSame(stackAt(dumped, 0x2_f000, 128), { start: 0x3_0000, end: 0x4_0000 }, 'overflowed')
  t.equal(stackAt(dumped, 0x4_0000, 128), undefined)
})

t.test('room is divided evenly, and what small stacks leave goes to the others', async t => {
  t.equal(stackLevel(used(4, 4, 4), 12 * PAGE_BYTES), Infinity)
  t.equal(stackLevel(used(4, 4, 4), 9 * PAGE_BYTES), 3 * PAGE_BYTES)
  t.equal(stackLevel(used(1, 10, 10), 13 * PAGE_BYTES), 6 * PAGE_BYTES)
  t.equal(stackLevel(used(10, 10), PAGE_BYTES), 0)
  t.equal(stackLevel([], 0), Infinity)
})

t.test('the level is the largest that fits', async () => {
  fc.assert(
    fc.property(fc.array(fc.nat(40), { minLength: 1 }), fc.nat(400), (pages, room) => {
      const cost = (level: number): number =>
        used(...pages).reduce((sum, { end }) => sum + Math.min(end, level), 0)
      const bytesMax = room * PAGE_BYTES
      const level = stackLevel(used(...pages), bytesMax)
      if (cost(level) > bytesMax) throw new Error(`${level} is too large`)
      if (level !== Infinity && cost(level + PAGE_BYTES) <= bytesMax) throw new Error(`${level} is too small`)
    }),
  )
})

t.test('signal frames are followed from stack to stack, so many at most, and never in a circle', async t => {
  const stacks = [0x1_0000, 0x2_0000, 0x3_0000]
  const dumped = stacks.map(start => segment(start, start + PAGE_BYTES))
  const memory = new SparseMemory()
  for (const [index, start] of stacks.entries()) {
    memory.map(start, start + PAGE_BYTES)
    const sp = stacks[(index + 1) % 3]! + 0x200
    memory.words(start + 0x100, sp, 0x40_0000, 0x246, 0x002b_0000_0000_0033n)
  }
  const follow = (framesMax: number): number[] =>
    [...interrupted(memory, dumped, dumped[0]!, { window: new Uint8Array(4096), framesMax })].map(
      ({ sp }) => sp,
    )
  t.strictSame(follow(8), [0x2_0200, 0x3_0200, 0x1_0200])
  t.strictSame(follow(2), [0x2_0200, 0x3_0200])
})
