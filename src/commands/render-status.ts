// The status as people read it: whether all is well, then what waits.
import { printable } from '../printable.ts'
import { type Field, renderSections } from './render-fields.ts'
import { renderBytes, renderTable } from './render.ts'
import type { StatusReport, WaitingCrash } from './status.ts'
import type { Colors } from './terminal.ts'

/** Crashes that are named; `--json` has all. */
const NAMED_MAX = 50

export function renderStatus(report: StatusReport, colors: Colors): string {
  const { waiting } = report
  const head = ['SINCE (UTC)', 'NAMESPACE/POD', 'OUTCOME', 'BYTES', 'STATE', 'ID', 'WHY']
  const rows = waiting.slice(0, NAMED_MAX).map(waitingRow)
  const more = waiting.length - rows.length
  return [
    renderSections([fields(report)], colors),
    ...(rows.length === 0
      ? []
      : [
          renderTable(
            head.map(name => colors.bold(name)),
            rows,
          ),
        ]),
    ...(more > 0 ? [`and ${more} more: corelift status --json\n`] : []),
  ].join('\n')
}

function fields({ spool, waiting, lastSweep, lastSuccess, backoff, drift }: StatusReport): Field[] {
  const bytes = waiting.reduce((sum, crash) => sum + crash.bytes, 0)
  return [
    ['spool', spool === null ? 'none: spool.dir is not set' : spool.dir],
    ['problem', spool?.problem],
    ['held', usageOf(spool)],
    [
      'lost',
      spool?.usage?.lost ? `${spool.usage.lost} crashes, for want of room even for a record` : undefined,
    ],
    ['waiting', waiting.length === 0 ? 'nothing' : `${waiting.length} crashes, ${renderBytes(bytes)}`],
    ['last sweep', lastSweep ?? 'none since boot: corelift sweep is for a timer'],
    ['last success', lastSuccess],
    [
      'pattern',
      drift === null
        ? undefined
        : `${drift.isSetBack ? 'was set back from' : `others changed it, seen ${drift.since}:`} ${drift.pattern}`,
    ],
    ['left alone', backoff === null ? undefined : `until ${backoff.until}: ${backoff.why}`],
  ]
}

function usageOf(spool: StatusReport['spool']): string | undefined {
  if (!spool?.usage) return undefined
  const { bytes, bytesMax, diskFreeBytes } = spool.usage
  return `${renderBytes(bytes)} of ${renderBytes(bytesMax)}, ${renderBytes(diskFreeBytes)} free on its disk`
}

function waitingRow({ id, since, place, outcome, bytes, state, why }: WaitingCrash): string[] {
  const where = place === null ? '–' : `${printable(place.namespace)}/${printable(place.pod)}`
  const time = since?.slice(0, 19).replace('T', ' ') ?? '–'
  return [time, where, outcome ?? '–', renderBytes(bytes), state, id, printable(why)]
}
