// A store in an S3 bucket. Bodies are buffers only: streams make the SDK send
// aws-chunked trailers, which Ceph refuses and others store as part of the object. Retry is retry.ts's.

import {
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import type { GetObjectCommandOutput, PutObjectCommandInput, S3Client } from '@aws-sdk/client-s3'
import { CoreliftError } from '../errors.ts'
import { printable } from '../printable.ts'
import { createClient, encryptionHeaders } from './s3-client.ts'
import type { EncryptionHeaders, S3StoreOptions } from './s3-client.ts'
import {
  isRangeBehindEnd,
  isThereAlready,
  isUnknownCondition,
  protocolError,
  translateS3Error,
} from './s3-errors.ts'
import { quoted } from './s3-etag.ts'
import { type Request, S3Upload } from './s3-upload.ts'
import type {
  ETag,
  ObjectAbout,
  ListOptions,
  ListPage,
  Store,
  StoredObject,
  UnfinishedUpload,
  Upload,
} from './store.ts'

/**
 * Sends nothing yet.
 * @throws CoreliftError `E_CONFIG` when the CA file cannot be read.
 */
export async function openS3Store(options: S3StoreOptions): Promise<Store> {
  return new S3Store(await createClient(options), options)
}

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

  async put(key: string, body: Uint8Array, about: ObjectAbout = {}): Promise<ETag> {
    const object = { ...this.#newObject(key, about), Body: body }
    if (!about.ifAbsent) return await this.#put(key, object)
    try {
      return await this.#put(key, { ...object, IfNoneMatch: '*' })
    } catch (error) {
      const said = (error as CoreliftError).cause
      if (isThereAlready(said)) return ''
      if (isUnknownCondition(said)) return await this.#put(key, object)
      throw error
    }
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

  async stat(key: string): Promise<StoredObject | undefined> {
    try {
      return await this.#request(`HEAD ${key}`, async deadline => {
        const { ContentLength, ETag, LastModified } = await this.#client.send(
          new HeadObjectCommand(this.#object(key)),
          deadline,
        )
        if (ContentLength !== undefined && ETag !== undefined)
          // Of unknown age is as good as old.
          return { bytes: ContentLength, modifiedAt: LastModified ?? new Date(0), etag: quoted(ETag) }
        throw protocolError(`HEAD ${key}`, 'the answer has no Content-Length or no ETag')
      })
    } catch (error) {
      if (isNoObject(error)) return undefined
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

  startUpload(key: string, about: ObjectAbout = {}): Promise<Upload> {
    return this.#request(`start upload of ${key}`, async deadline => {
      const command = new CreateMultipartUploadCommand(this.#newObject(key, about))
      const { UploadId } = await this.#client.send(command, deadline)
      if (UploadId === undefined) throw protocolError(`start upload of ${key}`, 'the answer has no upload id')
      return this.resumeUpload(key, UploadId)
    })
  }

  resumeUpload(key: string, id: string): Upload {
    const upload = { ...this.#object(key), UploadId: id }
    return new S3Upload(this.#client, this.#request, key, upload, () => this.stat(key))
  }

  async *listUploads(prefix: string): AsyncGenerator<readonly UnfinishedUpload[]> {
    const operation = `LIST uploads of ${prefix}`
    const query = { Bucket: this.#bucket, Prefix: this.#prefix + prefix }
    let markers: Markers | undefined = {}
    while (markers !== undefined) {
      const page = await this.#request(operation, deadline =>
        this.#client.send(new ListMultipartUploadsCommand({ ...query, ...markers }), deadline),
      )
      const { Bucket, Uploads = [], IsTruncated, NextKeyMarker, NextUploadIdMarker } = page
      // Some servers answer with a listing of the bucket, and will again.
      if (Bucket === undefined)
        throw new CoreliftError(
          'E_STORE_PROTOCOL',
          `${printable(operation)}: the server does not list uploads`,
        )
      const next = { KeyMarker: NextKeyMarker, UploadIdMarker: NextUploadIdMarker }
      if (IsTruncated && (NextKeyMarker === undefined || sameMarkers(next, markers)))
        throw protocolError(operation, 'the listing does not go on')
      // What has no id cannot be aborted, and what has no date must not be taken for old.
      yield Uploads.flatMap(({ Key, UploadId: id, Initiated: startedAt }) =>
        id !== undefined && startedAt !== undefined ? [{ key: this.#keyOf(Key), id, startedAt }] : [],
      )
      markers = IsTruncated ? next : undefined
    }
  }

  async remove(key: string): Promise<void> {
    try {
      await this.#request(`DELETE ${key}`, deadline =>
        this.#client.send(new DeleteObjectCommand(this.#object(key)), deadline),
      )
    } catch (error) {
      // S3 answers 204 also where nothing was; others say so.
      if (!isNoObject(error)) throw error
    }
  }

  close(): void {
    this.#client.destroy()
  }

  /** HTTP has no empty range. */
  async #emptyRange(key: string, operation: string): Promise<Uint8Array> {
    if ((await this.stat(key)) !== undefined) return new Uint8Array()
    throw new CoreliftError('E_STORE_NO_OBJECT', `${operation}: no such object`)
  }

  #object(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#bucket, Key: this.#prefix + key }
  }

  #put(key: string, object: PutObjectCommandInput): Promise<ETag> {
    return this.#request(`PUT ${key}`, async deadline => {
      const { ETag } = await this.#client.send(new PutObjectCommand(object), deadline)
      if (ETag !== undefined) return quoted(ETag)
      throw protocolError(`PUT ${key}`, 'the answer has no ETag')
    })
  }

  #newObject(key: string, { contentType, contentEncoding }: ObjectAbout) {
    return {
      ...this.#object(key),
      ...this.#encryption,
      ...(contentType !== undefined && { ContentType: contentType }),
      ...(contentEncoding !== undefined && { ContentEncoding: contentEncoding }),
    }
  }

  #keyOf(name = ''): string {
    return name.slice(this.#prefix.length)
  }
}

interface Markers {
  readonly KeyMarker?: string | undefined
  readonly UploadIdMarker?: string | undefined
}

const sameMarkers = (a: Markers, b: Markers): boolean =>
  a.KeyMarker === b.KeyMarker && a.UploadIdMarker === b.UploadIdMarker

function isNoObject(error: unknown): boolean {
  return error instanceof CoreliftError && error.code === 'E_STORE_NO_OBJECT'
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
