// `corelift bucket show` and `bucket init`: how long the bucket keeps what, who can read it, and what IAM has to allow.

import type { Config } from '../config/table.ts'
import { CoreliftError, EXIT, type ExitCode } from '../errors.ts'
import type { Asked, BucketAdmin } from '../store/bucket.ts'
import { type BucketFinding, type BucketState, checkBucket, checkRules } from './bucket-checks.ts'
import { bucketPolicies, type BucketPolicies } from './bucket-policies.ts'
import {
  type Days,
  isSameRule,
  type RuleContext,
  type RuleKind,
  type WantedRule,
  wantedRules,
} from './bucket-rules.ts'

/** What the configuration says of the store, and of what waits for it. */
export type BucketFacts = Pick<Config, 'store' | 'spool'>

export interface BucketRule {
  readonly kind: RuleKind
  readonly id: string
  readonly prefix: string
  /** That corelift wants; those that are set, unless others were asked for. */
  readonly days: number
  /** Days of the rule that is there; null: there is none, or it is not known. */
  readonly daysFound: number | null
  /** differs: in its days, its prefix, or because it is disabled. */
  readonly state: 'set' | 'absent' | 'differs' | 'unknown'
  /** What `init` did, or would do. */
  readonly change: 'added' | 'changed' | null
}

export interface BucketReport {
  readonly bucket: string
  readonly prefix: string
  /** dry-run: `change` says what would be done. */
  readonly mode: 'show' | 'init' | 'dry-run'
  readonly rules: readonly BucketRule[]
  readonly findings: readonly BucketFinding[]
  readonly policies: BucketPolicies
}

export interface InitOptions {
  readonly days: Days
  readonly dryRun: boolean
}

/** Asks, and changes nothing. @throws CoreliftError `E_STORE_…` */
export async function bucketShow(admin: BucketAdmin, facts: BucketFacts): Promise<BucketReport> {
  const state = await ask(admin)
  const context = contextOf(admin, facts, state)
  return report(admin, facts, 'show', state, context, wantedRules(context))
}

/**
 * Sets the lifecycle rules of the store's prefix. Others' stay, and so do the days of those that corelift set before,
 * unless others are asked for.
 * @throws CoreliftError `E_STORE_DENIED` where the store has no lifecycle rules, or does not let them be changed.
 */
export async function bucketInit(
  admin: BucketAdmin,
  facts: BucketFacts,
  { days, dryRun }: InitOptions,
): Promise<BucketReport> {
  const before = await ask(admin)
  const context = contextOf(admin, facts, before)
  const wanted = wantedRules(context, days)
  const changes = new Map(wanted.flatMap(rule => changeOf(rule, before.lifecycle)))
  if (dryRun) return report(admin, facts, 'dry-run', before, context, wanted, changes)
  // Where the rules are not known all are sent, for the error that says why they cannot be.
  if (changes.size > 0 || 'unanswered' in before.lifecycle) await admin.setRules(wanted)
  // What is told is what the store has, not what it was sent.
  const after = { ...before, lifecycle: await admin.lifecycle() }
  return report(admin, facts, 'init', after, contextOf(admin, facts, after), wanted, changes)
}

/** @returns `EXIT.store` where something is bad, or rules are not as they should be. */
export function bucketExit({ mode, rules, findings }: BucketReport): ExitCode {
  const isBad = findings.some(({ verdict }) => verdict === 'bad')
  const isUnset = mode !== 'dry-run' && rules.some(({ state }) => state === 'absent' || state === 'differs')
  return isBad || isUnset ? EXIT.store : EXIT.ok
}

/** What `init` is given on the command line, as texts. @throws CoreliftError `E_USAGE` */
export function parseDays(options: {
  readonly crashesDays?: string
  readonly buildidDays?: string
  readonly uploadsDays?: string
}): Days {
  const { crashesDays, buildidDays, uploadsDays } = options
  return {
    crashes: parseDay('--crashes-days', crashesDays),
    buildid: parseDay('--buildid-days', buildidDays),
    uploads: parseDay('--uploads-days', uploadsDays),
  }
}

function parseDay(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text)
  throw new CoreliftError('E_USAGE', `${option} takes whole days, 1 to 99999`, {
    hint: 'for ever is a rule that is not there: remove it after init, or disable it',
  })
}

async function ask(admin: BucketAdmin): Promise<BucketState> {
  return {
    lifecycle: await admin.lifecycle(),
    encryption: await admin.encryption(),
    block: await admin.publicAccessBlock(),
    policy: await admin.policy(),
    grants: await admin.publicGrants(),
    versioning: await admin.versioning(),
  }
}

function answerOf<T>(asked: Asked<T>): T | undefined {
  return 'answer' in asked ? asked.answer : undefined
}

function contextOf({ prefix }: BucketAdmin, facts: BucketFacts, state: BucketState): RuleContext {
  const versioning = answerOf(state.versioning)
  return {
    prefix,
    rules: answerOf(state.lifecycle) ?? [],
    isVersioned: versioning !== undefined && versioning !== 'off',
    spoolAgeMaxSeconds: facts.spool.ageMax,
  }
}

type Changes = ReadonlyMap<RuleKind, 'added' | 'changed'>

function changeOf(
  wanted: WantedRule,
  lifecycle: BucketState['lifecycle'],
): [RuleKind, 'added' | 'changed'][] {
  const { state } = ruleState(wanted, lifecycle)
  if (state === 'absent') return [[wanted.kind, 'added']]
  return state === 'differs' ? [[wanted.kind, 'changed']] : []
}

function ruleState(
  wanted: WantedRule,
  lifecycle: BucketState['lifecycle'],
): Pick<BucketRule, 'state' | 'daysFound'> {
  const rules = answerOf(lifecycle)
  if (rules === undefined) return { state: 'unknown', daysFound: null }
  const found = rules.find(({ id }) => id === wanted.id)
  if (found === undefined) return { state: 'absent', daysFound: null }
  const daysFound = found.expireDays ?? found.abortDays
  return { state: isSameRule(found, wanted) ? 'set' : 'differs', daysFound }
}

function report(
  { bucket, prefix, region }: BucketAdmin,
  { store }: BucketFacts,
  mode: BucketReport['mode'],
  state: BucketState,
  context: RuleContext,
  wanted: readonly WantedRule[],
  changes: Changes = new Map(),
): BucketReport {
  return {
    bucket,
    prefix,
    mode,
    rules: wanted.map(rule => ({
      kind: rule.kind,
      id: rule.id,
      prefix: rule.prefix,
      days: rule.days,
      ...ruleState(rule, state.lifecycle),
      change: changes.get(rule.kind) ?? null,
    })),
    findings: [...checkRules(state.lifecycle, wanted, context), ...checkBucket(state, store)],
    policies: bucketPolicies({ bucket, prefix, region, kmsKeyId: kmsKeyOf(state, store) }),
  }
}

/** @returns null also for the account's own key for S3, which everybody who may use S3 may use. */
function kmsKeyOf({ encryption }: BucketState, store: Config['store']): string | null {
  const byDefault = answerOf(encryption)
  if (store.encryption === 'sse-s3') return null
  if (store.encryption === 'sse-kms' && store.kmsKeyId !== undefined) return store.kmsKeyId
  return byDefault?.algorithm?.startsWith('aws:kms') ? byDefault.kmsKeyId : null
}
