// Who crashed, or would: for `corelift info` and `corelift whose`.

import type { Policy } from '../budget/policy.ts'
import type { ContainerDetails, Workload } from '../crash.ts'
import { type Field, renderSections } from './render-fields.ts'
import { renderBytes } from './render.ts'
import type { Colors } from './terminal.ts'
import type { WhoseAnswer } from './whose.ts'

/** @returns What is known of a workload. */
export function workloadFields(workload: Workload): Field[] {
  switch (workload.kind) {
    case 'pod':
      return [
        ['namespace', workload.namespace],
        ['pod', workload.pod],
        ['pod uid', workload.podUid],
        ['container', workload.container],
        ...containerFields(workload),
      ]
    case 'container':
      return [['container', workload.container], ...containerFields(workload)]
    case 'host':
      return [
        ['unit', workload.unit ?? 'none'],
        ['slice', workload.slice],
        ['user', workload.user],
      ]
    case 'unknown':
      return [
        ['workload', `unknown: ${workload.reason}`],
        ['container id', workload.containerId],
        ['pod uid', workload.podUid],
      ]
  }
}

function containerFields(details: ContainerDetails): Field[] {
  const pairs = (label: string, texts: Readonly<Record<string, string>> = {}): Field[] =>
    Object.entries(texts).map(([name, text]) => [label, `${name}=${text}`])
  return [
    ['container id', details.containerId],
    ['restarts', details.restartCount],
    ['image', details.image],
    ['digest', details.imageDigest],
    ['log', details.logPath],
    ['runtime', details.runtime],
    ...pairs('label', details.labels),
    ...pairs('annotation', details.annotations),
  ]
}

/** @returns Who was asked about a workload, and what came of it. */
export function sourceFields(workload: Workload): Field[] {
  return workload.sources.map(({ source, answered, milliseconds, detail }) => {
    const answer = `${answered ? 'answered' : 'did not answer'} in ${milliseconds} ms`
    return [source, detail === undefined ? answer : `${answer}: ${detail}`]
  })
}

/** @returns What may be kept, and what says so: `record (policy.rules[2].capture)`. */
export function policyFields({ capture, coreBytesMax, rate, from }: Policy): Field[] {
  const by = (origin: string | undefined) => (origin === undefined ? '' : ` (${origin})`)
  return [
    ['capture', `${capture}${by(from.capture)}`],
    ['size', `at most ${renderBytes(coreBytesMax)}${by(from.coreBytesMax)}`],
    ['rate', rate && `${rate.cores} cores in ${rate.seconds} s${by(from.rate)}`],
  ]
}

/** @returns What `corelift whose` found, one section for each subject. */
export function renderWhose(answer: WhoseAnswer, colors: Colors): string {
  const { place, workload } = answer
  const sections: Field[][] = [
    [
      ['pid', answer.pid],
      ['comm', answer.comm],
      ...answer.cgroup
        .trimEnd()
        .split('\n')
        .map((line): Field => ['cgroup', line]),
    ],
    workloadFields(workload),
    sourceFields(workload),
    [
      ['found as', `${place.namespace}/${place.pod}`],
      ...policyFields(answer.policy),
      ...answer.policy.warnings.map((warning): Field => ['warning', warning]),
    ],
  ]
  return renderSections(sections, colors)
}
