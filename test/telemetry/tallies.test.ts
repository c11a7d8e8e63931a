import t from 'tap'
import { exposition } from '../../src/telemetry/exposition.ts'
import { METRICS } from '../../src/telemetry/metric-table.ts'
import { NO_TALLIES, tallyCrashes, tallyDrops, tallySamples } from '../../src/telemetry/tallies.ts'
import { noPromtool, promtool } from '../lab/promtool.ts'
import { crashEvent } from './events.ts'

const skip = noPromtool() ?? false

const crashes = [
  crashEvent('a', { coreBytes: 1000, storedBytes: 100, holdMilliseconds: 100 }),
  crashEvent('b', { coreBytes: 24, storedBytes: 3, holdMilliseconds: 101 }),
  crashEvent('c', { fate: 'mini', reason: 'rate', coreBytes: 0, storedBytes: 0, holdMilliseconds: 500_000 }),
]

t.test('crashes are counted by namespace, outcome and reason, and their holds by length', async t => {
  const text = exposition(tallySamples(tallyCrashes(NO_TALLIES, crashes)))
  for (const line of [
    'corelift_crashes_total{namespace="shop",outcome="full",reason="none"} 2',
    'corelift_crashes_total{namespace="shop",outcome="mini",reason="rate"} 1',
    'corelift_core_bytes_total{namespace="shop"} 1024',
    'corelift_core_stored_bytes_total{namespace="shop"} 103',
    'corelift_hold_seconds_bucket{le="0.1"} 1',
    'corelift_hold_seconds_bucket{le="0.25"} 2',
    'corelift_hold_seconds_bucket{le="300"} 2',
    'corelift_hold_seconds_bucket{le="+Inf"} 3',
    'corelift_hold_seconds_sum 500.201',
    'corelift_hold_seconds_count 3',
  ])
    t.ok(text.includes(`${line}\n`), line)
})

t.test(
  'what is lost is a series from the beginning: Prometheus does not see a first step otherwise',
  async t => {
    t.match(exposition(tallySamples(NO_TALLIES)), /^corelift_crashes_lost_total 0$/m)
    const lost = tallyCrashes(NO_TALLIES, [crashEvent('', { fate: 'lost' }), crashEvent('a')])
    t.match(exposition(tallySamples(lost)), /^corelift_crashes_lost_total 1$/m)
  },
)

t.test('drops of the kernel are counted by cause', async t => {
  const groups = [
    { cause: 'pipe-limit', count: 7 },
    { cause: 'pipe-limit', count: 1 },
  ] as const
  const text = exposition(tallySamples(tallyDrops(NO_TALLIES, groups, 5)))
  t.match(text, /^corelift_kernel_drops_total\{cause="pipe-limit"\} 8$/m)
  t.match(text, /^corelift_kernel_drops_total\{cause="pipe-failed"\} 0$/m)
  t.match(text, /^corelift_kernel_log_lost_total 5$/m)
})

t.test('whoever makes namespaces makes no series without end', async t => {
  const many = Array.from({ length: 1000 }, (_, n) =>
    crashEvent('a', { place: { namespace: `ns-${n}`, pod: 'p', container: 'c' } }),
  )
  const samples = tallySamples(tallyCrashes(NO_TALLIES, many))
  t.equal(samples.corelift_crashes_total?.length, 201)
  t.match(
    samples.corelift_crashes_total?.find(({ labels }) => labels?.['namespace'] === '_other'),
    {
      value: 800,
    },
  )
  t.equal(samples.corelift_core_bytes_total?.length, 201)
})

t.test('a namespace that has the name of a property is one like others', async t => {
  const event = crashEvent('a', { place: { namespace: '__proto__', pod: 'p', container: 'c' } })
  const kept: unknown = JSON.parse(JSON.stringify(tallyCrashes(NO_TALLIES, [event, event])))
  t.match(exposition(tallySamples(kept as typeof NO_TALLIES)), /namespace="__proto__".* 2$/m)
})

t.test('Prometheus reads all metrics, whatever their labels hold', { skip }, async t => {
  const hostile = crashEvent('a', { place: { namespace: 'a"b\\c\nd{}', pod: 'p', container: 'c' } })
  const gauges = Object.entries(METRICS)
    .filter(([, { type }]) => type === 'gauge')
    .map(([name]) => [name, [{ value: 1.5 }]])
  const text = exposition({
    ...tallySamples(tallyCrashes(NO_TALLIES, [...crashes, hostile])),
    ...(Object.fromEntries(gauges) as object),
  })
  t.equal(promtool(['check', 'metrics'], text), '')
  for (const name of Object.keys(METRICS)) t.ok(text.includes(`# TYPE ${name} `), name)
})
