import fc from 'fast-check'
import t from 'tap'
import { decodeUtf8, printable } from '../src/printable.ts'

t.test('control characters, direction overrides and bytes that are no UTF-8 are spelled out', async t => {
  const cases: [string | Uint8Array, string][] = [
    ['a\nb\tc', 'a\\nb\\tc'],
    ['\x1b[31mred\x9b', '\\x1b[31mred\\x9b'],
    ['user\u202egpj', 'user\\u{202e}gpj'],
    ['back\\slash', 'back\\\\slash'],
    ['Grüße 日本 🦀', 'Grüße 日本 🦀'],
    [Buffer.from('caf\xe9\xff', 'latin1'), 'caf\\xe9\\xff'],
    [Buffer.concat([Buffer.from('é'), Buffer.of(0x80), Buffer.from('\n')]), 'é\\x80\\n'],
    [new Uint8Array(0), ''],
  ]
  for (const [text, expected] of cases) t.equal(printable(text), expected)
})

t.test('whatever comes in, one printable line comes out', async t => {
  const anything = fc.oneof(fc.string({ unit: 'binary' }), fc.uint8Array())
  fc.assert(fc.property(anything, text => !/[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e]/u.test(printable(text))))
  t.pass()
})

t.test('different bytes of the same length never look the same', async t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 6 }), fc.uint8Array({ maxLength: 6 }), (a, b) => {
      return Buffer.from(a).equals(b) || printable(a) !== printable(b)
    }),
  )
  t.pass()
})

t.test('long text is cut, and says so', async t => {
  t.equal(printable('x'.repeat(20), 10), `${'x'.repeat(10)}…`)
  t.ok(printable(Buffer.alloc(5000, 0xff)).length <= 1025)
})

t.test('bytes are text only when they are UTF-8', async t => {
  t.equal(decodeUtf8(Buffer.from('ok')), 'ok')
  t.equal(decodeUtf8(Buffer.of(0xc0, 0x80)), undefined)
})
