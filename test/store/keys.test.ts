import * as fc from 'fast-check'
import t from 'tap'
import {
  crashId,
  crashPrefix,
  dayPrefix,
  decodeComponent,
  encodeComponent,
  hourPrefix,
  idPrefix,
  idTime,
  indexKey,
  isCrashId,
  manifestKey,
  parseCrashKey,
  parseDayPrefix,
  parseGroupPrefix,
  parseIndexKey,
  podPrefix,
  type IndexEntry,
} from '../../src/store/keys.ts'

const ID = '20261123T204008Z-2f1c0a9e33d4'
const bytes = (text: string) => new TextEncoder().encode(text)
const id = fc
  .tuple(
    fc.integer({ min: 0, max: 253_402_300_799 }),
    fc.integer({ min: 0, max: 999 }),
    fc.uint8Array({ minLength: 5, maxLength: 5 }),
  )
  .map(([seconds, milliseconds, random]) => crashId(seconds, milliseconds, random))
const name = fc.string({ unit: 'binary', maxLength: 400 })
const entry: fc.Arbitrary<IndexEntry> = fc.record({
  id,
  namespace: name,
  pod: name,
  container: name,
  signal: fc.integer({ min: 0, max: 999 }),
  comm: fc.uint8Array({ maxLength: 300 }),
  outcome: fc.constantFrom('full', 'incomplete', 'record'),
})

t.test('a component keeps names of Kubernetes as they are', async t => {
  t.equal(encodeComponent('cart-7d9f.x2x4p_0'), 'cart-7d9f.x2x4p_0')
  t.equal(crashPrefix({ namespace: 'shop', pod: 'cart-0', id: ID }), `crashes/shop/cart-0/${ID}/`)
  const [namespace, pod] = ['n'.repeat(63), 'p'.repeat(253)]
  t.equal(podPrefix(namespace, pod), `crashes/${namespace}/${pod}/`)
})

t.test('a component escapes everything else, byte by byte', async t => {
  t.equal(encodeComponent('../../x'), '=2E.=2F..=2Fx')
  t.equal(encodeComponent('.'), '=2E')
  t.equal(encodeComponent(''), '=')
  t.equal(encodeComponent('a~b=c\n$(id)é'), 'a=7Eb=3Dc=0A=24=28id=29=C3=A9')
  t.equal(encodeComponent(Uint8Array.of(0xff, 0x00)), '=FF=00')
})

t.test('any bytes come back from a component, which never leaves its place', async t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), value => {
      const text = encodeComponent(value)
      t.match(text, /^[A-Za-z0-9_=.-]+$/)
      t.notOk(text.startsWith('.'))
      t.same(decodeComponent(text), { bytes: value, cut: false })
    }),
  )
})

t.test('a long component is cut before an escape, and says so', async t => {
  t.equal(encodeComponent('abc\n\n', 8), 'abc=0A=-')
  t.equal(encodeComponent('abc\n', 6), 'abc=0A')
  t.same(decodeComponent('abc=0A=-'), { bytes: bytes('abc\n'), cut: true })
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 5, max: 300 }), (value, lengthMax) => {
      const text = encodeComponent(value, lengthMax)
      t.ok(text.length <= lengthMax)
      const decoded = decodeComponent(text)
      t.equal(decoded?.cut, encodeComponent(value).length > lengthMax)
      t.same(decoded?.bytes, value.subarray(0, decoded?.bytes.length))
    }),
  )
})

t.test('a spelling that encoding does not produce is rejected', async t => {
  for (const text of [
    '',
    '.a',
    '=2e',
    '=41',
    'a=2Eb',
    'a=',
    'a=4',
    '=-',
    '=2F=',
    'a/b',
    'a~b',
    'a b',
    'é',
    '==',
  ]) {
    t.equal(decodeComponent(text), undefined, text)
  }
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'aZ0._-=2EF4/~'), maxLength: 12 }), text => {
      const decoded = decodeComponent(text)
      if (decoded !== undefined && !decoded.cut) t.equal(encodeComponent(decoded.bytes), text)
    }),
  )
})

