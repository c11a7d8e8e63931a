// Prometheus' text format, as node_exporter's textfile collector reads it: prometheus.io/docs/instrumenting/exposition_formats.
import { METRICS, type MetricName } from './metric-table.ts'

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>
  readonly value: number
  /** Of a histogram's series: `_bucket`, `_sum`, `_count`. */
  readonly suffix?: string
}

export type Samples = Readonly<Partial<Record<MetricName, readonly Sample[]>>>

/** @returns The file's text, metrics in their table's order; those without a sample are left out. */
export function exposition(samples: Samples): string {
  return (Object.keys(METRICS) as MetricName[])
    .flatMap(name => {
      const found = samples[name] ?? []
      if (found.length === 0) return []
      const { help, type } = METRICS[name]
      return [
        `# HELP ${name} ${help}`,
        `# TYPE ${name} ${type}`,
        ...found.map(sample => lineOf(name, sample)),
      ]
    })
    .map(line => `${line}\n`)
    .join('')
}

function lineOf(name: string, { labels = {}, value, suffix = '' }: Sample): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`)
  return `${name}${suffix}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}`
}

const escapeLabel = (text: string): string =>
  text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
