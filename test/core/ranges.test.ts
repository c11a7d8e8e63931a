import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { RangeSet } from '../../src/core/ranges.ts'
import type { Range } from '../../src/core/ranges.ts'

const all = (set: RangeSet): Range[] => [...set.within(0, Infinity)]

t.test('ranges that overlap or touch become one', async t => {
  const set = new RangeSet()
  set.add(10, 20)
  set.add(30, 40)
  set.add(50, 60)
  t.strictSame(all(set), [
    { start: 10, end: 20 },
    { start: 30, end: 40 },
    { start: 50, end: 60 },
  ])
  set.add(20, 35)
  t.strictSame(all(set), [
    { start: 10, end: 40 },
    { start: 50, end: 60 },
  ])
  t.strictSame(set.gaps(0, 55), [
    { start: 0, end: 10 },
    { start: 40, end: 50 },
  ])
  t.strictSame(
    [...set.within(15, 52)],
    [
      { start: 15, end: 40 },
      { start: 50, end: 52 },
    ],
  )
})

t.test('an empty range is none', async t => {
  const set = new RangeSet()
  set.add(5, 5)
  set.add(9, 3)
  t.strictSame(all(set), [])
  t.strictSame(set.gaps(5, 5), [])
})

t.test('it holds what a set of numbers would', async () => {
  const range = fc.tuple(fc.nat(80), fc.nat(12)).map(([start, size]) => ({ start, end: start + size }))
  fc.assert(
    fc.property(fc.array(range, { maxLength: 40 }), range, (added, asked) => {
      const [set, numbers] = [new RangeSet(), new Set<number>()]
      for (const { start, end } of added) {
        set.add(start, end)
        for (let number = start; number < end; number++) numbers.add(number)
      }
      const within = Array.from({ length: asked.end - asked.start }, (_, index) => asked.start + index)
      const expand = (ranges: Iterable<Range>): number[] =>
        [...ranges].flatMap(({ start, end }) =>
          Array.from({ length: end - start }, (_, index) => start + index),
        )
      deepStrictEqual(
        expand(all(set)),
        [...numbers].sort((one, other) => one - other),
      )
      deepStrictEqual(
        expand(set.within(asked.start, asked.end)),
        within.filter(number => numbers.has(number)),
      )
      deepStrictEqual(
        expand(set.gaps(asked.start, asked.end)),
        within.filter(number => !numbers.has(number)),
      )
      deepStrictEqual(set.has(asked.start), numbers.has(asked.start))
      const ends = all(set)
      deepStrictEqual(
        ends.filter(({ start }, index) => index > 0 && ends[index - 1]!.end >= start),
        [],
      )
    }),
    { numRuns: 1000 },
  )
})

t.test('50,000 ranges in any order are added in well under a second, and merged into one', async t => {
  const set = new RangeSet()
  const started = performance.now()
  // A multiplier without a factor of 50,000 visits each once.
  for (let index = 0; index < 50_000; index++) {
    const at = ((index * 7919) % 50_000) * 2
    set.add(at, at + 1)
  }
  t.equal(all(set).length, 50_000)
  for (let index = 0; index < 50_000; index++) {
    const at = ((index * 7919) % 50_000) * 2
    set.add(at + 1, at + 2)
  }
  t.strictSame(all(set), [{ start: 0, end: 100_000 }])
  t.ok(performance.now() - started < 3000)
})
