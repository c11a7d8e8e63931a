// What a sweep did, for a journal that somebody reads once a month: a line for each thing that is not as it should be.
import { printable } from '../printable.ts'
import type { Drift } from '../sweep/drift.ts'
import type { SweepReport } from '../sweep/sweep.ts'

/** Of crashes that wait for the same reason, so many are named. */
const NAMED_MAX = 3

export function renderSweep(report: SweepReport): string {
  if (report.state === 'busy') return 'another sweep is at work\n'
  const {
    sent,
    waiting,
    salvaged,
    debugFiles,
    dropped,
    kernelLogLost,
    expired,
    leftAloneUntil,
    spoolProblem,
    untold,
    drift,
  } = report
  const lines = [
    ...(sent.length > 0 ? [`sent ${count(sent.length, 'crash', 'crashes')}`] : []),
    ...(debugFiles > 0
      ? [`sent ${count(debugFiles, 'executable or library', 'executables and libraries')}`]
      : []),
    ...waitingLines(waiting),
    ...salvaged.map(id => `${id}: its note in the spool was damaged; it is on record as unknown`),
    ...expired.map(id => `${id}: waited for longer than spool.age_max, dropped`),
    ...dropped.map(
      ({ cause, comm, count: times }) =>
        `the kernel dropped ${count(times, 'crash', 'crashes')} of ${comm === '' ? 'programs it does not name' : printable(comm)}: ${cause}`,
    ),
    ...(kernelLogLost > 0
      ? [`${kernelLogLost} lines of the kernel log were overwritten before they were read`]
      : []),
    ...(spoolProblem === undefined ? [] : [spoolProblem]),
    ...untold.map(problem => printable(problem)),
    ...(drift === undefined ? [] : [driftLine(drift)]),
    ...(leftAloneUntil === undefined
      ? []
      : [`the store asked for fewer requests: left alone until ${leftAloneUntil}`]),
  ]
  return lines.map(line => `${line}\n`).join('')
}

function driftLine({ pattern, since, problem, isSetBack }: Drift): string {
  const what = `kernel.core_pattern was changed by others to ${printable(pattern)}`
  if (isSetBack) return `${what}; it is set back`
  const advice = problem ?? 'corelift install sets it back'
  return `${what}: no crash is seen since ${since} or earlier; ${printable(advice)}`
}

/** Most wait for the same reason, each in the words of its own first request. */
function waitingLines(waiting: (SweepReport & { state: 'swept' })['waiting']): string[] {
  const byCode = new Map<string, { ids: string[]; why: string }>()
  for (const { id, why, code } of waiting) {
    const { ids, why: first } = byCode.get(code) ?? { ids: [], why }
    byCode.set(code, { ids: [...ids, id], why: first })
  }
  return [...byCode].map(([code, { ids, why }]) => {
    const more = ids.length > NAMED_MAX ? ` and ${ids.length - NAMED_MAX} more` : ''
    return `waiting: ${ids.slice(0, NAMED_MAX).join(', ')}${more}: ${printable(why)} [${code}]`
  })
}

const count = (number: number, one: string, many: string): string => `${number} ${number === 1 ? one : many}`
