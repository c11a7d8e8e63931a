// What a verification found, a line each, and a sum that says whether all is well.
import { printable } from '../printable.ts'
import type { VerifyReport } from './run-verify.ts'
import type { Colors } from './terminal.ts'

export function renderVerify(
  { crashes, inProgress, findings, content, uploadsUnknown }: VerifyReport,
  colors: Colors,
): string {
  const lines = findings.map(({ problem, key, detail, repaired }) => {
    const what = repaired === undefined ? colors.red(problem) : colors.yellow(problem)
    return `${what}: ${printable(key)}: ${printable(detail)}${repaired === undefined ? '' : `; ${printable(repaired)}`}\n`
  })
  const how = content ? 'read to their end' : 'their sizes compared; --content reads them'
  const young = inProgress === 0 ? '' : `, ${inProgress} more still at work`
  const sum = findings.length === 0 ? 'nothing is wrong' : `${findings.length} findings`
  const unknown =
    uploadsUnknown === undefined
      ? ''
      : `unfinished uploads were not looked for: ${printable(uploadsUnknown)}\n`
  return `${lines.join('')}${unknown}${sum}: ${crashes} ${crashes === 1 ? 'crash' : 'crashes'}${young}, ${how}\n`
}
