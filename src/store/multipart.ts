// Writes an object of unknown size through a store, in parts, with bounded memory. What fits into the first part is
// stored by one plain request. Limits of S3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html

import type { ETag, ObjectAbout, PartReceipt, Store, Upload } from './store.ts'

const MIB = 1024 * 1024

/** S3's smallest part, except for the last. */
const PART_BYTES_MIN = 5 * MIB
/** S3's largest part. */
const PART_BYTES_MAX = 5 * 1024 * MIB
/** 24 GiB of compressed core in parts of the smallest size, before they have to grow. */
const CONSTANT_PARTS = 5000
/** The least (in steps of 0.0001) that takes 10,000 parts, S3's most, over 5 TiB, its largest object. */
const GROWTH = 1.0015

/** Two parts on their way keep a link busy while the third is filled. */
const BUFFERS_MAX = 3
/** What part buffers may take of the handler's 96 MiB; a single part larger than this stands alone. */
const BUFFERED_BYTES_MAX = 24 * MIB

/**
 * @param number - Part number, from 1 to 10,000.
 * @returns The part's size in bytes: 5 MiB up to part 5,000, then growing to S3's largest part.
 */
export function partBytes(number: number): number {
  const growing = Math.max(0, number - CONSTANT_PARTS)
  const bytes = Math.ceil((PART_BYTES_MIN * GROWTH ** growing) / MIB) * MIB
  return Math.min(PART_BYTES_MAX, bytes)
}

/** @returns Buffers at work, the one being filled included, when parts have this size. */
export function buffersMax(bytes: number): number {
  return Math.max(1, Math.min(BUFFERS_MAX, Math.floor(BUFFERED_BYTES_MAX / bytes)))
}

/** What is needed of a store. */
export type ObjectStore = Pick<Store, 'put' | 'startUpload'>

/** What became of an object. */
export interface Written {
  readonly bytes: number
  /** Requests that carried it: 1 where no multipart upload was needed. */
  readonly parts: number
  readonly etag: ETag
}

/**
 * One object, written once, front to back, by one writer: `write` is not to be called while another is pending.
 * The first part that fails (after the store's retries) fails the object: the next `write` or `finish` throws its error.
 */
export class MultipartWriter {
  readonly #store: ObjectStore
  readonly #key: string
  readonly #about: ObjectAbout
  #upload: Upload | undefined
  #buffer: Uint8Array = Buffer.allocUnsafeSlow(partBytes(1))
  #filled = 0
  /** Bytes of all parts before the one being filled. */
  #offset = 0
  #parts = 0
  readonly #spare: Uint8Array[] = []
  /** Never reject: a failure is kept in #failure until somebody asks. */
  readonly #inFlight = new Set<Promise<void>>()
  readonly #receipts: PartReceipt[] = []
  #failure: { readonly error: unknown } | undefined

  /** @param about - An object that is there is left only where it takes one part: the first of two that are written at once. */
  constructor(store: ObjectStore, key: string, about: ObjectAbout = {}) {
    this.#store = store
    this.#key = key
    this.#about = about
  }

  /**
   * Copies `chunk`.
   * @returns Undefined when there is room for more at once, else a promise of room. The chunk's memory may be reused
   * after that.
   */
  write(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#failure || chunk.length > this.#buffer.length - this.#filled)
      return this.#writeAcrossParts(chunk)
    this.#buffer.set(chunk, this.#filled)
    this.#filled += chunk.length
    return undefined
  }

  /** Sends what is left and makes the object visible. */
  async finish(): Promise<Written> {
    this.#throwFailure()
    const bytes = this.#offset + this.#filled
    const upload = this.#upload
    if (!upload) {
      const body = this.#buffer.subarray(0, this.#filled)
      return { bytes, parts: 1, etag: await this.#store.put(this.#key, body, this.#about) }
    }
    this.#send(upload)
    await this.#settled(0)
    const etag = await upload.complete(this.#receipts.sort((a, b) => a.number - b.number))
    return { bytes, parts: this.#parts, etag }
  }

  /** Drops the object, once the parts in flight have settled: S3 may keep parts that arrive during an abort. */
  async abort(): Promise<void> {
    await Promise.all(this.#inFlight)
    await this.#upload?.abort()
  }

  async #writeAcrossParts(chunk: Uint8Array): Promise<void> {
    this.#throwFailure()
    let taken = 0
    while (taken < chunk.length) {
      // Only when there is more to come, so that the last part is never empty.
      if (this.#filled === this.#buffer.length) await this.#beginNextPart()
      const piece = chunk.subarray(taken, taken + this.#buffer.length - this.#filled)
      this.#buffer.set(piece, this.#filled)
      this.#filled += piece.length
      taken += piece.length
    }
  }

  async #beginNextPart(): Promise<void> {
    this.#upload ??= await this.#startUpload()
    this.#send(this.#upload)
    const bytes = partBytes(this.#parts + 1)
    await this.#settled(buffersMax(bytes) - 1)
    const spare = this.#spare.pop()
    this.#buffer = spare?.length === bytes ? spare : Buffer.allocUnsafeSlow(bytes)
  }

  async #startUpload(): Promise<Upload> {
    try {
      const { ifAbsent: _onlyOfPut, ...about } = this.#about
      return await this.#store.startUpload(this.#key, about)
    } catch (error) {
      // Kept, or `finish` would store the first part as if it were the whole object.
      this.#failure = { error }
      throw error
    }
  }

  #send(upload: Upload): void {
    const number = ++this.#parts
    const buffer = this.#buffer
    const body = buffer.subarray(0, this.#filled)
    const sending = upload
      .putPart(number, this.#offset, body)
      .then(
        receipt => void this.#receipts.push(receipt),
        (error: unknown) => void (this.#failure ??= { error }),
      )
      .finally(() => {
        this.#inFlight.delete(sending)
        this.#spare.push(buffer)
      })
    this.#inFlight.add(sending)
    this.#offset += body.length
    this.#filled = 0
  }

  /** Waits until at most `count` parts are in flight. */
  async #settled(count: number): Promise<void> {
    while (this.#inFlight.size > count) await Promise.race(this.#inFlight)
    this.#throwFailure()
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error
  }
}
