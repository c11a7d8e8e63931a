// S3's lifecycle configuration, which can only be replaced as a whole. Rules of others are carried over as the text they
// came in: the SDK drops what it does not know, and a rule that loses a filter deletes more than it did.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html

import type { LifecycleRule as S3Rule } from '@aws-sdk/client-s3'
import type { LifecycleRule } from './bucket.ts'

/** Elements that `LifecycleRule` has a place for; Status and Filter have one each. */
const READ_ELEMENTS = new Set([
  ...['Rule', 'ID', 'Status', 'Prefix', 'Filter', 'And', 'Expiration', 'Days', 'NoncurrentVersionExpiration'],
  ...['NoncurrentDays', 'AbortIncompleteMultipartUpload', 'DaysAfterInitiation'],
])

/** A rule as it came: what the SDK makes of it, and its text. */
export interface RawRule {
  readonly parsed: S3Rule
  readonly xml: string
}

/**
 * Pairs the rules with their texts.
 * @param xml - The whole answer.
 * @returns undefined when they do not pair: then nothing must be written back.
 */
export function pairRules(parsed: readonly S3Rule[], xml: string): readonly RawRule[] | undefined {
  // Rules do not nest, and a `<` in a text is escaped; what else XML allows (CDATA, comments) S3 does not send.
  const texts = /<!/.test(xml) ? [] : (xml.match(/<Rule>.*?<\/Rule>/gs) ?? [])
  if (texts.length !== parsed.length) return undefined
  return parsed.map((rule, index) => ({ parsed: rule, xml: texts[index]! }))
}

export function readRule({ parsed, xml }: RawRule): LifecycleRule {
  const { ID, Status, Filter, Expiration, NoncurrentVersionExpiration, AbortIncompleteMultipartUpload } =
    parsed
  const elements = [...xml.matchAll(/<([^\s/>]+)/g)].map(([, name]) => name!)
  return {
    id: ID ?? '',
    enabled: Status === 'Enabled',
    prefix: Filter?.Prefix ?? Filter?.And?.Prefix ?? parsed.Prefix ?? '',
    expireDays: Expiration?.Days ?? null,
    noncurrentDays: NoncurrentVersionExpiration?.NoncurrentDays ?? null,
    abortDays: AbortIncompleteMultipartUpload?.DaysAfterInitiation ?? null,
    more: elements.some(name => !READ_ELEMENTS.has(name)),
  }
}

/**
 * @param isLegacy - The prefix beside the filter's place, as before 2016: S3 takes either spelling, but not both in one
 * configuration.
 */
export function writeRule(rule: LifecycleRule, isLegacy: boolean): S3Rule {
  const { id, enabled, prefix, expireDays, noncurrentDays, abortDays } = rule
  return {
    ID: id,
    Status: enabled ? 'Enabled' : 'Disabled',
    ...(isLegacy ? { Prefix: prefix } : { Filter: { Prefix: prefix } }),
    ...(expireDays !== null && { Expiration: { Days: expireDays } }),
    ...(noncurrentDays !== null && { NoncurrentVersionExpiration: { NoncurrentDays: noncurrentDays } }),
    ...(abortDays !== null && { AbortIncompleteMultipartUpload: { DaysAfterInitiation: abortDays } }),
  }
}

export function isLegacyRule({ parsed, xml }: RawRule): boolean {
  return parsed.Prefix !== undefined && !xml.includes('<Filter')
}

/**
 * Adds rules to a configuration of others.
 * @param own - A whole configuration, as the SDK writes it.
 */
export function withOthers(own: string, others: readonly RawRule[]): string {
  const end = own.lastIndexOf('</LifecycleConfiguration>')
  return own.slice(0, end) + others.map(({ xml }) => xml).join('') + own.slice(end)
}
