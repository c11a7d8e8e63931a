// The SDK's client as corelift needs it: started by the kernel with an empty environment, quickly, and talking to servers
// that are not AWS.

import { statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { S3Client } from '@aws-sdk/client-s3'
import type { S3ClientConfig } from '@aws-sdk/client-s3'
import { fromIni } from '@aws-sdk/credential-provider-ini'
import { CoreliftError } from '../errors.ts'
import { printable } from '../printable.ts'

export interface S3StoreOptions {
  readonly bucket: string
  /** Comes before every key, without `/` at its ends; may be empty. */
  readonly prefix: string
  /** `https://HOST[:PORT]`; AWS where undefined. */
  readonly endpoint: string | undefined
  readonly region: string
  /** Address the bucket in the path instead of the host name. */
  readonly pathStyle: boolean
  /** AWS's shared format, profile `default`; the SDK's chain where undefined. */
  readonly credentialsFile: string | undefined
  /** PEM, in place of the public authorities. */
  readonly caFile: string | undefined
  readonly encryption: 'bucket-default' | 'sse-s3' | 'sse-kms'
  readonly kmsKeyId: string | undefined
  /** From the request's beginning to the last byte of its answer. */
  readonly requestTimeoutSeconds: number
  /** Called with the time that each answer says it is of, refusals too. */
  readonly onServerDate?: (date: Date) => void
}

/** @throws CoreliftError `E_CONFIG` when the CA file cannot be read. */
export async function createClient(options: S3StoreOptions): Promise<S3Client> {
  const { endpoint, region, pathStyle, credentialsFile, caFile, onServerDate } = options
  const client = new S3Client({
    region,
    forcePathStyle: pathStyle,
    ...(endpoint !== undefined && { endpoint }),
    ...(credentialsFile !== undefined && { credentials: credentialsOf(credentialsFile) }),
    maxAttempts: 1,
    // Named, or the SDK looks for them in ~/.aws/config; the kernel starts the handler without HOME.
    retryMode: 'standard',
    defaultsMode: 'standard',
    // The default adds CRC trailers that older servers refuse.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // One round trip less for each part, and servers exist that never answer `100 Continue`.
    expectContinueHeader: false,
    requestHandler: {
      httpsAgent: { keepAlive: true, ...(caFile !== undefined && { ca: await readCa(caFile) }) },
    },
  })
  client.middlewareStack.add(sendInSlices, { step: 'deserialize', priority: 'low', name: 'sendInSlices' })
  if (onServerDate !== undefined)
    client.middlewareStack.add(tellDate(onServerDate), {
      step: 'deserialize',
      priority: 'low',
      name: 'tellDate',
    })
  return client
}

/** A step between signing and sending. */
type SendMiddleware = Parameters<S3Client['middlewareStack']['add']>[0]

/** Of a pipe to the socket: small beside a part, large beside a packet. */
const SLICE_BYTES = 256 * 1024

/**
 * The last step before the socket, after signing: Bun copies what is given to it at once, a whole part each time, and
 * keeps the copy until its next collection (17 MiB of the handler's 96 with two parts in flight).
 */
const sendInSlices: SendMiddleware = next => args => {
  const request = args.request as { readonly body?: unknown }
  if (!(request.body instanceof Uint8Array) || request.body.length <= SLICE_BYTES) return next(args)
  const body = Readable.from(slices(request.body), { objectMode: false, highWaterMark: SLICE_BYTES })
  return next({ ...args, request: Object.assign(request, { body }) })
}

function* slices(body: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < body.length; at += SLICE_BYTES) yield body.subarray(at, at + SLICE_BYTES)
}

/** As close to the socket: what is an error to the SDK is an answer here. */
function tellDate(onServerDate: (date: Date) => void): SendMiddleware {
  return next => async args => {
    const output = await next(args)
    const { headers } = output.response as { readonly headers?: Readonly<Record<string, string>> }
    const date = new Date(headers?.['date'] ?? NaN)
    if (!Number.isNaN(date.getTime())) onServerDate(date)
    return output
  }
}

async function readCa(caFile: string): Promise<Buffer> {
  try {
    return await readFile(caFile)
  } catch (error) {
    throw new CoreliftError('E_CONFIG', `cannot read store.ca_file ${printable(caFile)}`, {
      hint: 'store.ca_file is a PEM file that the handler, as root, can read',
      cause: error,
    })
  }
}

/**
 * Static credentials in a file have no expiry, and the SDK would keep them for ever; but session tokens expire, and
 * whoever renews them replaces the file. Expired from the start, they are asked for at each request, and read again
 * when the file is another.
 */
function credentialsOf(filepath: string): NonNullable<S3ClientConfig['credentials']> {
  const fromFile = fromIni({ profile: 'default', filepath, configFilepath: '/dev/null', ignoreCache: true })
  let known: { readonly file: string; readonly credentials: ReturnType<typeof fromFile> } | undefined
  return async () => {
    const { ino, size, mtimeMs } = statSync(filepath, { throwIfNoEntry: false }) ?? {}
    const file = `${ino} ${size} ${mtimeMs}`
    if (known?.file !== file) known = { file, credentials: fromFile() }
    return { expiration: new Date(), ...(await known.credentials) }
  }
}

/** The part of a request that asks for server-side encryption. */
export type EncryptionHeaders = { ServerSideEncryption?: 'AES256' | 'aws:kms'; SSEKMSKeyId?: string }

export function encryptionHeaders({ encryption, kmsKeyId }: S3StoreOptions): EncryptionHeaders {
  if (encryption === 'bucket-default') return {}
  if (encryption === 'sse-s3') return { ServerSideEncryption: 'AES256' }
  return { ServerSideEncryption: 'aws:kms', ...(kmsKeyId !== undefined && { SSEKMSKeyId: kmsKeyId }) }
}
