// Which lifecycle rules a bucket ought to have for one prefix, and what becomes of those that it has.

import { createHash } from 'node:crypto'
import type { LifecycleRule } from '../store/bucket.ts'
import { BUILDID_PREFIX, CRASHES_PREFIX, INDEX_PREFIX } from '../store/keys.ts'

const DAY_SECONDS = 86_400

/** Long enough for a vacation, short enough for what memory holds. */
const CRASHES_DAYS = 30
/** Of use to crashes of long-lived releases, and stored again at the next crash. */
const BUILDID_DAYS = 90
/**
 * Versions that are no longer the newest: in a versioned bucket an object that expires becomes one, and would stay for
 * ever.
 */
const NONCURRENT_DAYS = 1

export type RuleKind = 'crashes' | 'index' | 'buildid' | 'uploads'

/** Days, where they were asked for. */
export interface Days {
  /** The index too: an entry whose crash is gone names nothing, a crash without one is found by its pod only. */
  readonly crashes?: number | undefined
  readonly buildid?: number | undefined
  readonly uploads?: number | undefined
}

export interface RuleContext {
  readonly prefix: string
  /** The bucket's, corelift's and others'; none where they are not known. */
  readonly rules: readonly LifecycleRule[]
  /** Also when versioning was on once. */
  readonly isVersioned: boolean
  readonly spoolAgeMaxSeconds: number
}

export interface WantedRule extends LifecycleRule {
  readonly kind: RuleKind
  readonly days: number
}

/** @returns The rule's id: other prefixes of the bucket, other clusters, have their own. */
export function ruleId(prefix: string, kind: RuleKind): string {
  return `corelift-${createHash('sha256').update(prefix).digest('hex').slice(0, 8)}-${kind}`
}

/**
 * The rules that corelift wants. Days that are not asked for stay what they are: a second `init` must not shorten what
 * the first was told, and delete.
 */
export function wantedRules(context: RuleContext, days: Days = {}): readonly WantedRule[] {
  const { prefix, isVersioned, spoolAgeMaxSeconds } = context
  const own = (kind: RuleKind) => context.rules.find(({ id }) => id === ruleId(prefix, kind))
  const crashes = days.crashes ?? own('crashes')?.expireDays ?? CRASHES_DAYS
  const buildid = days.buildid ?? own('buildid')?.expireDays ?? BUILDID_DAYS
  const uploads = days.uploads ?? own('uploads')?.abortDays ?? uploadsDaysMin(spoolAgeMaxSeconds) + 1
  const rule = (kind: RuleKind, keys: string, days: number): WantedRule => ({
    kind,
    days,
    id: ruleId(prefix, kind),
    enabled: true,
    prefix: prefix === '' ? keys : `${prefix}/${keys}`,
    expireDays: kind === 'uploads' ? null : days,
    noncurrentDays: kind !== 'uploads' && isVersioned ? NONCURRENT_DAYS : null,
    abortDays: kind === 'uploads' ? days : null,
    more: false,
  })
  return [
    rule('crashes', CRASHES_PREFIX, crashes),
    rule('index', INDEX_PREFIX, crashes),
    rule('buildid', BUILDID_PREFIX, buildid),
    rule('uploads', '', uploads),
  ]
}

/**
 * A part that waits in a node's spool belongs to an upload whose other parts are in the store only: aborted before the
 * spool gives up, they are lost.
 */
export function uploadsDaysMin(spoolAgeMaxSeconds: number): number {
  return Math.ceil(spoolAgeMaxSeconds / DAY_SECONDS)
}

export function isSameRule(a: LifecycleRule, b: LifecycleRule): boolean {
  const fields = ['id', 'enabled', 'prefix', 'expireDays', 'noncurrentDays', 'abortDays', 'more'] as const
  return fields.every(field => a[field] === b[field])
}

/** `1 day`, `30 days`. */
export function dayWords(days: number): string {
  return days === 1 ? '1 day' : `${days} days`
}

/** @returns Rules of others that are in force for some of these objects. */
export function reachingRules(wanted: WantedRule, context: RuleContext): readonly LifecycleRule[] {
  const own = new Set(wantedRules(context).map(({ id }) => id))
  const reaches = ({ id, enabled, prefix }: LifecycleRule) =>
    enabled && !own.has(id) && (prefix.startsWith(wanted.prefix) || wanted.prefix.startsWith(prefix))
  return context.rules.filter(reaches)
}
