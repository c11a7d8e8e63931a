// Alerts, dashboard and page name the metrics that there are.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { METRICS } from '../../src/telemetry/metric-table.ts'
import { noPromtool, promtool } from '../lab/promtool.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const DEPLOY = join(ROOT, 'deploy', 'monitoring')
const PAGE = join(ROOT, 'docs', 'monitoring.md')
const skip = noPromtool() ?? false

/** Names of metrics in text; a histogram's series by the histogram's name. */
const metricsIn = (text: string): string[] =>
  [...text.matchAll(/\bcorelift_\w+/g)].map(([name]) => name.replace(/_(?:bucket|sum|count)$/, ''))

interface Dashboard {
  readonly panels: readonly {
    readonly title: string
    readonly targets: readonly { readonly expr: string }[]
  }[]
}
const dashboard = JSON.parse(readFileSync(join(DEPLOY, 'grafana-dashboard.json'), 'utf8')) as Dashboard

t.test('alerts and dashboard ask for metrics that there are', async t => {
  for (const file of ['alerts.yaml', 'alerts.test.yaml', 'grafana-dashboard.json'])
    for (const name of metricsIn(readFileSync(join(DEPLOY, file), 'utf8')))
      t.ok(name in METRICS, `${file}: ${name}`)
})

t.test('Prometheus takes the alerts, and they are raised when they should be', { skip }, async t => {
  t.equal(promtool(['check', 'rules', join(DEPLOY, 'alerts.yaml')]), '')
  t.equal(promtool(['test', 'rules', join(DEPLOY, 'alerts.test.yaml')]), '')
})

t.test('Prometheus takes every expression of the dashboard', { skip }, async t => {
  const variables = (expr: string): string =>
    expr.replaceAll(/\$__range|\$__rate_interval/g, '5m').replaceAll('$instance', '.*')
  const rules = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => variables(expr)))
  const file = join(t.testdir(), 'rules.json') // JSON is YAML
  const groups = [{ name: 'dashboard', rules: rules.map((expr, at) => ({ record: `panel:${at}`, expr })) }]
  writeFileSync(file, JSON.stringify({ groups }))
  t.ok(rules.length > 10)
  t.equal(promtool(['check', 'rules', file]), '')
})

// `npx tap --snapshot test/docs/monitoring.test.ts` writes the table anew.
t.test('the page has the table of metrics', async t => {
  const rows = Object.entries(METRICS).map(([name, { type, labels, help }]) => {
    const named = labels.map(label => `\`${label}\``).join(', ')
    return `| \`${name}\` | ${type} | ${named} | ${help} |`
  })
  const table = ['| Metric | Type | Labels | |', '|---|---|---|---|', ...rows].join('\n')
  const text = readFileSync(PAGE, 'utf8')
  const current = text.replace(/(?<=<!-- metrics -->\n)[^]*(?=<!-- \/metrics -->)/, () => `\n${table}\n\n`)
  if (process.env['TAP_SNAPSHOT'] === '1') writeFileSync(PAGE, current)
  else t.equal(text, current)
})
