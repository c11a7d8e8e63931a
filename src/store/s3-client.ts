// The SDK's client as corelift needs it: started by the kernel with an empty environment, quickly, and talking to servers
// that are not AWS.

import { readFile } from 'node:fs/promises'
import { S3Client } from '@aws-sdk/client-s3'
import type { S3ClientConfig } from '@aws-sdk/client-s3'
import { fromIni } from '@aws-sdk/credential-provider-ini'
import { CoreliftError } from '../errors.ts'
import { printable } from './printable.ts'

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
}

/** @throws CoreliftError `E_CONFIG` when the CA file cannot be read. */
export async function createClient(options: S3StoreOptions): Promise<S3Client> {
  const { endpoint, region, pathStyle, credentialsFile, caFile } = options
  return new S3Client({
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

/** The SDK asks again within five minutes of the expiry, and then every time. */
const SDK_EXPIRY_WINDOW_MS = 5 * 60_000
/** Temporary credentials in a file are renewed by replacing it: looked at again well within the retry budget. */
const CREDENTIALS_FILE_SECONDS = 10

function credentialsOf(filepath: string): NonNullable<S3ClientConfig['credentials']> {
  const fromFile = fromIni({ profile: 'default', filepath, configFilepath: '/dev/null', ignoreCache: true })
  return async () => {
    const credentials = await fromFile()
    const lookAgain = new Date(Date.now() + SDK_EXPIRY_WINDOW_MS + CREDENTIALS_FILE_SECONDS * 1000)
    return { expiration: lookAgain, ...credentials }
  }
}

/** The part of a request that asks for server-side encryption. */
export type EncryptionHeaders = { ServerSideEncryption?: 'AES256' | 'aws:kms'; SSEKMSKeyId?: string }

export function encryptionHeaders({ encryption, kmsKeyId }: S3StoreOptions): EncryptionHeaders {
  if (encryption === 'bucket-default') return {}
  if (encryption === 'sse-s3') return { ServerSideEncryption: 'AES256' }
  return { ServerSideEncryption: 'aws:kms', ...(kmsKeyId !== undefined && { SSEKMSKeyId: kmsKeyId }) }
}
