// A store in memory that counts what it is asked, for tests of what is built on stores.

import { createHash, randomUUID } from 'node:crypto'
import { CoreliftError } from '../../src/errors.ts'
import type {
  ETag,
  ListOptions,
  ListPage,
  PartReceipt,
  Store,
  StoredObject,
  UnfinishedUpload,
  Upload,
  ObjectAbout,
} from '../../src/store/store.ts'

interface MemoryPart {
  readonly offset: number
  readonly body: Uint8Array
  readonly etag: ETag
}

/** An upload as the store has it; whoever holds an `Upload` knows its key and its id alone. */
interface MemoryUpload extends UnfinishedUpload {
  readonly parts: Map<number, MemoryPart>
}

export class MemoryStore implements Store {
  readonly url = 'memory://'
  /** Of all objects. */
  modifiedAt = new Date()
  readonly objects = new Map<string, Uint8Array>()
  /** Unfinished ones, by id. */
  readonly uploads = new Map<string, MemoryUpload>()
  /** Prefixes listed, keys read. */
  readonly lists: string[] = []
  readonly gets: string[] = []
  readonly ranges: { key: string; offset: number; length: number }[] = []
  /** Parts taken, in order, also those that were sent again. */
  readonly partPuts: { key: string; id: string; number: number }[] = []
  isClosed = false
  readonly #pageKeysMax: number

  constructor(pageKeysMax = 1000) {
    this.#pageKeysMax = pageKeysMax
  }

  async put(key: string, body: Uint8Array, { ifAbsent }: ObjectAbout = {}): Promise<ETag> {
    if (ifAbsent && this.objects.has(key)) return ''
    this.objects.set(key, Uint8Array.from(body))
    return etagOf(body)
  }

  async get(key: string): Promise<Uint8Array> {
    this.gets.push(key)
    return this.#object(key)
  }

  async getRange(key: string, offset: number, length: number): Promise<Uint8Array> {
    this.ranges.push({ key, offset, length })
    return this.#object(key).slice(offset, offset + length)
  }

  async stat(key: string): Promise<StoredObject | undefined> {
    const body = this.objects.get(key)
    return body && { bytes: body.length, modifiedAt: this.modifiedAt, etag: etagOf(body) }
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ListPage> {
    this.lists.push(prefix)
    const keys = [...this.objects.keys()].filter(key => key.startsWith(prefix)).toSorted()
    const groups = new Set<string>()
    const found: string[] = []
    for (const key of keys.filter(key => key > (options.after ?? ''))) {
      const slash = key.indexOf('/', prefix.length)
      if (options.grouped && slash !== -1) groups.add(key.slice(0, slash + 1))
      else found.push(key)
    }
    let prefixes = [...groups]
    do {
      const page = found.splice(0, this.#pageKeysMax)
      yield { objects: page.map(key => ({ key, bytes: this.#object(key).length })), prefixes }
      prefixes = []
    } while (found.length > 0)
  }

  async startUpload(key: string): Promise<Upload> {
    const id = randomUUID()
    this.uploads.set(id, { key, id, startedAt: new Date(), parts: new Map() })
    return this.resumeUpload(key, id)
  }

  resumeUpload(key: string, id: string): Upload {
    return {
      id,
      putPart: async (number, offset, body) => this.#putPart(this.#upload(key, id), number, offset, body),
      complete: async receipts => this.#complete(key, id, receipts),
      abort: async () => {
        if (this.uploads.get(id)?.key === key) this.uploads.delete(id)
      },
    }
  }

  async *listUploads(prefix: string): AsyncGenerator<readonly UnfinishedUpload[]> {
    const found = [...this.uploads.values()]
      .filter(({ key }) => key.startsWith(prefix))
      .map(({ key, id, startedAt }) => ({ key, id, startedAt }))
      .toSorted((a, b) => (`${a.key} ${a.id}` < `${b.key} ${b.id}` ? -1 : 1))
    while (found.length > 0) yield found.splice(0, this.#pageKeysMax)
  }

  async remove(key: string): Promise<void> {
    this.objects.delete(key)
  }

  close(): void {
    this.isClosed = true
  }

  #object(key: string): Uint8Array {
    const body = this.objects.get(key)
    if (body === undefined) throw new CoreliftError('E_STORE_NO_OBJECT', `no object ${key}`)
    return body
  }

  #upload(key: string, id: string): MemoryUpload {
    const upload = this.uploads.get(id)
    if (upload?.key === key) return upload
    throw new CoreliftError('E_STORE_NO_UPLOAD', `no upload of ${key}`)
  }

  #putPart(upload: MemoryUpload, number: number, offset: number, body: Uint8Array): PartReceipt {
    const { key, id, parts } = upload
    this.partPuts.push({ key, id, number })
    const etag = etagOf(body)
    parts.set(number, { offset, body: Uint8Array.from(body), etag })
    return { number, etag, bytes: body.length }
  }

  #complete(key: string, id: string, receipts: readonly PartReceipt[]): ETag {
    if (!this.uploads.has(id)) {
      // Again after a success.
      const stored = this.objects.get(key)
      const bytes = receipts.reduce((sum, receipt) => sum + receipt.bytes, 0)
      if (stored?.length === bytes) return etagOf(stored)
    }
    const whole = wholeOf(this.#upload(key, id).parts, receipts)
    this.objects.set(key, whole)
    this.uploads.delete(id)
    return etagOf(whole)
  }
}

function wholeOf(parts: ReadonlyMap<number, MemoryPart>, receipts: readonly PartReceipt[]): Uint8Array {
  const bodies: Uint8Array[] = []
  let end = 0
  for (const [index, { number, etag }] of receipts.entries()) {
    const part = parts.get(number)
    if (number !== index + 1 || part?.offset !== end || part.etag !== etag) {
      throw new CoreliftError('E_STORE_NO_UPLOAD', `part ${index + 1} is missing`)
    }
    bodies.push(part.body)
    end += part.body.length
  }
  return Uint8Array.from(Buffer.concat(bodies))
}

function etagOf(body: Uint8Array): ETag {
  return `"${createHash('md5').update(body).digest('hex')}"`
}
