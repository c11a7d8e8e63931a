// What doctor found, as people read it: a line for each check, and more for those that found trouble.
import type { CheckResult, DoctorReport } from '../node/doctor/doctor.ts'
import type { Verdict } from '../node/doctor/check.ts'
import { printable } from '../printable.ts'
import type { Colors } from './terminal.ts'

const ID_WIDTH = 16
const VERDICT_WIDTH = 'skipped'.length
/** Everything behind a verdict is below what it says of its check. */
const INDENT = ' '.repeat(2 + VERDICT_WIDTH + 2)

export function renderDoctor({ checks, summary }: DoctorReport, colors: Colors): string {
  const groups = [...new Set(checks.map(({ group }) => group))]
  const sections = groups.map(group => {
    const lines = checks.filter(check => check.group === group).map(check => renderCheck(check, colors))
    return `${colors.bold(group)}\n${lines.join('')}`
  })
  const { ok, warn, fail, skipped } = summary
  const total = `${checks.length} checks: ${ok} ok, ${warn} to be noted, ${fail} failed, ${skipped} skipped`
  return `${sections.join('\n')}\n${total}\n`
}

function renderCheck({ id, result, found, why, fix }: CheckResult, colors: Colors): string {
  const paint: Record<Verdict, (text: string) => string> = {
    ok: colors.green,
    warn: colors.yellow,
    fail: colors.red,
    skipped: colors.dim,
  }
  const line = `  ${paint[result](result.padEnd(VERDICT_WIDTH))}  ${id.padEnd(ID_WIDTH)}  ${printable(found)}\n`
  if (fix === null) return line
  return `${line}${INDENT}${colors.dim('why:')} ${printable(why)}\n${INDENT}${colors.dim('fix:')} ${printable(fix)}\n`
}
