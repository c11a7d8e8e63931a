import { ok } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import type { Standing } from '../../src/budget/ladder.ts'
import { emptyLedger, prune, usedAt } from '../../src/budget/ledger.ts'
import type { Ledger } from '../../src/budget/ledger.ts'
import { draw, giveBack, rationsOf, unused } from '../../src/budget/rations.ts'
import type { Drawing, RationedCrash } from '../../src/budget/rations.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { Config } from '../../src/config/table.ts'
import type { Place } from '../../src/crash.ts'
import { GIB, KIB, MIB } from '../../src/units.ts'

const START = 1_800_000_000_000
const defaults = loadConfig({ searched: [], env: {} }).config
const cart: Place = { namespace: 'shop', pod: 'cart-1', container: 'app' }
const top: Standing = { rung: 'full', coreBytesMax: Infinity, miniBytesMax: 32 * MIB }
const everyHour = (cores: number) => ({ cores, seconds: 3600 })

interface Options extends Partial<RationedCrash> {
  readonly bytes?: number
  readonly standing?: Standing
}

/** A node whose crashes are decided by its ledger alone, at seconds from the start. */
function node(budget: Partial<Config['budget']> = {}) {
  const ledger = emptyLedger(START)
  const config = { ...defaults, budget: { ...defaults.budget, ...budget } }
  const crash = (second: number, { bytes = KIB, standing = top, ...more }: Options = {}): Drawing => {
    const now = START + second * 1000
    const rations = rationsOf({ place: cart, signature: undefined, policy: { from: {} }, config, ...more })
    const drawn = draw(ledger, rations, standing, bytes, now)
    prune(ledger, now)
    return drawn
  }
  return { ledger, crash, rung: (second: number, more?: Options) => crash(second, more).standing.rung }
}
/** Seconds of a loop that crashes once a second at which it got a rung. */
function secondsOf(rung: string, until: number, at: (second: number) => string): number[] {
  return Array.from({ length: until + 1 }, (_, second) => second).filter(second => at(second) === rung)
}

t.test('a crash loop has its first cores, then the newest as each comes due', async t => {
  const { rung } = node({ workloadFull: everyHour(5) })
  t.strictSame(
    secondsOf('full', 3600, second => rung(second)),
    [0, 1, 2, 3, 4, 720, 1440, 2160, 2880, 3600],
  )
})

t.test('what is over a rate says which, and when the next is due', async t => {
  const { crash } = node({ workloadFull: everyHour(1), workloadMini: everyHour(1) })
  t.match(crash(0), { standing: { rung: 'full' } })
  t.match(crash(600).standing, {
    rung: 'mini',
    reason: 'rate',
    text: 'over budget.workload_full = 1/hour; the next core of this container is due in 3000 s',
  })
  t.match(crash(601).standing, {
    rung: 'record',
    reason: 'rate',
    text: 'over budget.workload_mini = 1/hour; the next mini core of this container is due in 3599 s',
  })
})

t.test('the rate of a rule takes the place of the budget’s, each rule for itself', async t => {
  const { crash } = node({ workloadFull: everyHour(1) })
  const policy = { rate: everyHour(2), rule: 1, from: { rate: 'policy.rules[1].rate' } }
  for (let count = 0; count < 2; count++) t.equal(crash(0, { policy }).standing.rung, 'full')
  t.match(crash(0, { policy }).standing, {
    rung: 'mini',
    reason: 'rate',
    text: /^over policy\.rules\[1\]\.rate = 2\/hour/,
  })
  t.equal(crash(0, { policy: { ...policy, rule: 2 } }).standing.rung, 'full')
  t.equal(crash(0).standing.rung, 'full', 'and what no rule matches has the budget’s')
})

t.test('the same crash is kept whole a few times, then as mini cores, then as records', async t => {
  const { crash } = node({ signatureFull: everyHour(2), signatureMini: everyHour(2) })
  const signature = 'SIGSEGV cart+0x1'
  const of = (pod: string, more: Options = { signature }) =>
    crash(0, { place: { ...cart, pod }, ...more }).standing
  t.match(
    ['a', 'b', 'c', 'd', 'e'].map(pod => of(pod).rung),
    ['full', 'full', 'mini', 'mini', 'record'],
  )
  t.match(of('f'), {
    reason: 'signature',
    text: /^over budget\.signature_mini = 2\/hour; .* of this crash is due/,
  })
  t.match(of('a', { signature: 'SIGSEGV cart+0x2' }), { rung: 'full' }, 'another crash of the same container')
  t.match(of('a', {}), { rung: 'full' }, 'one of which no frame is known')
  const elsewhere = { ...cart, namespace: 'bank' }
  t.match(crash(0, { place: elsewhere, signature }).standing, { rung: 'full' })
})

t.test('a container that crashes ever differently is still bound by its rates', async t => {
  const { rung } = node()
  const rungs = Array.from({ length: 600 }, (_, crash) => rung(crash / 20, { signature: `random ${crash}` }))
  const counts = ['full', 'mini', 'record'].map(rung => rungs.filter(found => found === rung).length)
  t.strictSame(counts, [10, 60, 530])
})

