// What corelift asks of object storage. Adapters (s3, file) are named after their technology and pass one contract
// suite (test/store/contract.ts); retry is a decorator, multipart.ts drives uploads on top of either.

/** An object as a listing shows it. */
export interface ListedObject {
  /** Relative to the store's prefix. */
  readonly key: string
  readonly bytes: number
}

export interface ListOptions {
  /** Group keys at the next `/` after the prefix: `prefixes` then holds each group once, with its `/`. */
  readonly grouped?: boolean
  /** Only keys after this one, in byte order. */
  readonly after?: string
}

/** One page of a listing, keys in byte order; adapters choose the page's size (S3: 1,000). */
export interface ListPage {
  readonly objects: readonly ListedObject[]
  readonly prefixes: readonly string[]
}

/**
 * What a store says that an object's or a part's content is: the same for as long as it is not replaced. S3's ETag, with
 * its quotes; to everybody but the adapter a text to compare.
 */
export type ETag = string

/** What goes with an object that is put. */
export interface ObjectAbout {
  /** A store of files keeps neither this nor the next. */
  readonly contentType?: string
  /** `zstd`, for objects that HTTP clients decode by themselves. */
  readonly contentEncoding?: string
  /** An object that is there stays as it is: that is a success too, whose ETag is empty. */
  readonly ifAbsent?: true
}

/** An object as a store has it. */
export interface StoredObject {
  readonly bytes: number
  /** When it was put. */
  readonly modifiedAt: Date
  readonly etag: ETag
}

/** Proof that a part arrived: what `complete` must be given back. */
export interface PartReceipt {
  readonly number: number
  readonly etag: ETag
  /** Of the part. */
  readonly bytes: number
}

/** An upload that was neither completed nor aborted. */
export interface UnfinishedUpload {
  readonly key: string
  /** For `resumeUpload`. */
  readonly id: string
  readonly startedAt: Date
}

/** An object that is written in parts and does not exist before `complete`. */
export interface Upload {
  /** Names it to `resumeUpload`, also in another process. */
  readonly id: string
  /**
   * Stores one part. May be called for several parts at once, and again for a part that failed.
   * @param number - From 1, without gaps.
   * @param offset - Bytes of all parts before this one.
   * @param body - At least `partBytesMin` except for the last.
   */
  putPart(number: number, offset: number, body: Uint8Array): Promise<PartReceipt>
  /**
   * Makes the object visible, whole. Again after a success whose answer was lost is a success too, where the store may be
   * asked about the object.
   * @param receipts - Of all parts, by number, also of those that another process sent.
   * @throws CoreliftError `E_STORE_NO_UPLOAD` when the upload is gone, or does not have these parts, and the object is not
   *   what they make.
   */
  complete(receipts: readonly PartReceipt[]): Promise<ETag>
  /** Drops what was sent. Safe to call after a failure of anything above, also of itself. */
  abort(): Promise<void>
}

/**
 * Objects under one prefix. Keys are `/`-separated, made by keys.ts alone.
 * Every method throws `CoreliftError` (`E_STORE_…`) and nothing else.
 */
export interface Store {
  /** As a person would write it: `s3://bucket/prefix`, `file:///directory`. */
  readonly url: string
  /** Stores a small object in one request; replaces one that exists, unless that is excluded. */
  put(key: string, body: Uint8Array, about?: ObjectAbout): Promise<ETag>
  /** @throws `E_STORE_NO_OBJECT` */
  get(key: string): Promise<Uint8Array>
  /**
   * Reads part of an object.
   * @returns Exactly `length` bytes from `offset`; fewer only at the object's end.
   * @throws `E_STORE_NO_OBJECT`
   */
  getRange(key: string, offset: number, length: number): Promise<Uint8Array>
  /** @returns undefined when there is no such object. */
  stat(key: string): Promise<StoredObject | undefined>
  /** Pages of the keys that begin with `prefix`. */
  list(prefix: string, options?: ListOptions): AsyncIterable<ListPage>
  startUpload(key: string, about?: Omit<ObjectAbout, 'ifAbsent'>): Promise<Upload>
  /**
   * Goes on with an upload that another process began; asks the store nothing. Where it is gone, `putPart` and `complete`
   * throw `E_STORE_NO_UPLOAD`, and `abort` does nothing.
   */
  resumeUpload(key: string, id: string): Upload
  /** Pages of the unfinished uploads whose keys begin with `prefix`. */
  listUploads(prefix: string): AsyncIterable<readonly UnfinishedUpload[]>
  /** Deletes an object; one that is not there is no error. */
  remove(key: string): Promise<void>
  /** Frees sockets and files. */
  close(): void
}