t.test('an id carries its time, sorts by it and is no pod name', async t => {
  const made = crashId(1_795_466_408, 0x2f1, Uint8Array.of(0xc0, 0xa9, 0xe3, 0x3d, 0x4f))
  t.equal(made, '20261123T204008Z-2f1c0a9e33d4')
  t.ok(isCrashId(made))
  t.same(idTime(made), new Date('2026-11-23T20:40:08Z'))
  t.same(idTime('20261123T204008Z'), new Date('2026-11-23T20:40:08Z'))
  t.notOk(isCrashId('20261123T204008Z-2f1'))
  for (const text of [
    '20261123T204008',
    '20260231T000000Z',
    '20261123t204008z',
    'cart-0',
    `${ID}0`,
    `${ID}\n`,
    '',
  ]) {
    t.equal(idTime(text), undefined, text)
  }
  fc.assert(
    fc.property(id, id, (left, right) => {
      t.ok(isCrashId(left))
      if (left.slice(0, 20) < right.slice(0, 20)) t.ok(Number(idTime(left)) <= Number(idTime(right)))
    }),
  )
})

t.test('an index key names a crash so that no read is needed', async t => {
  const one: IndexEntry = {
    id: ID,
    namespace: 'shop',
    pod: 'cart-0',
    container: 'app',
    signal: 11,
    comm: 'a\nb',
    outcome: 'full',
  }
  const key = `index/2026-11-23/20/${ID}~shop~cart-0~app~11~a=0Ab~full`
  t.equal(indexKey(one), key)
  t.same(parseIndexKey(key), { ...one, prefix: `crashes/shop/cart-0/${ID}/` })
})

t.test('any index key is short, is read back, and leads to the crash', async t => {
  fc.assert(
    fc.property(entry, one => {
      const key = indexKey(one)
      t.ok(key.length <= 800)
      t.match(key, /^index\/\d{4}-\d\d-\d\d\/\d\d\/[A-Za-z0-9_=.~-]+$/)
      const read = parseIndexKey(key)
      t.match(read, { id: one.id, signal: one.signal, outcome: one.outcome, prefix: crashPrefix(one) })
    }),
  )
})

t.test('a key that is none of ours is undefined, whatever it is', async t => {
  const key = `index/2026-11-23/20/${ID}~shop~cart-0~app~11~x~full`
  t.ok(parseIndexKey(key))
  const others = [
    key.replace('/20/', '/21/'),
    key.replace('11-23/', '11-24/'),
    key.replace('~11~', '~011~'),
    key.replace('full', 'whole'),
    key.replace('~x', '~'),
    key.replace('app', 'a/b'),
    `${key}~`,
    `x${key}`,
  ]
  for (const other of others) t.equal(parseIndexKey(other), undefined, other)
  for (const other of [
    `crashes/shop/cart-0/x/core.zst`,
    `crashes/shop/${ID}/core.zst`,
    `crashes/a/../${ID}/x`,
    '',
  ]) {
    t.equal(parseCrashKey(other), undefined, other)
  }
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), text => {
      parseIndexKey(text)
      parseIndexKey(`index/2026-11-23/20/${text}`)
      parseCrashKey(`crashes/${text}`)
      parseGroupPrefix(text)
      parseDayPrefix(text)
      idTime(text)
    }),
  )
})

t.test('an object of a crash is known by its key', async t => {
  const prefix = crashPrefix({ namespace: '_host', pod: 'node/1', id: ID })
  t.same(parseCrashKey(manifestKey(prefix)), {
    namespace: '_host',
    pod: 'node/1',
    id: ID,
    prefix,
    object: 'manifest.json',
  })
  t.equal(parseGroupPrefix('crashes/shop/a=2Fb/'), 'a/b')
})

t.test('prefixes follow the time', async t => {
  const time = new Date('2026-11-23T20:40:08Z')
  t.equal(dayPrefix(time), 'index/2026-11-23/')
  t.equal(hourPrefix(time), 'index/2026-11-23/20/')
  t.equal(idPrefix(ID, time), `index/2026-11-23/20/${ID}~`)
  t.equal(idPrefix('20261123T204008Z', time), 'index/2026-11-23/20/20261123T204008Z')
  t.same(parseDayPrefix('index/2026-11-23/'), new Date('2026-11-23T00:00:00Z'))
})
