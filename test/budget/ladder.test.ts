import { ok } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { CORE_BYTES_MIN, lowered, standingOf } from '../../src/budget/ladder.ts'
import { PLAN_BYTES_MIN } from '../../src/core/plan.ts'
import type { LadderFacts, Standing } from '../../src/budget/ladder.ts'
import { procNode } from '../../src/budget/node-facts.ts'
import { loadConfig } from '../../src/config/load.ts'
import { GIB, MIB } from '../../src/units.ts'

const UNLIMITED = 2n ** 64n - 1n
const { config } = loadConfig({ searched: [], env: {} })
const MINI_LIMIT = config.mini.bytesLimit

/** A core of 1 GiB, on a node that has all it needs. */
const facts: LadderFacts = {
  bytesExpected: GIB,
  crash: { coreRlimitBytes: UNLIMITED },
  policy: { capture: 'full', coreBytesMax: 32 * GIB, from: {} },
  config,
  nodeFacts: { memoryAvailableBytes: () => 8 * GIB, memoryPressurePercent: () => 0 },
}
const limited = (coreRlimitBytes: bigint, more: Partial<LadderFacts> = {}): Standing =>
  standingOf({ ...facts, crash: { coreRlimitBytes }, ...more })
const sized = (coreBytesMax: number): Standing =>
  standingOf({ ...facts, policy: { ...facts.policy, coreBytesMax } })

t.test('a core that nothing is against is full, without a reason', async t => {
  const full = { rung: 'full', coreBytesMax: Infinity, miniBytesMax: MINI_LIMIT }
  t.strictSame(standingOf(facts), full)
  t.strictSame(limited(BigInt(GIB)), full, 'at its limit')
  t.strictSame(sized(GIB), full, 'as large as may be')
})

t.test('a limit below the smallest core wants no memory', async t => {
  for (const limit of [0n, 1n, 32_767n])
    t.match(limited(limit), { rung: 'record', reason: 'rlimit-core', text: /is \d+: below 32KiB/ })
  t.equal(CORE_BYTES_MIN, PLAN_BYTES_MIN, 'none is planned below')
  t.match(sized(0), { rung: 'record', reason: 'size', text: /^budget\.core_bytes_max is 0: below 32KiB/ })
})

t.test('a core over a limit is trimmed to it, with both numbers', async t => {
  t.match(limited(BigInt(GIB) - 1n), {
    rung: 'trimmed',
    coreBytesMax: GIB - 1,
    reason: 'rlimit-core',
    text: 'a core of 1073741824 bytes is over RLIMIT_CORE = 1073741823',
  })
  t.match(sized(64 * MIB), {
    rung: 'trimmed',
    coreBytesMax: 64 * MIB,
    reason: 'size',
    text: 'a core of 1073741824 bytes is over budget.core_bytes_max = 64MiB',
  })
})

t.test('a limit below a mini core holds for the mini core too', async t => {
  t.match(limited(32_768n), { rung: 'trimmed', coreBytesMax: 32_768, miniBytesMax: 32_768 })
  t.match(sized(GIB / 2), { miniBytesMax: MINI_LIMIT })
  const mini = { ...facts.policy, capture: 'mini', from: { capture: 'policy.rules[1].capture' } } as const
  t.match(limited(100_000n, { policy: mini }), { rung: 'mini', reason: 'policy', miniBytesMax: 100_000 })
})

t.test('RLIMIT_CORE can be ignored', async t => {
  const ignoring = { ...config, capture: { ...config.capture, honorCoreRlimit: false } }
  t.match(limited(0n, { config: ignoring }), { rung: 'full' })
})

