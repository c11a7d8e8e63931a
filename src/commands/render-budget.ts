// `corelift budget` for people: the node first, then who used what, then what came of it.

import { OTHER_NAMESPACES } from '../budget/ledger.ts'
import { printable } from '../printable.ts'
import { formatRate } from '../units.ts'
import type { BudgetBucket, BudgetReport } from './budget.ts'
import { type Field, renderSections } from './render-fields.ts'
import { renderBytes, renderTable } from './render.ts'
import type { Colors } from './terminal.ts'

/** @returns Tables that have no rows are left out. */
export function renderBudget(report: BudgetReport, colors: Colors): string {
  const { slots, buckets, counts, recent } = report
  const held = slots.held.filter(({ kind }) => kind === 'slot')
  const table = (head: readonly string[], rows: readonly (readonly string[])[]) =>
    rows.length === 0
      ? []
      : [
          renderTable(
            head.map(name => colors.bold(name)),
            rows,
          ),
        ]
  return [
    renderSections([stateFields(report)], colors),
    ...table(
      ['SLOT', 'PID', 'NAMESPACE/POD/CONTAINER'],
      held.map(({ index, pid, place }) => [
        String(index),
        String(pid),
        place ? path([place.namespace, place.pod, place.container]) : '–',
      ]),
    ),
    ...table(['OF', 'NAME', 'WHAT', 'USED', 'LIMIT', 'NEXT'], buckets.map(bucketRow)),
    ...table(
      ['NAMESPACE', 'KEPT', 'REASON', 'COUNT', 'LAST (UTC)'],
      counts.map(({ namespace, rung, reason, count, last }) => [
        namespace === OTHER_NAMESPACES ? 'others' : printable(namespace),
        rung,
        printable(reason ?? '–'),
        String(count),
        timeCell(last),
      ]),
    ),
    ...table(
      ['REDUCED (UTC)', 'KEPT', 'REASON', 'NAMESPACE/POD/CONTAINER'],
      recent.map(({ time, rung, reason, names }) => [timeCell(time), rung, printable(reason), path(names)]),
    ),
  ].join('\n')
}

function stateFields({ stateDir, since, corrupt, slots }: BudgetReport): Field[] {
  const waiting = slots.held.filter(({ kind }) => kind === 'waiting').length
  const taken = slots.held.length - waiting
  return [
    ['state', stateDir],
    ['since', since === null ? undefined : `${timeCell(since)} UTC`],
    ['crashes', since === null && !corrupt ? 'none yet' : undefined],
    ['ledger', corrupt ? 'corrupt: rates and counts start anew with the next crash' : undefined],
    ['slots', `${taken} of ${slots.max} taken`],
    ['waiting', waiting === 0 ? undefined : `${waiting} of ${slots.waitingMax}`],
  ]
}

function bucketRow({ of, names, meter, used, max, seconds, nextSeconds }: BudgetBucket): string[] {
  const isBytes = meter.startsWith('bytes')
  const [, rule] = /^rule-(\d+)$/.exec(meter) ?? []
  const what = isBytes ? 'bytes' : meter === 'mini' ? 'mini cores' : rule ? `cores, rule ${rule}` : 'cores'
  const period = formatRate({ cores: 1, seconds }).slice('1/'.length)
  return [
    of,
    names.length === 0 ? '–' : path(names),
    what,
    isBytes ? renderBytes(Math.round(used)) : used.toFixed(1),
    `${isBytes ? renderBytes(max) : max}/${period}`,
    nextSeconds === null ? 'never' : nextSeconds === 0 ? 'now' : `in ${nextSeconds} s`,
  ]
}

const path = (names: readonly string[]): string => names.map(name => printable(name)).join('/')

/** `2026-11-23 20:45:00` */
function timeCell(iso: string): string {
  return iso.slice(0, 19).replace('T', ' ')
}