t.test('a core over the bytes that are left is trimmed to them, then it is a mini core', async t => {
  const { crash } = node({ namespaceBytesPerHour: 200 * MIB })
  const pods = (pod: string, bytes: number) => crash(0, { place: { ...cart, pod }, bytes }).standing
  t.equal(pods('a', 90 * MIB).rung, 'full')
  t.match(pods('a', 90 * MIB), {
    rung: 'mini',
    reason: 'bytes',
    text: /over the 10485760 left of a container's half of budget\.namespace_bytes_per_hour = 200MiB/,
  })
  t.equal(pods('b', 80 * MIB).rung, 'full')
  t.match(pods('c', 90 * MIB), {
    rung: 'trimmed',
    coreBytesMax: 30 * MIB,
    reason: 'bytes',
    text: `a core of ${90 * MIB} bytes is over the ${30 * MIB} left of budget.namespace_bytes_per_hour = 200MiB`,
  })
  t.match(pods('c', KIB), { rung: 'mini', reason: 'bytes' })
  t.equal(crash(0, { place: { ...cart, namespace: 'bank' }, bytes: 90 * MIB }).standing.rung, 'full')
  t.match(
    crash(360, { bytes: 90 * MIB }).standing,
    { rung: 'trimmed', coreBytesMax: 20 * MIB },
    'as it is refilled',
  )
})

t.test('one container in a loop leaves its namespace and the node half of their bytes', async t => {
  const { crash } = node({
    namespaceBytesPerHour: 64 * GIB,
    nodeBytesPerHour: 40 * GIB,
    workloadFull: everyHour(1000),
    workloadMini: everyHour(1000),
  })
  for (let count = 0; count < 100; count++) crash(0, { bytes: 8 * GIB })
  t.match(
    crash(0, { bytes: 8 * GIB }).standing.text,
    /a container's half of budget\.node_bytes_per_hour = 40GiB/,
  )
  t.match(crash(0, { place: { ...cart, pod: 'other' }, bytes: 16 * GIB }).standing, { rung: 'full' })
})

t.test('a day has its own bytes', async t => {
  const { crash } = node({
    namespaceBytesPerDay: 2 * GIB,
    nodeBytesPerDay: 4 * GIB,
    workloadFull: everyHour(100),
  })
  t.equal(crash(0, { bytes: GIB }).standing.rung, 'full')
  t.match(crash(1, { bytes: GIB }).standing, { rung: 'mini', text: /namespace_bytes_per_day = 2GiB/ })
  for (const [index, namespace] of ['b', 'c', 'd'].entries())
    t.equal(crash(2 + index, { place: { ...cart, namespace }, bytes: GIB }).standing.rung, 'full')
  t.match(crash(9, { place: { ...cart, namespace: 'e' }, bytes: GIB }).standing, {
    rung: 'mini',
    text: /left of budget\.node_bytes_per_day = 4GiB/,
  })
})

t.test('who is trimmed already takes what it may have, not what it is', async t => {
  const { crash } = node({ namespaceBytesPerHour: 200 * MIB })
  const standing = { ...top, rung: 'trimmed', coreBytesMax: 10 * MIB, reason: 'size', text: 'over' } as const
  for (let count = 0; count < 10; count++)
    t.match(crash(0, { bytes: GIB, standing }).standing, {
      rung: 'trimmed',
      coreBytesMax: 10 * MIB,
      reason: 'size',
    })
  t.match(crash(0, { bytes: GIB, standing }).standing, { rung: 'mini' })
})

t.test('who is lowered takes nothing of what it does not get', async t => {
  const { crash, ledger } = node({ signatureFull: everyHour(1), workloadFull: everyHour(5) })
  const signature = 'SIGABRT'
  const mini: Standing = { ...top, rung: 'mini', reason: 'memory', text: 'short' }
  t.strictSame(
    crash(0, { standing: mini, signature }).spent.map(({ meter }) => meter),
    ['mini', 'mini'],
  )
  t.strictSame(crash(0, { standing: { ...mini, rung: 'record' }, signature }).spent, [])
  t.equal(crash(0, { signature }).standing.rung, 'full')
  for (let count = 0; count < 50; count++) crash(0, { signature })
  const meters = [...ledger.accounts.values()].flatMap(({ kind, buckets }) =>
    [...buckets].map(([meter, { used }]) => `${kind} ${meter} ${used}`),
  )
  t.ok(meters.includes('workload full 1'), 'the cores that its signature refused were not counted')
  t.ok(meters.includes(`node bytes-hour ${KIB}`))
})

