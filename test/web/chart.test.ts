import t from 'tap'
import { barsOf, chartView } from '../../src/web/chart.ts'
import { workloadName } from '../../src/web/workload-name.ts'

const HOUR_MS = 3_600_000
const UNTIL = new Date('2026-11-23T20:45:00Z')
const daysAgo = (days: number) => new Date(UNTIL.getTime() - days * 24 * HOUR_MS)
const hourOf = (time: string) => Math.floor(Date.parse(time) / HOUR_MS)

t.test('bars grow with the span, and keep every crash', async t => {
  const hours = new Map([
    [hourOf('2026-11-23T20:00Z'), 3],
    [hourOf('2026-11-23T03:00Z'), 2],
  ])
  for (const [days, hoursPerBar] of [
    [1, 1],
    [7, 6],
    [60, 24],
    [365, 168],
  ] as const) {
    const bars = barsOf(hours, daysAgo(days), UNTIL)
    t.equal(bars.hoursPerBar, hoursPerBar, `${days} days`)
    t.equal(
      bars.bars.reduce((sum, { count }) => sum + count, 0),
      5,
    )
    t.ok(bars.bars.length <= 101)
  }
  t.equal(barsOf(hours, daysAgo(365), UNTIL).bars.at(-1)!.begin.getUTCDay(), 1, 'weeks begin on Mondays')
})

t.test('since the beginning of time means since the first crash', async t => {
  const hours = new Map([[hourOf('2026-11-20T00:00Z'), 1]])
  const { bars, hoursPerBar } = barsOf(hours, new Date(0), UNTIL)
  t.same([bars[0]!.begin.toISOString(), hoursPerBar], ['2026-11-20T00:00:00.000Z', 1])
  t.equal(
    barsOf(new Map([[0, 1]]), new Date(0), UNTIL).bars.length <= 102,
    true,
    'also a first crash of 1970',
  )
})

t.test('the chart is told in words and as a table', async t => {
  const text = String(chartView(barsOf(new Map([[hourOf('2026-11-23T20:00Z'), 1234]]), daysAgo(1), UNTIL)))
  t.match(text, /role="img"\s+aria-labelledby="chart-title chart-text"/)
  t.match(text, /The highest: 1234, 2026-11-23 20:00\./)
  t.match(text, /<th scope="row" class="time">2026-11-23 20:00<\/th>\s*<td class="number">1234</)
})

t.test('pods of a workload have one name', async t => {
  for (const [pod, name] of [
    ['cart-7d9f-x2x4p', 'cart'],
    ['cart-7d9f5c8b6d-x2x4p', 'cart'],
    ['node-agent-x2x4p', 'node-agent'],
    ['db-0', 'db'],
    ['node-1', 'node'],
    ['checkout', 'checkout'],
    ['api-server', 'api-server'],
    ['-0', '-0'],
  ] as const)
    t.equal(workloadName(pod), name)
})
