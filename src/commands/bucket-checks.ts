// What is found about a bucket, whether that is good, and what to do. Nothing is good that was not seen to be.

import type { Config } from '../config/table.ts'
import type {
  Asked,
  BucketEncryption,
  LifecycleRule,
  PublicAccessBlock,
  PublicGrant,
  Unanswered,
} from '../store/bucket.ts'
import { formatDuration } from '../units.ts'
import { dayWords, reachingRules, type RuleContext, uploadsDaysMin, type WantedRule } from './bucket-rules.ts'

/** noted: neither good nor bad by itself. unknown: the server or the credentials do not let it be seen. */
export type Verdict = 'good' | 'noted' | 'bad' | 'unknown'

export interface BucketFinding {
  readonly about: 'lifecycle' | 'encryption' | 'policy' | 'acl' | 'public access block' | 'versioning'
  readonly verdict: Verdict
  readonly found: string
  /** What to do; null: nothing. */
  readonly advice: string | null
}

/** What the bucket says of itself. */
export interface BucketState {
  readonly lifecycle: Asked<readonly LifecycleRule[]>
  readonly encryption: Asked<BucketEncryption>
  readonly block: Asked<PublicAccessBlock>
  readonly policy: Asked<'none' | 'private' | 'public'>
  readonly grants: Asked<readonly PublicGrant[]>
  readonly versioning: Asked<'off' | 'on' | 'suspended'>
}

type About = BucketFinding['about']

/** What seeing each takes. */
const ACTIONS: Record<About, string> = {
  lifecycle: 's3:GetLifecycleConfiguration',
  encryption: 's3:GetEncryptionConfiguration',
  policy: 's3:GetBucketPolicyStatus',
  acl: 's3:GetBucketAcl',
  'public access block': 's3:GetBucketPublicAccessBlock',
  versioning: 's3:GetBucketVersioning',
}

/** What to make sure of by other means, where the server does not say. */
const UNSUPPORTED_ADVICE: Record<About, string> = {
  lifecycle: 'expire crashes/, index/ and buildid/ by other means of the store, and abort unfinished uploads',
  encryption: 'see how the store keeps its disks: cores hold whatever was in memory, keys too',
  policy: 'see that no policy lets everybody read',
  acl: 'see that no ACL lets everybody read',
  'public access block': 'see that nothing lets everybody read',
  versioning: 'where old versions are kept, what expires stays',
}

export function checkBucket(state: BucketState, store: Config['store']): readonly BucketFinding[] {
  const block = 'answer' in state.block ? state.block.answer : undefined
  return [
    checked('encryption', state.encryption, found => checkEncryption(found, store)),
    checked('policy', state.policy, found => checkPolicy(found, block?.restrictPublicBuckets ?? false)),
    checked('acl', state.grants, found => checkGrants(found, block?.ignorePublicAcls ?? false)),
    checked('public access block', state.block, checkBlock),
    checked('versioning', state.versioning, checkVersioning),
  ]
}

/** @returns One finding for each rule that comes in the way; "good" when none does. */
export function checkRules(
  lifecycle: BucketState['lifecycle'],
  wanted: readonly WantedRule[],
  context: RuleContext,
): readonly BucketFinding[] {
  if ('unanswered' in lifecycle) return [unanswered('lifecycle', lifecycle.unanswered)]
  const findings = [...checkUploads(wanted, context), ...checkOthers(wanted, context)]
  if (findings.length > 0) return findings
  return [finding('lifecycle', 'good', 'no rule of others comes in the way')]
}

type Checked = readonly [verdict: Verdict, found: string, advice?: string]

function finding(about: About, verdict: Verdict, found: string, advice?: string): BucketFinding {
  return { about, verdict, found, advice: advice ?? null }
}

function checked<T>(about: About, asked: Asked<T>, check: (answer: T) => Checked): BucketFinding {
  if ('unanswered' in asked) return unanswered(about, asked.unanswered)
  return finding(about, ...check(asked.answer))
}

function unanswered(about: About, why: Unanswered): BucketFinding {
  return why === 'denied'
    ? finding(
        about,
        'unknown',
        'these credentials may not see it',
        `it takes ${ACTIONS[about]} on the bucket`,
      )
    : finding(about, 'unknown', 'this server does not say', UNSUPPORTED_ADVICE[about])
}

