import { ok } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { decodeLedger, encodeLedger } from '../../src/budget/ledger-codec.ts'
import { FILE_BYTES_MAX } from '../../src/budget/ledger-file.ts'
import {
  accountKey,
  emptyLedger,
  OTHER_NAMESPACES,
  prune,
  secondsUntil,
  tally,
} from '../../src/budget/ledger.ts'
import type { AccountKind, Ledger, Meter } from '../../src/budget/ledger.ts'

const START = 1_800_000_000_000
const DAY = { amount: 10, seconds: 86_400 }

/** One crash used something of an account. */
function use(ledger: Ledger, kind: AccountKind, names: string[], meters: Meter[] = ['full']): string {
  const key = accountKey(kind, names)
  const cut = names.map(name => name.slice(0, 64))
  ledger.accounts.delete(key)
  const buckets = new Map(meters.map(meter => [meter, { used: 1, at: START, limit: DAY }]))
  ledger.accounts.set(key, { kind, names: cut, buckets })
  prune(ledger, START)
  return key
}
const counted = (ledger: Ledger, namespace: string, at = START) =>
  tally(ledger, { namespace, rung: 'mini', reason: 'rate', at }, [namespace, 'pod', 'app'])

t.test('a pod under ten thousand names pushes out its own, and nobody else', async t => {
  const ledger = emptyLedger(START)
  const others = [
    use(ledger, 'node', []),
    use(ledger, 'namespace', ['bank']),
    use(ledger, 'workload', ['bank', 'ledger-1', 'app']),
    use(ledger, 'workload', ['shop', 'cart-1', 'app']),
    use(ledger, 'signature', ['bank', 'app', 'SIGSEGV x']),
    use(ledger, 'signature', ['shop', 'app', 'SIGSEGV x']),
  ]
  for (let crash = 0; crash < 10_000; crash++) {
    use(ledger, 'workload', ['shop', 'hostile-1', `container ${crash}`])
    use(ledger, 'signature', ['shop', 'hostile', `\u0000\u202e${crash}`])
  }
  for (const key of others) t.ok(ledger.accounts.has(key))
  t.equal(ledger.accounts.size, 1 + 1 + 512 + 512)
  t.ok(encodeLedger(ledger).length < 256 * 1024)
})

t.test('of ten thousand namespaces the last ones are remembered, and every crash is counted', async t => {
  const ledger = emptyLedger(START)
  for (let crash = 0; crash < 10_000; crash++) {
    counted(ledger, `namespace ${crash}`, START + crash)
    use(ledger, 'namespace', [`namespace ${crash}`])
  }
  t.equal(ledger.accounts.size, 128)
  t.ok(ledger.accounts.has(accountKey('namespace', ['namespace 9999'])))
  const tallies = [...ledger.tallies.values()]
  t.ok(tallies.length <= 257)
  t.equal(
    tallies.reduce((sum, { count }) => sum + count, 0),
    10_000,
  )
  t.ok(tallies.some(({ namespace, count }) => namespace === OTHER_NAMESPACES && count > 9000))
  t.equal(ledger.recent.length, 16)
  t.strictSame(ledger.recent.at(-1)!.names[0], 'namespace 9999')
})

t.test('a full core is counted, but is no refusal', async t => {
  const ledger = emptyLedger(START)
  tally(ledger, { namespace: 'shop', rung: 'full', at: START }, ['shop', 'cart', 'app'])
  t.match([...ledger.tallies.values()], [{ namespace: 'shop', rung: 'full', count: 1 }])
  t.strictSame(ledger.recent, [])
})

t.test('what is refilled is forgotten, with its name', async t => {
  const ledger = emptyLedger(START)
  use(ledger, 'workload', ['shop', 'cart', 'app'])
  prune(ledger, START + 8_639_000)
  t.equal(ledger.accounts.size, 1)
  prune(ledger, START + 8_640_000)
  t.equal(ledger.accounts.size, 0)
})

t.test('rules that come and go leave a bounded number of buckets', async t => {
  const ledger = emptyLedger(START)
  const rules = Array.from({ length: 100 }, (_, rule): Meter => `rule-${rule}`)
  const key = use(ledger, 'workload', ['shop', 'cart', 'app'], rules)
  t.strictSame([...ledger.accounts.get(key)!.buckets.keys()], rules.slice(-8))
})

t.test('the next is due when it is refilled, or never', async t => {
  const hour = { amount: 5, seconds: 3600 }
  t.equal(secondsUntil(1, 4, hour), 0)
  t.equal(secondsUntil(1, 4.0000001, hour), 0)
  t.equal(secondsUntil(1, 5, hour), 720)
  t.equal(secondsUntil(6, 0, hour), Infinity)
  t.equal(secondsUntil(1, 0, { amount: 0, seconds: 3600 }), Infinity)
})

t.test('the most, longest and most hostile names fit into the file', async t => {
  const ledger = emptyLedger(START)
  const name = (number: number) => `${number}`.padStart(64, '\u0001')
  const meters: Meter[] = ['full', 'mini', 'bytes-hour', 'bytes-day', 'rule-1', 'rule-2', 'rule-3', 'rule-4']
  for (let number = 0; number < 700; number++) {
    use(ledger, 'namespace', [name(number)], meters)
    use(ledger, 'workload', [name(number), name(number), name(number)], meters)
    use(ledger, 'signature', [name(number), name(number), name(number)], meters)
    counted(ledger, name(number))
  }
  prune(ledger, START)
  for (const account of ledger.accounts.values())
    for (const meter of account.buckets.keys())
      account.buckets.set(meter, {
        used: 123_456_789_012.125,
        at: START,
        limit: { amount: 2 ** 50, seconds: 86_400 },
      })
  const text = encodeLedger(ledger)
  t.ok(Buffer.byteLength(text) < FILE_BYTES_MAX)
  t.strictSame(decodeLedger(text), ledger)
})

t.test('whatever was counted is read back as it was', async () => {
  const names = fc.array(fc.string({ unit: 'binary', maxLength: 100 }), { minLength: 3, maxLength: 3 })
  const crash = fc.record({
    names,
    kind: fc.constantFrom<AccountKind>('workload', 'signature'),
    meters: fc.uniqueArray(fc.constantFrom<Meter>('full', 'mini', 'bytes-hour', 'rule-7')),
  })
  fc.assert(
    fc.property(fc.array(crash), crashes => {
      const ledger = emptyLedger(START)
      for (const { names, kind, meters } of crashes) {
        tally(ledger, { namespace: names[0]!, rung: 'record', reason: 'rate', at: START }, names)
        use(ledger, kind, names, meters)
      }
      const read = decodeLedger(encodeLedger(ledger))
      // Lone surrogates included: JSON escapes them.
      ok(read !== undefined && encodeLedger(read) === encodeLedger(ledger))
    }),
  )
})

t.test('whatever a file holds, it is a ledger or it is none', async () => {
  const good = emptyLedger(START)
  counted(good, 'shop')
  use(good, 'workload', ['shop', 'cart', 'app'])
  const text = encodeLedger(good)
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.string({ maxLength: 3 }), fc.nat(3), (at, put, cut) => {
      const read = decodeLedger(text.slice(0, at) + put + text.slice(at + cut))
      if (read === undefined) return
      prune(read, START)
      ok(decodeLedger(encodeLedger(read)) !== undefined)
    }),
    { numRuns: 3000 },
  )
})
