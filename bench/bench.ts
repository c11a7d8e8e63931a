// npm run bench [-- NAME…]: runs the measurements and prints how they compare with their targets. README.md says what
// each row means.
import { cpus, loadavg, release, totalmem } from 'node:os'
import { debugging } from './debugging.ts'
import { importCost } from './import-cost.ts'
import { inputRate } from './input-rate.ts'
import { listRequests, listTime } from './listing.ts'
import type { Measurement, Row } from './measurement.ts'
import { miniCore } from './mini-core.ts'
import { outage } from './outage.ts'
import { peakMemory } from './peak-memory.ts'
import { resolution } from './resolution.ts'
import { rootWrites } from './root-writes.ts'
import { serve } from './serve.ts'
import { start } from './start.ts'
import { sweep } from './sweep.ts'
import { timeToGone } from './time-to-gone.ts'

const MEASUREMENTS: readonly Measurement[] = [
  inputRate,
  timeToGone,
  miniCore,
  peakMemory,
  outage,
  sweep,
  start,
  rootWrites,
  resolution,
  listRequests,
  listTime,
  debugging,
  serve,
  importCost,
]

const HEADING = { quantity: 'quantity', target: 'target', measured: 'measured', met: '' }

/** @returns The rows; one that says why for each that is missing. */
async function rowsOf(measurement: Measurement): Promise<{ rows: Row[]; failed: boolean }> {
  const missing = (measured: string, note: string): Row[] =>
    measurement.quantities.map(quantity => ({ quantity, target: '', measured, met: undefined, note }))
  const reason = measurement.whyNot()
  if (reason !== undefined) return { rows: missing('left out', reason), failed: false }
  process.stderr.write(`${measurement.name} …\n`)
  try {
    return { rows: await measurement.measure(), failed: false }
  } catch (error) {
    return { rows: missing('failed', String(error)), failed: true }
  }
}

function machine(): string {
  const [cpu] = cpus()
  const gib = (totalmem() / 2 ** 30).toFixed(0)
  const load = loadavg()[0]!.toFixed(1)
  return `${cpus().length} × ${cpu?.model}, ${gib} GiB, Linux ${release()}, Bun ${Bun.version}, load ${load} at the start`
}

function printTable(rows: readonly Row[]): void {
  const cells = rows.map((row, index) => ({
    ...row,
    quantity: row.note === undefined ? row.quantity : `${row.quantity} [${index + 1}]`,
    met: row.met === undefined ? '' : row.met ? 'met' : 'NOT MET',
  }))
  const width = (key: keyof typeof HEADING): number =>
    Math.max(...[HEADING, ...cells].map(cell => cell[key].length))
  for (const cell of [HEADING, ...cells]) {
    const { quantity, target, measured, met } = cell
    const line = [
      quantity.padEnd(width('quantity')),
      target.padEnd(width('target')),
      measured.padEnd(width('measured')),
      met,
    ]
    console.log(line.join('  ').trimEnd())
  }
  console.log()
  for (const [index, { note }] of rows.entries())
    if (note !== undefined) console.log(`[${index + 1}] ${note}`)
}

const wanted = process.argv.slice(2)
const unknown = wanted.filter(name => !MEASUREMENTS.some(measurement => measurement.name === name))
if (unknown.length > 0) {
  console.error(
    `bench: no measurement ${unknown.join(', ')}; there are: ${MEASUREMENTS.map(({ name }) => name).join(' ')}`,
  )
  process.exit(2)
}
console.log(`${machine()}\n`)
const rows: Row[] = []
let anyFailed = false
for (const measurement of MEASUREMENTS) {
  if (wanted.length > 0 && !wanted.includes(measurement.name)) continue
  const result = await rowsOf(measurement)
  rows.push(...result.rows)
  anyFailed ||= result.failed
}
printTable(rows)
process.exit(anyFailed ? 1 : 0)
