// A store in an S3 bucket. Bodies are buffers only: streams make the SDK send
// aws-chunked trailers, which Ceph refuses and others store as part of the object. Retry is retry.ts's.

import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import type { GetObjectCommandOutput, S3Client } from '@aws-sdk/client-s3'
import { CoreliftError } from '../errors.ts'
import { createClient, encryptionHeaders } from './s3-client.ts'
import type { EncryptionHeaders, S3StoreOptions } from './s3-client.ts'
import { isNoSuchUpload, isRangeBehindEnd, protocolError, translateS3Error } from './s3-errors.ts'
import type { ListOptions, ListPage, PartReceipt, Store, Upload } from './store.ts'

/**
 * Sends nothing yet.
 * @throws CoreliftError `E_CONFIG` when the CA file cannot be read.
 */
export async function openS3Store(options: S3StoreOptions): Promise<Store> {
  return new S3Store(await createClient(options), options)
}

/** Runs one request within its deadline and translates its errors. */
type Request = <T>(
  operation: string,
  send: (deadline: { abortSignal: AbortSignal }) => Promise<T>,
) => Promise<T>

/** The SDK's own requestTimeout ends with the head of the answer: a body could stall for ever. */
function requestWithin(seconds: number): Request {
  return async (operation, send) => {
    const deadline = new AbortController()
    const timer = setTimeout(() => deadline.abort(), seconds * 1000)
    try {
      return await send({ abortSignal: deadline.signal })
    } catch (error) {
      throw translateS3Error(error, operation)
    } finally {
      clearTimeout(timer)
    }
  }
}

class S3Store implements Store {
  readonly url: string
  readonly #client: S3Client
  readonly #request: Request
  readonly #bucket: string
  readonly #prefix: string
  readonly #encryption: EncryptionHeaders

  constructor(client: S3Client, options: S3StoreOptions) {
    const { bucket, prefix } = options
    this.url = `s3://${bucket}${prefix && `/${prefix}`}`
    this.#client = client
    this.#request = requestWithin(options.requestTimeoutSeconds)
    this.#bucket = bucket
    this.#prefix = prefix && `${prefix}/`
    this.#encryption = encryptionHeaders(options)
  }

  put(key: string, body: Uint8Array, contentType?: string): Promise<void> {
    return this.#request(`PUT ${key}`, async deadline => {
      const command = new PutObjectCommand({ ...this.#newObject(key, contentType), Body: body })
      const { ETag } = await this.#client.send(command, deadline)
      if (ETag === undefined) throw protocolError(`PUT ${key}`, 'the answer has no ETag')
    })
  }

  get(key: string): Promise<Uint8Array> {
    return this.#request(`GET ${key}`, async deadline =>
      readBody(`GET ${key}`, await this.#client.send(new GetObjectCommand(this.#object(key)), deadline)),
    )
  }

