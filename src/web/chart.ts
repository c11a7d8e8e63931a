// Crashes by time as bars, and the same as a table for those who do not see them.
import { html, type Html } from './html.ts'
import { numbersTable } from './numbers-table.ts'
import { HOUR_MS } from './scan.ts'

const BARS_MAX = 100
const HOURS_PER_BAR = [1, 6, 24, 7 * 24, 28 * 24] as const
/** The epoch was a Thursday, and weeks begin on Mondays. */
const MONDAY_TO_EPOCH_HOURS = 3 * 24
const WIDTH = 900
const HEIGHT = 170
const LEFT = 44
const TOP = 10
const BOTTOM = 26
/** Between labels, which stand at round times. */
const HOURS_PER_LABEL = [1, 3, 6, 12, 24, 48, 7 * 24, 28 * 24, 84 * 24, 364 * 24] as const
const LABELS_MAX = 8
/** Between bars, as a share of what each has. */
const GAP = 0.2

interface Bar {
  readonly begin: Date
  readonly count: number
}

export interface Bars {
  readonly hoursPerBar: number
  readonly bars: readonly Bar[]
}

/**
 * Sums up hours.
 * @param hours - Crashes by the hours since the epoch.
 * @param since, until - What was asked for; where there is nothing before the first crash, that is left out of long spans.
 */
export function barsOf(hours: ReadonlyMap<number, number>, since: Date, until: Date): Bars {
  const last = Math.floor(until.getTime() / HOUR_MS)
  const asked = Math.floor(since.getTime() / HOUR_MS)
  const sizeFor = (first: number) => HOURS_PER_BAR.find(size => (last - first) / size < BARS_MAX)
  const first =
    sizeFor(asked) === undefined ? [...hours.keys()].reduce((a, b) => Math.min(a, b), last) : asked
  const hoursPerBar = sizeFor(first) ?? Math.ceil((last - first) / BARS_MAX / 24) * 24
  const barOf = (hour: number) => Math.floor((hour + MONDAY_TO_EPOCH_HOURS) / hoursPerBar)
  const counts = new Map<number, number>()
  for (const [hour, count] of hours) counts.set(barOf(hour), (counts.get(barOf(hour)) ?? 0) + count)
  const bars = Array.from({ length: barOf(last) - barOf(first) + 1 }, (_, index) => ({
    begin: new Date(((barOf(first) + index) * hoursPerBar - MONDAY_TO_EPOCH_HOURS) * HOUR_MS),
    count: counts.get(barOf(first) + index) ?? 0,
  }))
  return { hoursPerBar, bars }
}

function unit(hoursPerBar: number): string {
  if (hoursPerBar === 1) return 'hour'
  if (hoursPerBar < 24) return `${hoursPerBar} hours`
  if (hoursPerBar === 24) return 'day'
  if (hoursPerBar === 7 * 24) return 'week'
  return `${hoursPerBar / 24} days`
}

function when(begin: Date, hoursPerBar: number): string {
  const iso = begin.toISOString()
  return hoursPerBar < 24 ? `${iso.slice(0, 10)} ${iso.slice(11, 16)}` : iso.slice(0, 10)
}

/** Fewest digits: 1, 2 or 5 times a power of ten. */
function roundUp(count: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(count, 1)))
  return [1, 2, 5, 10].map(factor => factor * power).find(value => value >= count) ?? count
}

/** @returns A section's content. */
export function chartView({ bars, hoursPerBar }: Bars): Html {
  const highest = bars.reduce((most, bar) => (bar.count > most.count ? bar : most), {
    begin: new Date(0),
    count: 0,
  })
  const per = unit(hoursPerBar)
  const description =
    highest.count === 0
      ? 'No crash.'
      : `${bars.length} bars, one per ${per}. The highest: ${highest.count}, ${when(highest.begin, hoursPerBar)}.`
  return html`<h2>Crashes per ${per}</h2>
    ${drawing(bars, hoursPerBar, description)}
    <details>
      <summary>As a table</summary>
      ${table(bars, hoursPerBar)}
    </details>`
}

function drawing(bars: readonly Bar[], hoursPerBar: number, description: string): Html {
  const top = roundUp(bars.reduce((most, { count }) => Math.max(most, count), 0))
  const inner = HEIGHT - TOP - BOTTOM
  const step = (WIDTH - LEFT) / Math.max(bars.length, 1)
  const y = (count: number) => TOP + inner - (count / top) * inner
  const x = (index: number) => LEFT + index * step
  const isLabelled = labelling(bars.length, hoursPerBar)
  const ticks = [...new Set([0, top >= 2 && top % 2 === 0 ? top / 2 : 0, top])]
  return html`<svg
    class="chart"
    viewBox="0 0 ${WIDTH} ${HEIGHT}"
    role="img"
    aria-labelledby="chart-title chart-text"
  >
    <title id="chart-title">Crashes per ${unit(hoursPerBar)}, UTC</title>
    <desc id="chart-text">${description}</desc>
    ${ticks.map(
      tick =>
        html`<line x1="${LEFT}" x2="${WIDTH}" y1="${y(tick).toFixed(1)}" y2="${y(tick).toFixed(1)}" /><text
            x="${LEFT - 6}"
            y="${(y(tick) + 4).toFixed(1)}"
            text-anchor="end"
            >${tick}</text
          >`,
    )}
    ${bars.map(
      ({ begin, count }, index) =>
        count > 0 &&
        html`<rect
          x="${(x(index) + (step * GAP) / 2).toFixed(1)}"
          y="${y(count).toFixed(1)}"
          width="${(step * (1 - GAP)).toFixed(1)}"
          height="${((count / top) * inner).toFixed(1)}"
          ><title>${when(begin, hoursPerBar)}: ${count}</title></rect
        >`,
    )}
    ${bars.map(
      ({ begin }, index) =>
        isLabelled(begin) &&
        html`<text x="${x(index).toFixed(1)}" y="${HEIGHT - BOTTOM + 8}" class="below"
          >${label(begin, hoursPerBar)}</text
        >`,
    )}
  </svg>`
}

function labelling(bars: number, hoursPerBar: number): (begin: Date) => boolean {
  const hours =
    HOURS_PER_LABEL.find(step => step % hoursPerBar === 0 && (bars * hoursPerBar) / step <= LABELS_MAX) ??
    hoursPerBar * Math.ceil(bars / LABELS_MAX)
  return begin => (begin.getTime() / HOUR_MS + MONDAY_TO_EPOCH_HOURS) % hours === 0
}

/** `11-23` or `20:00`: the year is in the form above. */
function label(begin: Date, hoursPerBar: number): string {
  const text = when(begin, hoursPerBar)
  return hoursPerBar === 1 && begin.getUTCHours() !== 0 ? text.slice(11) : text.slice(5, 10)
}

function table(bars: readonly Bar[], hoursPerBar: number): Html {
  const rows = bars
    .filter(({ count }) => count > 0)
    .map(
      ({ begin, count }) =>
        html`<tr>
          <th scope="row" class="time">${when(begin, hoursPerBar)}</th>
          <td class="number">${count}</td>
        </tr>`,
    )
  return numbersTable('From (UTC)', 'Crashes', rows)
}
