// An S3 bucket's own settings, for `corelift bucket`. Servers that are not AWS lack some of it, and answer in many ways:
// an error of theirs, or a listing of the bucket (Ceph 16, of its encryption). None of these may pass for "all is well".

import {
  GetBucketAclCommand,
  GetBucketEncryptionCommand,
  GetBucketLifecycleConfigurationCommand,
  GetBucketPolicyStatusCommand,
  GetBucketVersioningCommand,
  GetPublicAccessBlockCommand,
  PutBucketLifecycleConfigurationCommand,
} from '@aws-sdk/client-s3'
import type {
  GetBucketAclCommandOutput,
  GetBucketEncryptionCommandOutput,
  GetBucketLifecycleConfigurationCommandOutput,
  GetBucketPolicyStatusCommandOutput,
  GetBucketVersioningCommandOutput,
  GetPublicAccessBlockCommandOutput,
  S3Client,
} from '@aws-sdk/client-s3'
import { CoreliftError } from '../errors.ts'
import { printable } from '../printable.ts'
import type {
  Asked,
  BucketAdmin,
  BucketEncryption,
  LifecycleRule,
  PublicAccessBlock,
  PublicGrant,
  Unanswered,
} from './bucket.ts'
import { keepAnswer, replaceBody } from './s3-body.ts'
import { createClient } from './s3-client.ts'
import type { S3StoreOptions } from './s3-client.ts'
import { protocolError, translateS3Error } from './s3-errors.ts'
import { isLegacyRule, pairRules, type RawRule, readRule, withOthers, writeRule } from './s3-lifecycle.ts'

/**
 * Sends nothing yet.
 * @throws CoreliftError `E_CONFIG` when the CA file cannot be read.
 */
