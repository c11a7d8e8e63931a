// docs/faults.md, from what came of the scenarios.
import { join } from 'node:path'
import type { Scenario } from './scenarios.ts'

export const PAPER = join(import.meta.dirname, '..', '..', '..', 'docs', 'faults.md')

/** What was seen of one fault. */
export interface Outcome {
  readonly scenario: Scenario
  /** In the store when the handler had ended, while the fault was still there. */
  readonly before: string
  /** In the store after the fault had passed and a sweep had run. */
  readonly after: string
  /** Whether the sweep sent the manifest. */
  readonly delivered: boolean
}

const INTRODUCTION = `# Faults

What becomes of a crash when the store, the link or the credentials fail. Each row is a test: the real handler and the real
sweep before a Ceph RADOS Gateway, with a proxy in between that fails as the row says (\`test/e2e/faults/scenarios.ts\`), and
this file is written from what came of it (\`npx tap --snapshot test/e2e/faults/faults.test.ts\`).

In every row the handler had taken or refused the last byte within \`hold.seconds_max\` (that the kernel then lets the process go is
what \`test/e2e/faults-kernel.test.ts\` shows, with stores that hang, trickle and are away); a core that is \`full\` was fetched and
is byte for byte what was sent; \`corelift verify --all --content\` finds nothing wrong, no unfinished upload either; and
nothing is left on the node. "At once" is what the store had when the handler ended, while the fault was still there; "after a
sweep" what it had when the fault had passed and \`corelift sweep\` had run once. Handlers and sweeps that are killed, and spools
that are full or broken, have tests of their own: \`test/e2e/spool-killed.test.ts\`, \`test/e2e/spool.test.ts\`.

| Fault | Spool | At once | After a sweep | Sent by | What the record says |
|---|---|---|---|---|---|
`

export function faultsPaper(outcomes: readonly Outcome[]): string {
  return INTRODUCTION + outcomes.map(row).join('')
}

function row({ scenario, before, after, delivered }: Outcome): string {
  const { fault, spool, reason, leavesUpload } = scenario
  const by = delivered ? 'sweep' : 'handler'
  const said =
    reason === undefined ? (delivered ? '`delivery`: what the store had said' : '–') : `reason \`${reason}\``
  const left = leavesUpload ? '; an upload is left for the lifecycle rule, or `verify --repair`' : ''
  return `| ${fault} | ${spool ? 'yes' : 'no'} | ${before} | ${after} | ${by} | ${said}${left} |\n`
}
