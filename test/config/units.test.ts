import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { formatSize, parseSize } from '../../src/config/units.ts'

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