t.test('what was not used is given back: all, or the bytes that did not come', async t => {
  const { crash, ledger } = node({ workloadFull: everyHour(1), namespaceBytesPerHour: 200 * MIB })
  const { spent } = crash(0, { bytes: 100 * MIB })
  giveBack(ledger, unused(spent, 0))
  const again = crash(0, { bytes: 100 * MIB })
  t.equal(again.standing.rung, 'full')
  giveBack(ledger, unused(again.spent, 40 * MIB))
  t.match(crash(0, { bytes: MIB }).standing, { rung: 'mini', reason: 'rate' }, 'a part of a core is one')
  const sidecar = { ...cart, container: 'sidecar' }
  t.match(crash(0, { place: sidecar, bytes: 100 * MIB }).standing, { rung: 'full' })
  giveBack(ledger, unused(again.spent, 40 * MIB))
  giveBack(ledger, unused(again.spent, 0))
  for (const { buckets } of ledger.accounts.values())
    for (const { used } of buckets.values()) t.ok(used >= 0, 'too much given back is no credit')
})

t.test('thirds of a second do not add up to a core that is late', async t => {
  const { rung } = node({ workloadFull: { cores: 3, seconds: 60 } })
  t.strictSame(
    secondsOf('full', 60, second => rung(second)),
    [0, 1, 2, 20, 40, 60],
  )
})

t.test('a clock that is put back neither gives nor keeps', async t => {
  const { crash, rung } = node({ workloadFull: { cores: 2, seconds: 120 } })
  t.equal(rung(1_000_000), 'full')
  t.equal(rung(0), 'full')
  t.match(crash(0).standing, { rung: 'mini', text: /due in 60 s/ })
  t.equal(rung(60), 'full')
})

t.test('a rate that was lowered is not overdrawn for longer than its period', async t => {
  const { ledger, crash } = node({ workloadFull: { cores: 100, seconds: 60 } })
  for (let count = 0; count < 100; count++) crash(0)
  const config = { ...defaults, budget: { ...defaults.budget, workloadFull: { cores: 1, seconds: 60 } } }
  const rations = rationsOf({ place: cart, signature: undefined, policy: { from: {} }, config })
  t.match(draw(ledger, rations, top, KIB, START).standing, { text: /due in 60 s/ })
})

t.test('whatever comes when, nobody has more than twice its limit in its period', async () => {
  const crashes = fc.array(
    fc.record({
      gap: fc.integer({ min: -500, max: 2000 }),
      pod: fc.constantFrom('a', 'b'),
      signature: fc.constantFrom(undefined, 'x', 'y'),
      bytes: fc.integer({ min: 1, max: 64 * MIB }),
    }),
    { maxLength: 60 },
  )
  const limit = 100 * MIB
  fc.assert(
    fc.property(crashes, crashes => {
      const budget = { workloadFull: everyHour(3), signatureFull: everyHour(2), namespaceBytesPerHour: limit }
      const { crash, ledger } = node(budget)
      // Time as it passes, whatever the clock says.
      let [second, elapsed] = [0, 0]
      const kept: { at: number; pod: string; signature: string | undefined; bytes: number }[] = []
      for (const { gap, pod, signature, bytes } of crashes) {
        second += gap
        elapsed += Math.abs(gap)
        const { standing, spent } = crash(second, { place: { ...cart, pod }, signature, bytes })
        if (standing.rung !== 'full' && standing.rung !== 'trimmed') continue
        const taken = spent.find(({ meter }) => meter === 'bytes-hour')!.amount
        ok(taken <= bytes && taken <= standing.coreBytesMax)
        kept.push({ at: elapsed, pod, signature, bytes: taken })
      }
      for (const { at } of kept) {
        const within = kept.filter(other => other.at >= at && other.at < at + 3600)
        for (const pod of ['a', 'b']) ok(within.filter(other => other.pod === pod).length <= 6)
        for (const signature of ['x', 'y'])
          ok(within.filter(other => other.signature === signature).length <= 4)
        ok(within.reduce((sum, { bytes }) => sum + bytes, 0) <= 2 * limit)
      }
      for (const { buckets } of ledger.accounts.values())
        for (const bucket of buckets.values()) ok(usedAt(bucket, bucket.limit, START) <= bucket.limit.amount)
    }),
  )
})

t.test('what is given back makes as if it had not been', async () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 3600 }), { minLength: 1, maxLength: 20 })
  const usedOf = (ledger: Ledger, now: number) =>
    new Map(
      [...ledger.accounts].flatMap(([key, { buckets }]) =>
        [...buckets].map(
          ([meter, bucket]) => [`${key} ${meter}`, usedAt(bucket, bucket.limit, now)] as const,
        ),
      ),
    )
  fc.assert(
    fc.property(gaps, gaps => {
      const { crash, ledger } = node()
      let second = 0
      for (const gap of gaps) crash((second += gap), { bytes: GIB, signature: 'x' })
      const now = START + second * 1000
      const before = usedOf(ledger, now)
      const { spent } = crash(second, { bytes: GIB, signature: 'x' })
      giveBack(ledger, unused(spent, 0))
      for (const [name, used] of usedOf(ledger, now))
        ok(Math.abs(used - (before.get(name) ?? 0)) < 1e-3, name)
    }),
  )
})