function checkEncryption({ algorithm, kmsKeyId }: BucketEncryption, store: Config['store']): Checked {
  const asks = store.encryption === 'bucket-default' ? '' : `; corelift asks for ${store.encryption}`
  if (algorithm !== null)
    return ['good', `${algorithm} by default${kmsKeyId === null ? '' : `, key ${kmsKeyId}`}${asks}`]
  if (asks !== '') return ['good', `none by default${asks}`]
  const advice = 'give the bucket a default encryption, or set store.encryption = "sse-s3"'
  return ['bad', 'none: cores are stored as they come', advice]
}

function checkPolicy(found: 'none' | 'private' | 'public', isRestricted: boolean): Checked {
  if (found === 'none') return ['good', 'there is none']
  if (found === 'private') return ['good', 'not public']
  const advice = 'take the statements for "*" out of the policy of the bucket'
  return isRestricted
    ? ['noted', 'public, but for the public access block', advice]
    : ['bad', 'public: people outside the account may reach the bucket', advice]
}

function checkGrants(grants: readonly PublicGrant[], isIgnored: boolean): Checked {
  if (grants.length === 0) return ['good', 'not public']
  const found = grants.map(({ to, permission }) => `${permission} for ${to}`).join(', ')
  const advice = 'set the ACL of the bucket to private'
  return isIgnored ? ['noted', `${found}, but for the public access block`, advice] : ['bad', found, advice]
}

function checkBlock(block: PublicAccessBlock): Checked {
  const off = Object.entries(block).flatMap(([name, isOn]) => (isOn ? [] : [name]))
  if (off.length === 0) return ['good', 'all of it is on']
  const found = off.length === Object.keys(block).length ? 'off' : `without ${off.join(', ')}`
  return ['noted', found, 'switch all of it on: nothing else keeps the bucket from being made public']
}

function checkVersioning(found: 'off' | 'on' | 'suspended'): Checked {
  if (found === 'off') return ['good', 'off: what expires is gone']
  const advice = 'what is removed by hand, or by corelift verify --repair, stays for as long as its rule says'
  return ['noted', `${found}: what expires is an old version first, and gone a day later`, advice]
}

function checkUploads(wanted: readonly WantedRule[], { spoolAgeMaxSeconds }: RuleContext): BucketFinding[] {
  const daysMin = uploadsDaysMin(spoolAgeMaxSeconds)
  const days = wanted.find(({ kind }) => kind === 'uploads')?.days ?? daysMin
  if (days >= daysMin) return []
  const age = formatDuration(spoolAgeMaxSeconds)
  const found = `uploads are aborted after ${dayWords(days)}, and may wait in a node's spool for ${age} (spool.age_max)`
  return [finding('lifecycle', 'bad', found, `--uploads-days ${daysMin + 1}, or a shorter spool.age_max`)]
}

function checkOthers(wanted: readonly WantedRule[], context: RuleContext): BucketFinding[] {
  const findings = wanted.flatMap(rule =>
    reachingRules(rule, context).flatMap(other => [
      ...checkOther(rule, other),
      ...(other.more ? [checkMore(other)] : []),
    ]),
  )
  // A rule for the whole bucket reaches into each of the prefixes.
  return [...new Map(findings.map(finding => [finding.found, finding])).values()]
}

function checkOther({ kind, days, prefix }: WantedRule, other: LifecycleRule): BucketFinding[] {
  const name = `rule "${other.id}" of others`
  if (kind !== 'uploads') {
    if (other.expireDays === null || other.expireDays >= days) return []
    const found = `${name} expires objects in ${prefix} after ${dayWords(other.expireDays)}, before corelift's own`
    return [
      finding('lifecycle', 'noted', found, 'what comes first is done: change that rule, or ask for its days'),
    ]
  }
  if (other.abortDays === null || other.abortDays >= days) return []
  const found = `${name} aborts unfinished uploads in ${prefix || 'the bucket'} after ${dayWords(other.abortDays)}`
  const advice = `parts of what waits in a spool are lost: take it off the prefix, or give it ${dayWords(days)}`
  return [finding('lifecycle', 'bad', found, advice)]
}

function checkMore({ id }: LifecycleRule): BucketFinding {
  const found = `rule "${id}" of others reaches into the prefix, with tags, sizes, dates or storage classes`
  const advice = 'see that it leaves cores alone: one in an archive cannot be fetched'
  return finding('lifecycle', 'noted', found, advice)
}