t.test('who lowered the largest size is said, and the smaller of two limits counts', async t => {
  const from = { coreBytesMax: 'annotation corelift.io/core-bytes-max' }
  const policy = { ...facts.policy, coreBytesMax: 8 * MIB, from }
  const text = 'a core of 1073741824 bytes is over annotation corelift.io/core-bytes-max = 8MiB'
  t.match(standingOf({ ...facts, policy }), { rung: 'trimmed', reason: 'size', text })
  t.match(limited(BigInt(MIB), { policy }), {
    rung: 'trimmed',
    coreBytesMax: MIB,
    reason: 'rlimit-core',
    text: /RLIMIT_CORE = 1048576/,
  })
  t.match(limited(BigInt(GIB / 2), { policy }), { rung: 'trimmed', coreBytesMax: 8 * MIB, reason: 'size' })
})

t.test('less than a core that is asked for is what there is, and says by whom', async t => {
  const asking = (capture: 'mini' | 'record' | 'off') =>
    standingOf({
      ...facts,
      policy: { ...facts.policy, capture, from: { capture: 'policy.rules[2].capture' } },
    })
  const text = (wish: string, capture: string) => `policy.rules[2].capture = "${capture}" asks for ${wish}`
  t.match(asking('mini'), { rung: 'mini', reason: 'policy', text: text('a mini core', 'mini') })
  t.match(asking('record'), { rung: 'record', reason: 'policy', text: text('no core', 'record') })
  t.match(asking('off'), { rung: 'record', reason: 'policy' })
})

t.test('a node that is short of memory gives a mini core', async t => {
  const on = (available: number | undefined, percent: number | undefined) =>
    standingOf({
      ...facts,
      nodeFacts: { memoryAvailableBytes: () => available, memoryPressurePercent: () => percent },
    })
  t.match(on(256 * MIB - 1024, 0), {
    rung: 'mini',
    reason: 'memory',
    text: '262143KiB of memory are available, less than budget.memory_available_min = 256MiB',
  })
  t.match(on(GIB, 50.01), { rung: 'mini', reason: 'pressure', text: /in 50\.01 % .*_max = 50$/ })
  t.match(on(256 * MIB, 50), { rung: 'full' })
  t.match(on(undefined, undefined), { rung: 'full' }, 'a kernel that does not say has no objection')
})

t.test('whatever the rules say in whatever order, each only lowers', async () => {
  const rank = { full: 3, trimmed: 2, mini: 1, record: 0 }
  const lowering = fc.record(
    {
      rung: fc.constantFrom('full' as const, 'trimmed' as const, 'mini' as const, 'record' as const),
      bytesMax: fc.integer({ min: CORE_BYTES_MIN, max: 2 ** 40 }),
      reason: fc.constantFrom('size' as const, 'rate' as const),
      text: fc.string(),
    },
    { requiredKeys: ['rung', 'reason', 'text'] },
  )
  fc.assert(
    fc.property(fc.array(lowering), lowerings => {
      let standing = standingOf(facts)
      for (const next of lowerings) {
        const before = standing
        standing = lowered(before, next)
        ok(rank[standing.rung] <= Math.min(rank[before.rung], rank[next.rung]))
        ok(standing.coreBytesMax <= before.coreBytesMax && standing.miniBytesMax <= before.miniBytesMax)
        ok(standing.rung === 'full' || standing.reason !== undefined)
      }
    }),
  )
})

t.test('the kernel of a node says how it is off for memory', async t => {
  const available = procNode.memoryAvailableBytes()
  t.ok(available === undefined || (available > 0 && available % 1024 === 0))
  const percent = procNode.memoryPressurePercent()
  t.ok(percent === undefined || (percent >= 0 && percent <= 100))
})

t.test('what others have had is not kept here, whatever is allowed', async t => {
  const ceiling = { rung: 'mini', reason: 'chain-failed', text: 'the core went elsewhere' } as const
  t.match(standingOf({ ...facts, ceiling }), {
    rung: 'mini',
    reason: 'chain-failed',
    miniBytesMax: MINI_LIMIT,
  })
  const record = { ...facts.policy, capture: 'record', from: { capture: 'policy.rules[1].capture' } } as const
  t.match(standingOf({ ...facts, ceiling, policy: record }), { rung: 'record', reason: 'policy' })
})
