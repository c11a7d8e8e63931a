// What S3 servers, the SDK and sockets say, in the store's words. Nothing of an answer but its S3 error code reaches a
// message: the rest may hold key ids, signatures or whatever a proxy wrote.
// Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html

import { CoreliftError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import { printable } from '../printable.ts'

interface Translation {
  readonly code: ErrorCode
  readonly words: string
  readonly hint?: string
  readonly retryable?: true
}

const CREDENTIALS_HINT =
  'check store.credentials_file or, where it is unset, the AWS environment, profile or instance role'
const REGION_HINT = 'set store.region to the region of the bucket, and store.endpoint to its server'
export const NO_UPLOAD_HINT =
  'a lifecycle rule must leave unfinished uploads longer than spool.age_max: corelift bucket show'
const ENDPOINT_HINT = 'check store.endpoint, and that this machine reaches it'
const CA_HINT =
  'set store.ca_file to the authority that signs the certificate, and see that store.endpoint names its host'

const UNREACHABLE: Translation = {
  code: 'E_STORE_UNREACHABLE',
  words: 'no answer',
  hint: ENDPOINT_HINT,
  retryable: true,
}
/** A bug, here or in the SDK: the same call would fail again. */
const FAILED: Translation = { code: 'E_STORE_UNREACHABLE', words: 'the request failed' }
const UNTRUSTED: Translation = {
  code: 'E_STORE_UNREACHABLE',
  words: "the store's certificate is not trusted",
  hint: CA_HINT,
}
/** A proxy, a captive portal, a web server. */
const FOREIGN: Translation = {
  code: 'E_STORE_PROTOCOL',
  words: 'the answer is not what an S3 server says',
  hint: ENDPOINT_HINT,
}
const THROTTLED: Translation = {
  code: 'E_STORE_THROTTLED',
  words: 'the store asks for fewer requests',
  retryable: true,
}
const DENIED: Translation = {
  code: 'E_STORE_DENIED',
  words: 'access denied',
  hint: 'on the prefix a node needs s3:PutObject and s3:AbortMultipartUpload, people need s3:GetObject and s3:ListBucket',
}
const REFUSED: Translation = { code: 'E_STORE_DENIED', words: 'the store refuses the request' }
const KMS: Translation = {
  code: 'E_STORE_DENIED',
  words: 'the encryption key cannot be used',
  hint: 'check store.kms_key_id, and that these credentials may use the key (kms:GenerateDataKey, kms:Decrypt)',
}
const UNKNOWN_CREDENTIALS: Translation = {
  code: 'E_STORE_CREDENTIALS',
  words: 'the store does not know these credentials',
  hint: CREDENTIALS_HINT,
}
/** Temporary credentials are renewed by whoever gave them: the next request may find new ones. */
const EXPIRED: Translation = {
  code: 'E_STORE_CREDENTIALS',
  words: 'the credentials have expired',
  hint: CREDENTIALS_HINT,
  retryable: true,
}
const REGION: Translation = {
  code: 'E_STORE_DENIED',
  words: 'the bucket is in another region',
  hint: REGION_HINT,
}
const DAMAGED: Translation = {
  code: 'E_STORE_PROTOCOL',
  words: 'the request arrived damaged',
  retryable: true,
}
const FULL: Translation = {
  code: 'E_STORE_FULL',
  words: 'the store is full',
  hint: 'make room in the bucket, or raise its quota',
}

/** As good as none: an answer on the way named parts that the store does not have. */
const PARTS: Translation = {
  code: 'E_STORE_NO_UPLOAD',
  words: 'the store does not have these parts',
  hint: 'does something between here and store.endpoint change its answers?',
}

const BY_NAME: Record<string, Translation> = {
  AccessDenied: DENIED,
  AllAccessDisabled: DENIED,
  InvalidAccessKeyId: UNKNOWN_CREDENTIALS,
  SignatureDoesNotMatch: UNKNOWN_CREDENTIALS,
  InvalidToken: UNKNOWN_CREDENTIALS,
  ExpiredToken: EXPIRED,
  ExpiredTokenException: EXPIRED,
  TokenRefreshRequired: EXPIRED,
  CredentialsProviderError: {
    code: 'E_STORE_CREDENTIALS',
    words: 'no credentials found',
    hint: CREDENTIALS_HINT,
  },
  RequestTimeTooSkewed: {
    code: 'E_STORE_CREDENTIALS',
    words: "this machine's clock and the store's are too far apart",
    hint: 'set the clock: timedatectl status',
  },
  NoSuchBucket: {
    code: 'E_STORE_ABSENT',
    words: 'the bucket does not exist',
    hint: 'check the bucket in store.url; corelift does not create it',
  },
  InvalidBucketName: { code: 'E_STORE_ABSENT', words: 'not a name of a bucket', hint: 'check store.url' },
  NoSuchKey: { code: 'E_STORE_NO_OBJECT', words: 'no such object' },
  NotFound: { code: 'E_STORE_NO_OBJECT', words: 'no such object' },
  NoSuchUpload: {
    code: 'E_STORE_NO_UPLOAD',
    words: 'the upload is gone',
    hint: NO_UPLOAD_HINT,
  },
  InvalidPart: PARTS,
  InvalidPartOrder: PARTS,
  EntityTooSmall: PARTS,
  PermanentRedirect: REGION,
  TemporaryRedirect: REGION,
  AuthorizationHeaderMalformed: REGION,
  IllegalLocationConstraintException: REGION,
  SlowDown: THROTTLED,
  ServiceUnavailable: THROTTLED,
  ThrottlingException: THROTTLED,
  TooManyRequests: THROTTLED,
  RequestTimeout: UNREACHABLE,
  AbortError: {
    ...UNREACHABLE,
    words: 'no answer in time',
    hint: 'check store.endpoint; on a slow link raise store.request_timeout_seconds',
  },
  BadDigest: DAMAGED,
  XAmzContentSHA256Mismatch: DAMAGED,
  IncompleteBody: DAMAGED,
  QuotaExceeded: FULL,
  XMinioStorageFull: FULL,
}

/** OpenSSL's verification errors (x509_vfy.h) and Node's own; EPROTO is what a server without TLS causes. */
const TLS_CODE = /CERT|ISSUER|ALTNAME|UNABLE_TO_VERIFY|ERR_SSL|EPROTO/

/**
 * @param error - Whatever a request threw; a `CoreliftError` is passed on as it is.
 * @param operation - What was tried, on which key.
 */
export function translateS3Error(error: unknown, operation: string): CoreliftError {
  if (error instanceof CoreliftError) return error
  const answer = readAnswer(error)
  const { code, words, hint, retryable = false } = translation(error, answer)
  const said = [answer.status, answer.name].filter(part => part !== undefined).join(' ')
  const message = `${printable(operation)}: ${words}${said && ` (${printable(said)})`}`
  return new CoreliftError(code, message, { ...(hint && { hint }), retryable, cause: error })
}

/** @returns Whether the server failed at the request, and says no more. */
export function isInternalError(error: unknown): boolean {
  return readAnswer(error).name === 'InternalError'
}

/** @returns Whether the range begins at or behind the object's end. */
export function isRangeBehindEnd(error: unknown): boolean {
  return readAnswer(error).status === 416
}

/** Of a PUT that was to be of a new object: there is one, or one is being written this moment. */
export function isThereAlready(error: unknown): boolean {
  const { status, name } = readAnswer(error)
  return status === 412 || name === 'ConditionalRequestConflict'
}

/** Servers that know no conditions on a PUT say so in these ways; the others write over what is there. */
export function isUnknownCondition(error: unknown): boolean {
  const { status, name } = readAnswer(error)
  return status === 501 || name === 'NotImplemented'
}

/** An answer that no S3 server gives: something else answers there, or it fails half-way. Worth another try. */
export function protocolError(operation: string, what: string): CoreliftError {
  return new CoreliftError('E_STORE_PROTOCOL', `${printable(operation)}: ${what}`, {
    hint: ENDPOINT_HINT,
    retryable: true,
  })
}

interface Answer {
  /** HTTP status, where there was an answer at all. */
  readonly status: number | undefined
  /** S3's error code, the SDK's name of the error or, where there was no answer, the runtime's code. */
  readonly name: string | undefined
}

/** The shapes that the SDK and the runtimes throw. */
interface Thrown {
  readonly name?: string
  readonly code?: unknown
  readonly $metadata?: { readonly httpStatusCode?: number }
}

function readAnswer(error: unknown): Answer {
  const { name, code, $metadata } = (error ?? {}) as Thrown
  const status = $metadata?.httpStatusCode
  if (typeof code === 'string') return { status, name: code }
  // `Error` is what the SDK throws on a body that is no XML, `Unknown` on none at all.
  return { status, name: name === 'Error' || name === 'Unknown' ? undefined : name }
}

function translation(error: unknown, { status, name }: Answer): Translation {
  if (name !== undefined && Object.hasOwn(BY_NAME, name)) return BY_NAME[name]!
  if (name?.startsWith('KMS.')) return KMS
  return status === undefined ? withoutAnswer(error) : byStatus(status, (error as Thrown).name === 'Error')
}

function withoutAnswer(error: unknown): Translation {
  const code = (error as Thrown | undefined)?.code
  if (typeof code !== 'string') return FAILED
  return TLS_CODE.test(code) ? UNTRUSTED : UNREACHABLE
}

function byStatus(status: number, foreign: boolean): Translation {
  if (status === 301 || status === 307) return REGION
  if (status === 401) return UNKNOWN_CREDENTIALS
  if (status === 403) return DENIED
  if (status === 429) return THROTTLED
  if (status === 507) return FULL
  if (foreign) return status < 400 || status >= 500 ? { ...FOREIGN, retryable: true } : FOREIGN
  return status >= 500 ? { ...UNREACHABLE, words: 'the store failed' } : REFUSED
}
