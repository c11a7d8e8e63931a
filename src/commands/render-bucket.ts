// A bucket as people read it: how long what is kept, what was found, what to do about it, and policies to paste.

import { printable } from '../printable.ts'
import type { BucketFinding, Verdict } from './bucket-checks.ts'
import { dayWords } from './bucket-rules.ts'
import type { BucketReport, BucketRule } from './bucket.ts'
import { type Field, renderSections } from './render-fields.ts'
import { renderJson, renderTable } from './render.ts'
import type { Colors } from './terminal.ts'

const POLICY_TITLES: Record<keyof BucketReport['policies'], string> = {
  nodes: 'Nodes (handle, sweep): they write, and read nothing',
  developers: 'Developers (ls, info, get)',
  admins: 'Admins (verify --repair, bucket)',
  bucket: 'The bucket itself: TLS only; to be merged with the policy that it has',
}

/** @param withPolicies - Whether the policies are wanted; else the last line says how to get them. */
export function renderBucket(report: BucketReport, withPolicies: boolean, colors: Colors): string {
  const { bucket, prefix, rules, findings } = report
  const head = (names: readonly string[]) => names.map(name => colors.bold(name))
  const advice = adviceFields(findings)
  return [
    renderSections(
      [
        [
          ['bucket', bucket],
          ['prefix', prefix],
        ],
      ],
      colors,
    ),
    renderTable(
      head(['RULE', 'OBJECTS', 'AFTER', 'NOW']),
      rules.map(rule => ruleRow(rule, report, colors)),
    ),
    renderTable(
      head(['CHECK', 'IS', 'FOUND']),
      findings.map(finding => findingRow(finding, colors)),
    ),
    ...(advice.length === 0 ? [] : [`To do:\n${renderSections([advice], colors)}`]),
    withPolicies ? renderPolicies(report) : 'IAM policies: corelift bucket show --policies\n',
  ].join('\n')
}

function ruleRow(rule: BucketRule, report: BucketReport, colors: Colors): string[] {
  const { kind, prefix, days } = rule
  const where = printable(prefix || '(all)')
  return [kind, where, dayWords(days), stateCell(rule, report.mode, colors)]
}

function stateCell(rule: BucketRule, mode: BucketReport['mode'], colors: Colors): string {
  const { state, change, daysFound, days } = rule
  const was = daysFound !== null && daysFound !== days ? `, ${dayWords(daysFound)}` : ''
  if (state === 'unknown') return colors.yellow('unknown')
  if (state === 'set') return colors.green(change === null ? 'set' : `set, ${change}`)
  if (mode === 'dry-run') return colors.yellow(`${state}${was}: would be ${change}`)
  const advice = mode === 'show' ? 'corelift bucket init sets it' : 'the store took it, and does not have it'
  return colors.yellow(`${state}${was}: ${advice}`)
}

function findingRow({ about, verdict, found }: BucketFinding, colors: Colors): string[] {
  const color: Record<Verdict, (text: string) => string> = {
    good: colors.green,
    noted: text => text,
    bad: colors.red,
    unknown: colors.yellow,
  }
  return [about, color[verdict](verdict), printable(found)]
}

function adviceFields(findings: readonly BucketFinding[]): readonly Field[] {
  const fields = findings.flatMap(({ about, advice }) => (advice === null ? [] : [[about, advice] as const]))
  // Several rules may call for the same.
  return [...new Map(fields.map(field => [field[1], field])).values()]
}

function renderPolicies({ policies }: BucketReport): string {
  const parts = Object.entries(POLICY_TITLES).map(
    ([name, title]) => `${title}:\n${renderJson(policies[name as keyof typeof policies])}`,
  )
  return parts.join('\n')
}
