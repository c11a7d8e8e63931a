import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { formatRate, formatSize, parseQuantity, parseRate, parseSize } from '../src/units.ts'

t.test('sizes are numbers with binary or decimal units', async t => {
  t.equal(parseSize('4096'), 4096)
  t.equal(parseSize('32GiB'), 32 * 2 ** 30)
  t.equal(parseSize('512 MiB'), 512 * 2 ** 20)
  t.equal(parseSize('3GB'), 3e9)
  t.equal(parseSize('1TiB'), 2 ** 40)
  t.equal(parseSize('7B'), 7)
})

t.test('what leaves a doubt is no size', async t => {
  for (const text of [
    '32G',
    '32Gi',
    '32gib',
    '1.5GiB',
    '-1',
    '',
    'GiB',
    '1  MiB',
    ' 1',
    '9007199254740992',
    '9999999TiB',
  ]) {
    t.equal(parseSize(text), undefined, text)
  }
})

t.test('sizes are written in the largest unit that loses nothing', async t => {
  t.equal(formatSize(32 * 2 ** 30), '32GiB')
  t.equal(formatSize(1536), '1536')
  t.equal(formatSize(3 * 2 ** 19), '1536KiB')
  t.equal(formatSize(0), '0')
})

t.test('a size that is written reads as the same', async () => {
  fc.assert(fc.property(fc.maxSafeNat(), bytes => deepStrictEqual(parseSize(formatSize(bytes)), bytes)))
  fc.assert(
    fc.property(fc.nat(8000), count =>
      deepStrictEqual(parseSize(formatSize(count * 2 ** 30)), count * 2 ** 30),
    ),
  )
})

t.test("quantities are sizes, and Kubernetes' own", async t => {
  t.equal(parseQuantity('512Mi'), 512 * 2 ** 20)
  t.equal(parseQuantity('1G'), 1e9)
  t.equal(parseQuantity('64k'), 64_000)
  t.equal(parseQuantity('2GiB'), 2 ** 31)
  t.equal(parseQuantity('4096'), 4096)
  for (const text of ['1.5Gi', '1e3', '100m', '64K', 'Mi', '-1', '', ' 1', '1Gi ', '1kB', '9999999Ti'])
    t.equal(parseQuantity(text), undefined, text)
})

t.test('a rate is a number of cores in a named time, and never none', async t => {
  t.strictSame(parseRate('5/hour'), { cores: 5, seconds: 3600 })
  for (const text of ['1/minute', '12/hour', '999999/day']) t.equal(formatRate(parseRate(text)!), text)
  t.equal(formatRate({ cores: 2, seconds: 90 }), '2/90 s')
  for (const text of ['0/hour', '5', '5/h', '1.5/hour', '5 / hour', '1000000/day', '-1/day'])
    t.equal(parseRate(text), undefined, text)
})
