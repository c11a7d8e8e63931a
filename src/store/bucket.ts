// What `corelift bucket` asks of the bucket itself: how long it keeps what, and who can read it. The store (store.ts)
// needs none of it. Adapter: s3-bucket.ts.

/** Why a question has no answer. Neither says anything about the bucket: what is not known is never good. */
export type Unanswered =
  /** The server does not have what was asked about. */
  | 'unsupported'
  /** The credentials may not see it. */
  | 'denied'

export type Asked<T> = { readonly answer: T } | { readonly unanswered: Unanswered }

/** A lifecycle rule as far as corelift reads it. */
export interface LifecycleRule {
  readonly id: string
  readonly enabled: boolean
  /** Of the objects' names in the bucket; empty: all of them. */
  readonly prefix: string
  /** Days after which an object expires; null: it does not by this rule. */
  readonly expireDays: number | null
  /** Days after which a version that is no longer the newest is deleted. */
  readonly noncurrentDays: number | null
  /** Days after which an unfinished upload is aborted. */
  readonly abortDays: number | null
  /** There is more to it: tags, sizes, dates, other classes of storage. corelift's own rules are never so. */
  readonly more: boolean
}

export interface BucketEncryption {
  /** `AES256`, `aws:kms` and the like; null: objects are stored as they come. */
  readonly algorithm: string | null
  readonly kmsKeyId: string | null
}

/** S3's four switches against public access; a bucket without them has all of them off. */
export interface PublicAccessBlock {
  readonly blockPublicAcls: boolean
  readonly ignorePublicAcls: boolean
  readonly blockPublicPolicy: boolean
  readonly restrictPublicBuckets: boolean
}

/** What the bucket's ACL gives to people whom nobody named. */
export interface PublicGrant {
  readonly to: 'everybody' | 'every AWS account'
  /** `READ`, `WRITE`, `FULL_CONTROL` and the like. */
  readonly permission: string
}

/** Every method throws `CoreliftError` (`E_STORE_…`) and nothing else. */
export interface BucketAdmin {
  readonly bucket: string
  /** Of the store's keys, without `/` at its ends; may be empty. */
  readonly prefix: string
  readonly region: string
  lifecycle(): Promise<Asked<readonly LifecycleRule[]>>
  /**
   * Puts rules in the place of those with their ids, or adds them. All others stay as they are, to the letter.
   * @throws CoreliftError `E_STORE_DENIED` when the store has no lifecycle rules, or these credentials may not change them.
   */
  setRules(rules: readonly LifecycleRule[]): Promise<void>
  encryption(): Promise<Asked<BucketEncryption>>
  publicAccessBlock(): Promise<Asked<PublicAccessBlock>>
  policy(): Promise<Asked<'none' | 'private' | 'public'>>
  publicGrants(): Promise<Asked<readonly PublicGrant[]>>
  versioning(): Promise<Asked<'off' | 'on' | 'suspended'>>
  close(): void
}