export async function openS3Bucket(options: S3StoreOptions): Promise<BucketAdmin> {
  return new S3Bucket(await createClient(options), options)
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html */
const PUBLIC_GROUPS: Record<string, PublicGrant['to']> = {
  'http://acs.amazonaws.com/groups/global/AllUsers': 'everybody',
  'http://acs.amazonaws.com/groups/global/AuthenticatedUsers': 'every AWS account',
}

type AnyCommand = Parameters<S3Client['send']>[0]

/** A question about the bucket. */
interface Question<Output, T> {
  readonly about: string
  /** Of the SDK, with this output. */
  readonly command: object
  /** The elements that an answer is in: they tell one from what a server says to a question that it does not know. */
  readonly roots: readonly string[]
  /** S3's error code for "there is none", and what that means. */
  readonly absent?: readonly [code: string, answer: T]
  /** @returns undefined when the output is no answer. */
  readonly read: (output: Output, xml: string) => T | undefined
}

/** What can only be replaced as a whole. */
interface Configuration {
  readonly rules: readonly RawRule[]
  /** Goes with the rules: without it, S3 takes its own default, and others' transitions change. */
  readonly transitionSize: GetBucketLifecycleConfigurationCommandOutput['TransitionDefaultMinimumObjectSize']
}

class S3Bucket implements BucketAdmin {
  readonly bucket: string
  readonly prefix: string
  readonly region: string
  readonly #client: S3Client
  readonly #timeoutMs: number

  constructor(client: S3Client, options: S3StoreOptions) {
    const { bucket, prefix, region, requestTimeoutSeconds } = options
    this.bucket = bucket
    this.prefix = prefix
    this.region = region
    this.#client = client
    this.#timeoutMs = requestTimeoutSeconds * 1000
  }

  async lifecycle(): Promise<Asked<readonly LifecycleRule[]>> {
    const asked = await this.#configuration()
    return 'answer' in asked ? { answer: asked.answer.rules.map(readRule) } : asked
  }

  async setRules(rules: readonly LifecycleRule[]): Promise<void> {
    const operation = `set lifecycle rules of ${this.bucket}`
    const asked = await this.#configuration()
    if ('unanswered' in asked) throw noRules(operation, asked.unanswered)
    const ids = new Set(rules.map(({ id }) => id))
    const others = asked.answer.rules.filter(({ parsed }) => !ids.has(parsed.ID ?? ''))
    const command = new PutBucketLifecycleConfigurationCommand({
      Bucket: this.bucket,
      LifecycleConfiguration: { Rules: rules.map(rule => writeRule(rule, others.some(isLegacyRule))) },
      TransitionDefaultMinimumObjectSize: asked.answer.transitionSize,
    })
    replaceBody(command, own => withOthers(own, others))
    try {
      await this.#client.send(command, this.#deadline())
    } catch (error) {
      const unanswered = unansweredBy(error)
      throw unanswered ? noRules(operation, unanswered, error) : translateS3Error(error, operation)
    }
  }

  encryption(): Promise<Asked<BucketEncryption>> {
    return this.#ask<GetBucketEncryptionCommandOutput, BucketEncryption>({
      about: 'encryption',
      command: new GetBucketEncryptionCommand({ Bucket: this.bucket }),
      roots: ['ServerSideEncryptionConfiguration'],
      absent: ['ServerSideEncryptionConfigurationNotFoundError', { algorithm: null, kmsKeyId: null }],
      read: ({ ServerSideEncryptionConfiguration: found }) => {
        const byDefault = found?.Rules?.[0]?.ApplyServerSideEncryptionByDefault
        return { algorithm: byDefault?.SSEAlgorithm ?? null, kmsKeyId: byDefault?.KMSMasterKeyID ?? null }
      },
    })
  }

  publicAccessBlock(): Promise<Asked<PublicAccessBlock>> {
    const blockOf = (found: GetPublicAccessBlockCommandOutput['PublicAccessBlockConfiguration']) => ({
      blockPublicAcls: found?.BlockPublicAcls ?? false,
      ignorePublicAcls: found?.IgnorePublicAcls ?? false,
      blockPublicPolicy: found?.BlockPublicPolicy ?? false,
      restrictPublicBuckets: found?.RestrictPublicBuckets ?? false,
    })
    return this.#ask<GetPublicAccessBlockCommandOutput, PublicAccessBlock>({
      about: 'public access block',
      command: new GetPublicAccessBlockCommand({ Bucket: this.bucket }),
      // The second is Ceph's.
      roots: ['PublicAccessBlockConfiguration', 'BlockPublicAccessBlockConfiguration'],
      absent: ['NoSuchPublicAccessBlockConfiguration', blockOf(undefined)],
      read: ({ PublicAccessBlockConfiguration: found }) => blockOf(found),
    })
  }

  policy(): Promise<Asked<'none' | 'private' | 'public'>> {
    return this.#ask<GetBucketPolicyStatusCommandOutput, 'none' | 'private' | 'public'>({
      about: 'policy status',
      command: new GetBucketPolicyStatusCommand({ Bucket: this.bucket }),
      roots: ['PolicyStatus'],
      absent: ['NoSuchBucketPolicy', 'none'],
      read: ({ PolicyStatus: { IsPublic } = {} }) =>
        IsPublic === undefined ? undefined : IsPublic ? 'public' : 'private',
    })
  }

  publicGrants(): Promise<Asked<readonly PublicGrant[]>> {
    return this.#ask<GetBucketAclCommandOutput, readonly PublicGrant[]>({
      about: 'ACL',
      command: new GetBucketAclCommand({ Bucket: this.bucket }),
      roots: ['AccessControlPolicy'],
      read: ({ Grants }) =>
        Grants?.flatMap(({ Grantee, Permission = 'something' }) => {
          const to = PUBLIC_GROUPS[Grantee?.URI ?? '']
          return to === undefined ? [] : [{ to, permission: Permission }]
        }),
    })
  }

  versioning(): Promise<Asked<'off' | 'on' | 'suspended'>> {
    return this.#ask<GetBucketVersioningCommandOutput, 'off' | 'on' | 'suspended'>({
      about: 'versioning',
      command: new GetBucketVersioningCommand({ Bucket: this.bucket }),
      roots: ['VersioningConfiguration'],
      read: ({ Status }) => (Status === 'Enabled' ? 'on' : Status === 'Suspended' ? 'suspended' : 'off'),
    })
  }

  close(): void {
    this.#client.destroy()
  }

  #configuration(): Promise<Asked<Configuration>> {
    const about = 'lifecycle rules'
    return this.#ask<GetBucketLifecycleConfigurationCommandOutput, Configuration>({
      about,
      command: new GetBucketLifecycleConfigurationCommand({ Bucket: this.bucket }),
      roots: ['LifecycleConfiguration'],
      absent: ['NoSuchLifecycleConfiguration', { rules: [], transitionSize: undefined }],
      read: ({ Rules = [], TransitionDefaultMinimumObjectSize: transitionSize }, xml) => {
        const rules = pairRules(Rules, xml)
        if (rules === undefined) throw protocolError(`ask for ${about}`, 'the rules cannot be told apart')
        return { rules, transitionSize }
      },
    })
  }

  async #ask<Output, T>({ about, command, roots, absent, read }: Question<Output, T>): Promise<Asked<T>> {
    const answerOf = keepAnswer(command)
    try {
      const output: unknown = await this.#client.send(command as AnyCommand, this.#deadline())
      const xml = answerOf()
      const found = roots.includes(rootOf(xml)) ? read(output as Output, xml) : undefined
      return found === undefined ? { unanswered: 'unsupported' } : { answer: found }
    } catch (error) {
      if (absent?.[0] === (error as Error).name) return { answer: absent[1] }
      const unanswered = unansweredBy(error)
      if (unanswered) return { unanswered }
      throw translateS3Error(error, `ask for ${about} of ${this.bucket}`)
    }
  }

  #deadline(): { abortSignal: AbortSignal } {
    return { abortSignal: AbortSignal.timeout(this.#timeoutMs) }
  }
}

/** @returns The first element's name, without its namespace. */
function rootOf(xml: string): string {
  return /^\s*(?:<\?.*?\?>\s*)*<(?:[\w-]+:)?(\w+)/s.exec(xml)?.[1] ?? ''
}

function unansweredBy(error: unknown): Unanswered | undefined {
  if (error instanceof CoreliftError) return undefined
  const { name, $metadata } = error as { name?: string; $metadata?: { httpStatusCode?: number } }
  const status = $metadata?.httpStatusCode
  if (status === 405 || status === 501 || name === 'NotImplemented' || name === 'MethodNotAllowed')
    return 'unsupported'
  return name === 'AccessDenied' || name === 'AllAccessDisabled' ? 'denied' : undefined
}

function noRules(operation: string, why: Unanswered, cause?: unknown): CoreliftError {
  const isDenied = why === 'denied'
  const words = isDenied ? 'access denied' : 'the store has no lifecycle rules'
  const hint = isDenied
    ? 'it takes s3:GetLifecycleConfiguration and s3:PutLifecycleConfiguration on the bucket'
    : 'expire crashes/, index/ and buildid/ by other means of the store, and abort unfinished uploads'
  return new CoreliftError('E_STORE_DENIED', `${printable(operation)}: ${words}`, { hint, cause })
}
