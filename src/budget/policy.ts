// Policy: what may be kept of a crash, by whose it is. The first rule of `[[policy.rules]]` that matches decides; the
// pod's own annotations may lower what comes of it. Pure. A lookup that failed costs no core: what it would have said
// matches no rule, and the rules that are left or the defaults hold.

import type { Config, PolicyRule } from '../config/table.ts'
import type { HostileBytes, Place, Workload } from '../crash.ts'
import { matchesGlob } from '../glob.ts'
import { parseQuantity } from '../units.ts'
import type { Rate } from '../units.ts'

export type Capture = NonNullable<PolicyRule['capture']>

/** What is known of a crash when its policy is decided. */
export interface PolicySubject {
  readonly place: Place
  readonly workload: Workload['kind']
  /** All of them, not the selection that is kept; `undefined`: the lookup failed. */
  readonly labels: Readonly<Record<string, string>> | undefined
  readonly annotations: Readonly<Record<string, string>> | undefined
  /** Signal number. */
  readonly signal: number
  readonly comm: HostileBytes
}

export interface Policy {
  readonly capture: Capture
  /** Bytes of the whole core. */
  readonly coreBytesMax: number
  /** Cores of this container by this rule. */
  readonly rate?: Rate
  /** The rule's number in the configuration, from 1; absent: none matched. */
  readonly rule?: number
  /** Where each comes from: `policy.rules[2].rate`, `annotation corelift.io/capture`; absent: the default. */
  readonly from: { readonly capture?: string; readonly coreBytesMax?: string; readonly rate?: string }
}

export interface PolicyDecision extends Policy {
  /** Annotations that were not understood, without their values. */
  readonly warnings: readonly string[]
}

const CAPTURE_ANNOTATION = 'corelift.io/capture'
const SIZE_ANNOTATION = 'corelift.io/core-bytes-max'

/** How much is kept. */
const CAPTURE_RANK: Readonly<Record<Capture, number>> = { full: 3, mini: 2, record: 1, off: 0 }

/** Decides what may be kept of a crash. */
export function decidePolicy(
  subject: PolicySubject,
  config: Pick<Config, 'policy' | 'budget'>,
): PolicyDecision {
  const { rules, podAnnotations } = config.policy
  const index = rules.findIndex(rule => matchesRule(rule, subject))
  const configured = configuredPolicy(rules[index], index + 1, config.budget)
  const mayLower = podAnnotations && subject.workload === 'pod'
  return mayLower ? loweredPolicy(configured, subject.annotations ?? {}) : configured
}

/**
 * Says whether labels or annotations of such a workload can change what `decidePolicy` says, so that it is worth waiting
 * for them.
 */
export function needsDetails({ policy }: Pick<Config, 'policy'>, kind: Workload['kind']): boolean {
  if (kind !== 'pod' && kind !== 'container') return false
  if (kind === 'pod' && policy.podAnnotations) return true
  return policy.rules.some(rule => rule.label !== undefined || rule.annotation !== undefined)
}

function matchesRule(rule: PolicyRule, { place, workload, labels, annotations, ...subject }: PolicySubject) {
  // What stands in for the names of an unknown workload is nobody's name.
  const { pod, container } = workload === 'unknown' ? { pod: undefined, container: undefined } : place
  return (
    matchesSome(rule.namespace?.filter(isFor(place.namespace)), place.namespace) &&
    matchesSome(rule.pod, pod) &&
    matchesSome(rule.container, container) &&
    matchesEvery(rule.label, labels) &&
    matchesEvery(rule.annotation, annotations) &&
    (rule.signal?.includes(subject.signal) ?? true) &&
    // The bytes that spell the glob, in UTF-8.
    matchesSome(
      rule.comm?.map(glob => latin1(Buffer.from(glob))),
      latin1(subject.comm),
    )
  )
}

/** As with a shell's leading dot: `*` means every namespace of Kubernetes, not what stands for having none. */
function isFor(namespace: string): (glob: string) => boolean {
  return glob => !namespace.startsWith('_') || glob.startsWith('_')
}

function matchesSome(globs: readonly string[] | undefined, text: string | undefined): boolean {
  return globs === undefined || (text !== undefined && globs.some(glob => matchesGlob(glob, text)))
}

function matchesEvery(
  globs: Readonly<Record<string, string>> | undefined,
  texts: Readonly<Record<string, string>> | undefined,
): boolean {
  if (globs === undefined) return true
  if (texts === undefined) return false
  return Object.entries(globs).every(
    ([name, glob]) => Object.hasOwn(texts, name) && matchesGlob(glob, texts[name]!),
  )
}

/** A character a byte: a name need not be UTF-8. */
function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1')
}

/** @param rule - The one that matched. @param number - From 1. */
function configuredPolicy(
  rule: PolicyRule | undefined,
  number: number,
  budget: Config['budget'],
): PolicyDecision {
  const { coreBytesMax } = budget
  if (rule === undefined) return { capture: 'full', coreBytesMax, from: {}, warnings: [] }
  const name = `policy.rules[${number}]`
  return {
    capture: rule.capture ?? 'full',
    coreBytesMax: rule.coreBytesMax ?? coreBytesMax,
    ...(rule.rate && { rate: rule.rate }),
    rule: number,
    from: {
      ...(rule.capture !== undefined && { capture: `${name}.capture` }),
      ...(rule.coreBytesMax !== undefined && { coreBytesMax: `${name}.core_bytes_max` }),
      ...(rule.rate && { rate: `${name}.rate` }),
    },
    warnings: [],
  }
}

/** A pod can have less kept of it; asking for more, or for the same, changes nothing. */
function loweredPolicy(
  policy: PolicyDecision,
  annotations: Readonly<Record<string, string>>,
): PolicyDecision {
  const valueOf = (name: string) => (Object.hasOwn(annotations, name) ? annotations[name] : undefined)
  const [captureText, sizeText] = [valueOf(CAPTURE_ANNOTATION), valueOf(SIZE_ANNOTATION)]
  const capture = captureText === undefined ? policy.capture : asCapture(captureText)
  const coreBytesMax = sizeText === undefined ? policy.coreBytesMax : parseQuantity(sizeText)

  const lowersCapture = capture !== undefined && CAPTURE_RANK[capture] < CAPTURE_RANK[policy.capture]
  const lowersSize = coreBytesMax !== undefined && coreBytesMax < policy.coreBytesMax
  const notUnderstood = [
    capture === undefined && `${CAPTURE_ANNOTATION} is none of ${Object.keys(CAPTURE_RANK).join(', ')}`,
    coreBytesMax === undefined && `${SIZE_ANNOTATION} is no size such as 512Mi or 4GiB`,
  ].filter(text => text !== false)
  return {
    ...policy,
    ...(lowersCapture && { capture }),
    ...(lowersSize && { coreBytesMax }),
    from: {
      ...policy.from,
      ...(lowersCapture && { capture: `annotation ${CAPTURE_ANNOTATION}` }),
      ...(lowersSize && { coreBytesMax: `annotation ${SIZE_ANNOTATION}` }),
    },
    warnings: notUnderstood.map(text => `annotation ${text}`),
  }
}

function asCapture(text: string): Capture | undefined {
  return Object.hasOwn(CAPTURE_RANK, text) ? (text as Capture) : undefined
}
