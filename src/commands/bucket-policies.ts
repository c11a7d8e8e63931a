// The least that IAM has to allow, as documents to paste. Which action each request needs:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html (multipart uploads: s3:PutObject for all but
// aborting; with SSE-KMS kms:GenerateDataKey to begin, kms:Decrypt for parts and completion).

import { BUILDID_PREFIX } from '../store/keys.ts'

export interface PolicyFacts {
  readonly bucket: string
  readonly prefix: string
  readonly region: string
  /** As it was configured: an id, an alias, or the ARN of either; null: none that would have to be allowed. */
  readonly kmsKeyId: string | null
}

export interface PolicyStatement {
  readonly Sid: string
  readonly Effect: 'Allow' | 'Deny'
  readonly Principal?: '*'
  readonly Action: readonly string[]
  readonly Resource: readonly string[]
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>
}

export interface PolicyDocument {
  readonly Version: '2012-10-17'
  readonly Statement: readonly PolicyStatement[]
}

export interface BucketPolicies {
  /** The handler and the sweep: they write, and read nothing but which programs are there. */
  readonly nodes: PolicyDocument
  /** `ls`, `info`, `get`. */
  readonly developers: PolicyDocument
  /** `verify --repair`, `bucket show` and `bucket init` too. */
  readonly admins: PolicyDocument
  /** For the bucket itself: no request without TLS. To be merged with the policy that it has. */
  readonly bucket: PolicyDocument
}

export function bucketPolicies(facts: PolicyFacts): BucketPolicies {
  const bucket = `arn:${partitionOf(facts.region)}:s3:::${facts.bucket}`
  const keys = `${folder(facts)}*`
  const objects = `${bucket}/${keys}`
  const list = allow('CoreliftList', ['s3:ListBucket'], bucket, {
    // What is listed always begins with the prefix.
    ...(facts.prefix !== '' && { StringLike: { 's3:prefix': [keys] } }),
  })
  const insecure = { Bool: { 'aws:SecureTransport': 'false' } }
  return {
    nodes: document(
      allow('CoreliftPut', ['s3:PutObject', 's3:AbortMultipartUpload'], objects),
      // Which executables and libraries are there already; no memory of anybody is in them.
      allow('CoreliftKnow', ['s3:GetObject'], `${bucket}/${folder(facts)}${BUILDID_PREFIX}*`),
      ...kms(facts, ['kms:GenerateDataKey', 'kms:Decrypt']),
    ),
    developers: document(
      allow('CoreliftGet', ['s3:GetObject'], objects),
      list,
      ...kms(facts, ['kms:Decrypt']),
    ),
    admins: document(
      allow('CoreliftRepair', ['s3:GetObject', 's3:PutObject', ...REPAIR_ACTIONS], objects),
      list,
      allow('CoreliftBucket', BUCKET_ACTIONS, bucket),
      ...kms(facts, ['kms:GenerateDataKey', 'kms:Decrypt']),
    ),
    bucket: document({
      Sid: 'CoreliftTlsOnly',
      Effect: 'Deny',
      Principal: '*',
      Action: ['s3:*'],
      Resource: [objects],
      Condition: insecure,
    }),
  }
}

const REPAIR_ACTIONS = ['s3:DeleteObject', 's3:AbortMultipartUpload']

/** The listing of uploads knows no condition on the prefix. */
const BUCKET_ACTIONS = [
  's3:ListBucketMultipartUploads',
  's3:GetLifecycleConfiguration',
  's3:PutLifecycleConfiguration',
  's3:GetEncryptionConfiguration',
  's3:GetBucketPublicAccessBlock',
  's3:GetBucketPolicyStatus',
  's3:GetBucketAcl',
  's3:GetBucketVersioning',
]

function document(...Statement: readonly PolicyStatement[]): PolicyDocument {
  return { Version: '2012-10-17', Statement }
}

function allow(
  Sid: string,
  Action: readonly string[],
  resource: string,
  condition: NonNullable<PolicyStatement['Condition']> = {},
): PolicyStatement {
  const isConditional = Object.keys(condition).length > 0
  return {
    Sid,
    Effect: 'Allow',
    Action,
    Resource: [resource],
    ...(isConditional && { Condition: condition }),
  }
}

/** The key is used by S3 alone: who holds these credentials cannot decrypt with it elsewhere. */
function kms({ kmsKeyId, region }: PolicyFacts, actions: readonly string[]): readonly PolicyStatement[] {
  if (kmsKeyId === null) return []
  const partition = partitionOf(region)
  const domain = partition === 'aws-cn' ? 'amazonaws.com.cn' : 'amazonaws.com'
  const viaS3 = { StringEquals: { 'kms:ViaService': `s3.${region}.${domain}` } }
  const keys = `arn:${partition}:kms:${region}:*:key/`
  const alias = /(?:^|:)(alias\/.+)$/.exec(kmsKeyId)?.[1]
  // IAM takes no alias for a resource.
  if (alias !== undefined) {
    const named = { 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': [alias] } }
    return [allow('CoreliftKey', actions, `${keys}*`, { ...viaS3, ...named })]
  }
  const key = kmsKeyId.startsWith('arn:') ? kmsKeyId : keys + kmsKeyId
  return [allow('CoreliftKey', actions, key, viaS3)]
}

function partitionOf(region: string): string {
  return region.startsWith('cn-') ? 'aws-cn' : region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws'
}

/** What every key begins with. */
function folder({ prefix }: PolicyFacts): string {
  return prefix === '' ? '' : `${literal(prefix)}/`
}

/** Characters that IAM would take for a pattern or a variable. */
function literal(text: string): string {
  return text.replaceAll(/[*?$]/g, character => `\${${character}}`)
}
