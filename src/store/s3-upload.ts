// A multipart upload of S3, in the hands of the process that began it or of a later one.

import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  ListPartsCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import type { S3Client } from '@aws-sdk/client-s3'
import { CoreliftError } from '../errors.ts'
import { printable } from '../printable.ts'
import { isInternalError, NO_UPLOAD_HINT, protocolError } from './s3-errors.ts'
import { compositeETag, quoted } from './s3-etag.ts'
import type { ETag, PartReceipt, StoredObject, Upload } from './store.ts'

/** Runs one request within its deadline and translates its errors. */
export type Request = <T>(
  operation: string,
  send: (deadline: { abortSignal: AbortSignal }) => Promise<T>,
) => Promise<T>

export class S3Upload implements Upload {
  readonly id: string
  readonly #client: S3Client
  readonly #request: Request
  readonly #key: string
  readonly #upload: { Bucket: string; Key: string; UploadId: string }
  readonly #stat: () => Promise<StoredObject | undefined>

  constructor(
    client: S3Client,
    request: Request,
    key: string,
    upload: { Bucket: string; Key: string; UploadId: string },
    stat: () => Promise<StoredObject | undefined>,
  ) {
    this.id = upload.UploadId
    this.#client = client
    this.#request = request
    this.#key = key
    this.#upload = upload
    this.#stat = stat
  }

  putPart(number: number, _offset: number, body: Uint8Array): Promise<PartReceipt> {
    const operation = `PUT part ${number} of ${this.#key}`
    return this.#request(operation, async deadline => {
      const command = new UploadPartCommand({ ...this.#upload, PartNumber: number, Body: body })
      const { ETag } = await this.#client.send(command, deadline)
      // Without it the part cannot be named in `complete`: whatever answered did not store it.
      if (ETag === undefined) throw protocolError(operation, 'the answer has no ETag')
      return { number, etag: ETag, bytes: body.length }
    })
  }

  async complete(receipts: readonly PartReceipt[]): Promise<ETag> {
    const operation = `complete ${this.#key}`
    const Parts = receipts.map(({ number, etag }) => ({ PartNumber: number, ETag: etag }))
    try {
      return await this.#request(operation, async deadline => {
        const command = new CompleteMultipartUploadCommand({ ...this.#upload, MultipartUpload: { Parts } })
        // The SDK turns a 200 whose body is an error into that error; a 200 without anything is no success either.
        const { ETag } = await this.#client.send(command, deadline)
        if (ETag === undefined) throw protocolError(operation, 'the answer has no ETag')
        // Ceph leaves it empty.
        return ETag === '' ? (compositeETag(receipts) ?? '') : quoted(ETag)
      })
    } catch (error) {
      const gone = await this.#whatSaysGone(error as CoreliftError)
      if (gone === undefined) throw error
      // Perhaps a retry of a `complete` that succeeded while its answer was lost.
      const etag = await this.#etagIfStored(receipts)
      if (etag === undefined) throw gone
      return etag
    }
  }

  async abort(): Promise<void> {
    try {
      await this.#request(`abort ${this.#key}`, deadline =>
        this.#client.send(new AbortMultipartUploadCommand(this.#upload), deadline),
      )
    } catch (error) {
      if (!isGone(error)) throw error
    }
  }

  /**
   * Ceph fails at every `complete` of an upload that was aborted, and would be asked for ever.
   * @returns The error that says that the upload is gone; undefined where nobody says so: it is there, or its parts may
   * not be listed.
   */
  async #whatSaysGone(error: CoreliftError): Promise<CoreliftError | undefined> {
    if (isGone(error)) return error
    if (!isInternalError(error.cause)) return undefined
    try {
      await this.#request(`LIST parts of ${this.#key}`, deadline =>
        this.#client.send(new ListPartsCommand({ ...this.#upload, MaxParts: 1 }), deadline),
      )
      return undefined
    } catch (said) {
      // Ceph says NoSuchKey of uploads too.
      const isAbsent = isGone(said) || (said as CoreliftError).code === 'E_STORE_NO_OBJECT'
      return isAbsent ? goneError(this.#key, said) : undefined
    }
  }

  /** @returns undefined also where a node may not read: that the upload is gone is then all that is known. */
  async #etagIfStored(receipts: readonly PartReceipt[]): Promise<ETag | undefined> {
    const found = await this.#stat().catch((error: unknown) => {
      if (error instanceof CoreliftError && error.code === 'E_STORE_DENIED') return undefined
      throw error
    })
    const bytes = receipts.reduce((sum, receipt) => sum + receipt.bytes, 0)
    if (found === undefined || found.bytes !== bytes) return undefined
    const expected = compositeETag(receipts)
    return expected === undefined || found.etag === expected ? found.etag : undefined
  }
}

function goneError(key: string, cause: unknown): CoreliftError {
  return new CoreliftError('E_STORE_NO_UPLOAD', `complete ${printable(key)}: the upload is gone`, {
    hint: NO_UPLOAD_HINT,
    cause,
  })
}

function isGone(error: unknown): boolean {
  return error instanceof CoreliftError && error.code === 'E_STORE_NO_UPLOAD'
}