  async getRange(key: string, offset: number, length: number): Promise<Uint8Array> {
    const operation = `GET ${key} from ${offset}`
    if (length === 0) return this.#emptyRange(key, operation)
    const Range = `bytes=${offset}-${offset + length - 1}`
    return this.#request(operation, async deadline => {
      try {
        const output = await this.#client.send(
          new GetObjectCommand({ ...this.#object(key), Range }),
          deadline,
        )
        const body = await readBody(operation, output)
        if (output.ContentRange?.startsWith(`bytes ${offset}-`)) return body
        throw protocolError(operation, 'the answer is not the range that was asked for')
      } catch (error) {
        if (isRangeBehindEnd(error)) return new Uint8Array()
        throw error
      }
    })
  }

  async size(key: string): Promise<number | undefined> {
    try {
      return await this.#request(`HEAD ${key}`, async deadline => {
        const { ContentLength } = await this.#client.send(new HeadObjectCommand(this.#object(key)), deadline)
        if (ContentLength !== undefined) return ContentLength
        throw protocolError(`HEAD ${key}`, 'the answer has no Content-Length')
      })
    } catch (error) {
      if (error instanceof CoreliftError && error.code === 'E_STORE_NO_OBJECT') return undefined
      throw error
    }
  }

  async *list(prefix: string, { grouped = false, after }: ListOptions = {}): AsyncGenerator<ListPage> {
    const query = {
      Bucket: this.#bucket,
      Prefix: this.#prefix + prefix,
      ...(grouped && { Delimiter: '/' }),
      ...(after !== undefined && { StartAfter: this.#prefix + after }),
    }
    const operation = `LIST ${prefix}`
    let token: string | undefined
    do {
      const page = await this.#request(operation, deadline =>
        this.#client.send(new ListObjectsV2Command({ ...query, ContinuationToken: token }), deadline),
      )
      const { Name, Contents = [], CommonPrefixes = [], IsTruncated, NextContinuationToken } = page
      if (Name === undefined) throw protocolError(operation, 'the answer is no listing')
      // Without this a server that repeats a page would be listed for ever.
      if (IsTruncated && (NextContinuationToken === undefined || NextContinuationToken === token)) {
        throw protocolError(operation, 'the listing does not go on')
      }
      yield {
        objects: Contents.map(({ Key, Size }) => ({ key: this.#keyOf(Key), bytes: Size ?? 0 })),
        prefixes: CommonPrefixes.map(({ Prefix }) => this.#keyOf(Prefix)),
      }
      token = IsTruncated ? NextContinuationToken : undefined
    } while (token !== undefined)
  }

  startUpload(key: string, contentType?: string): Promise<Upload> {
    return this.#request(`start upload of ${key}`, async deadline => {
      const command = new CreateMultipartUploadCommand(this.#newObject(key, contentType))
      const { UploadId } = await this.#client.send(command, deadline)
      if (UploadId === undefined) throw protocolError(`start upload of ${key}`, 'the answer has no upload id')
      const upload = { ...this.#object(key), UploadId }
      return new S3Upload(this.#client, this.#request, key, upload, () => this.size(key))
    })
  }

  close(): void {
    this.#client.destroy()
  }

  /** HTTP has no empty range. */
  async #emptyRange(key: string, operation: string): Promise<Uint8Array> {
    if ((await this.size(key)) !== undefined) return new Uint8Array()
    throw new CoreliftError('E_STORE_NO_OBJECT', `${operation}: no such object`)
  }

  #object(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#bucket, Key: this.#prefix + key }
  }

  #newObject(key: string, contentType: string | undefined) {
    return {
      ...this.#object(key),
      ...this.#encryption,
      ...(contentType !== undefined && { ContentType: contentType }),
    }
  }

  #keyOf(name = ''): string {
    return name.slice(this.#prefix.length)
  }
}

class S3Upload implements Upload {
  readonly #client: S3Client
  readonly #request: Request
  readonly #key: string
  readonly #upload: { Bucket: string; Key: string; UploadId: string }
  readonly #size: () => Promise<number | undefined>
  readonly #partBytes = new Map<number, number>()

  constructor(
    client: S3Client,
    request: Request,
    key: string,
    upload: { Bucket: string; Key: string; UploadId: string },
    size: () => Promise<number | undefined>,
  ) {
    this.#client = client
    this.#request = request
    this.#key = key
    this.#upload = upload
    this.#size = size
  }

  putPart(number: number, _offset: number, body: Uint8Array): Promise<PartReceipt> {
    const operation = `PUT part ${number} of ${this.#key}`
    return this.#request(operation, async deadline => {
      const command = new UploadPartCommand({ ...this.#upload, PartNumber: number, Body: body })
      const { ETag } = await this.#client.send(command, deadline)
      // Without it the part cannot be named in `complete`: whatever answered did not store it.
      if (ETag === undefined) throw protocolError(operation, 'the answer has no ETag')
      this.#partBytes.set(number, body.length)
      return { number, etag: ETag }
    })
  }

  async complete(receipts: readonly PartReceipt[]): Promise<void> {
    const operation = `complete ${this.#key}`
    const Parts = receipts.map(({ number, etag }) => ({ PartNumber: number, ETag: etag }))
    try {
      await this.#request(operation, async deadline => {
        const command = new CompleteMultipartUploadCommand({ ...this.#upload, MultipartUpload: { Parts } })
        // The SDK turns a 200 whose body is an error into that error; a 200 without anything is no success either.
        const { ETag } = await this.#client.send(command, deadline)
        if (ETag === undefined) throw protocolError(operation, 'the answer has no ETag')
      })
    } catch (error) {
      // A retry of a `complete` that succeeded while its answer was lost.
      if (isNoSuchUpload((error as CoreliftError).cause) && (await this.#isStored(receipts))) return
      throw error
    }
  }

  async abort(): Promise<void> {
    try {
      await this.#request(`abort ${this.#key}`, deadline =>
        this.#client.send(new AbortMultipartUploadCommand(this.#upload), deadline),
      )
    } catch (error) {
      if (!isNoSuchUpload((error as CoreliftError).cause)) throw error
    }
  }

  async #isStored(receipts: readonly PartReceipt[]): Promise<boolean> {
    const bytes = receipts.reduce((sum, { number }) => sum + (this.#partBytes.get(number) ?? 0), 0)
    return (await this.#size()) === bytes
  }
}

async function readBody(
  operation: string,
  { Body, ContentLength }: GetObjectCommandOutput,
): Promise<Uint8Array> {
  const body = (await Body?.transformToByteArray()) ?? new Uint8Array()
  // Without a length the answer came in chunks, whose end HTTP itself checks.
  if (ContentLength === undefined || body.length === ContentLength) return body
  throw protocolError(operation, `the answer has ${body.length} of ${ContentLength} bytes`)
}
