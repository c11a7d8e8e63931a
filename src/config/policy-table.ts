// The keys of a rule, `[[policy.rules]]`: the part of the table of keys that has a table of its own.

import { TIB } from '../units.ts'
import type { RuleKey } from './key-types.ts'

/** As long as a pod's name may be, with a star: no name needs more. */
const ruleGlob = { pattern: /^\P{Cc}{1,254}$/u, words: 'a glob' }
/** A task's name has 15 bytes (TASK_COMM_LEN, proc_pid_comm(5)): a glob with more text would never match. */
const commGlob = {
  pattern: /^(?=.)(?:\**[^*\p{Cc}]){0,15}\**$/u,
  words: 'a glob of at most 15 characters beside its stars',
}

/** What a rule of `[[policy.rules]]` may ask for. */
export const POLICY_MATCHERS = {
  namespace: {
    type: 'globs',
    form: ruleGlob,
    text: 'Namespace of the pod. `_host`, `_container` and `_unknown` stand for what is in none: only a glob that begins with `_` means them.',
  },
  pod: {
    type: 'globs',
    form: ruleGlob,
    text: "Name of the pod; of the container where it has no pod, of the node for the host's processes.",
  },
  container: { type: 'globs', form: ruleGlob, text: 'Name of the container; systemd unit on the host.' },
  label: { type: 'globs-by-name', text: 'Labels of the pod or container: it must have every one.' },
  annotation: { type: 'globs-by-name', text: 'Annotations: the same.' },
  signal: { type: 'signals', text: 'Signal of the crash.' },
  comm: {
    type: 'globs',
    form: commGlob,
    text: 'Name of the process, of which the kernel keeps 15 bytes.',
  },
} as const satisfies Record<string, RuleKey>

/** What a rule may say about a crash that it matches. */
export const POLICY_ACTIONS = {
  capture: {
    type: 'choice',
    choices: ['full', 'mini', 'record', 'off'],
    text: 'What to keep: the core; a mini core, which has every stack in a megabyte; a record alone; nothing but a line in the log. Not set: the core.',
  },
  core_bytes_max: {
    type: 'size',
    min: 0,
    max: 1024 * TIB,
    text: 'In place of budget.core_bytes_max, below it or above.',
  },
  rate: {
    type: 'rate',
    text: 'In place of budget.workload_full: full or trimmed cores of one container by this rule, evenly refilled. What is over it leaves a mini core.',
  },
} as const satisfies Record<string, RuleKey>
