// A store in memory with what the spool asks of one, which can be down, forget uploads, refuse to be asked, and kill whoever
// calls it, before or after it has done what it was asked.
import { createHash } from 'node:crypto'
import { CoreliftError } from '../../src/errors.ts'
import type { PartReceipt, Store, StoredObject, UnfinishedUpload, Upload } from '../../src/store/store.ts'

/** Thrown at a process that dies: nothing that it was about to do happens. */
export class Killed extends Error {}

/** Kills whoever steps on it for the n-th time. */
export class Fuse {
  #left = Infinity

  set(steps: number): void {
    this.#left = steps
  }

  step(): void {
    if (this.#left-- <= 0) throw new Killed('killed')
  }
}

interface Unfinished {
  readonly key: string
  readonly parts: Map<number, Uint8Array>
}

export class FakeStore {
  readonly objects = new Map<string, Uint8Array>()
  readonly uploads = new Map<string, Unfinished>()
  /** How often each part was sent, by key and number. */
  readonly sends = new Map<string, number>()
  readonly #fuse: Fuse
  isDown = false
  mayStat = true
  #uploads = 0

  constructor(fuse = new Fuse()) {
    this.#fuse = fuse
  }

  asStore(): Store {
    const unused = () => {
      throw new Error('not asked by a spool')
    }
    return {
      url: 'fake://',
      put: (key, body) =>
        this.#act(() => {
          this.objects.set(key, Uint8Array.from(body))
          return etagOf(body)
        }),
      stat: key => this.#act(() => this.#stat(key)),
      startUpload: key =>
        this.#act(() => {
          const id = `upload-${++this.#uploads}`
          this.uploads.set(id, { key, parts: new Map() })
          return this.#upload(key, id)
        }),
      resumeUpload: (key, id) => this.#upload(key, id),
      listUploads: prefix => this.#listUploads(prefix),
      close: () => undefined,
      ...{ get: unused, getRange: unused, list: unused, remove: unused },
    }
  }

  #upload(key: string, id: string): Upload {
    const unfinished = () => {
      const upload = this.uploads.get(id)
      if (upload) return upload
      throw new CoreliftError('E_STORE_NO_UPLOAD', `no upload ${id}`)
    }
    return {
      id,
      putPart: (number, _offset, body) =>
        this.#act(() => {
          unfinished().parts.set(number, Uint8Array.from(body))
          const send = `${key} ${number}`
          this.sends.set(send, (this.sends.get(send) ?? 0) + 1)
          return { number, etag: etagOf(body), bytes: body.length }
        }),
      complete: receipts => this.#act(() => this.#complete(id, unfinished(), receipts)),
      abort: () => this.#act(() => void this.uploads.delete(id)),
    }
  }

  #complete(id: string, { key, parts }: Unfinished, receipts: readonly PartReceipt[]): string {
    const bodies = receipts.map(({ number, etag }) => {
      const body = parts.get(number)
      if (body && etagOf(body) === etag) return body
      throw new CoreliftError('E_STORE_DENIED', `InvalidPart ${number}`)
    })
    const whole = Buffer.concat(bodies)
    this.objects.set(key, whole)
    this.uploads.delete(id)
    return etagOf(whole)
  }

  #stat(key: string): StoredObject | undefined {
    if (!this.mayStat) throw new CoreliftError('E_STORE_DENIED', 'HEAD: access denied')
    const body = this.objects.get(key)
    return body && { bytes: body.length, modifiedAt: new Date(0), etag: etagOf(body) }
  }

  async *#listUploads(prefix: string): AsyncGenerator<UnfinishedUpload[]> {
    yield await this.#act(() =>
      [...this.uploads]
        .filter(([, { key }]) => key.startsWith(prefix))
        .map(([id, { key }]) => ({ key, id, startedAt: new Date(0) })),
    )
  }

  async #act<T>(act: () => T): Promise<T> {
    this.#fuse.step()
    await Promise.resolve()
    if (this.isDown) throw new CoreliftError('E_STORE_UNREACHABLE', 'no answer', { retryable: true })
    const result = act()
    // Done, and nobody hears of it.
    this.#fuse.step()
    return result
  }
}

export const etagOf = (body: Uint8Array): string => `"${createHash('md5').update(body).digest('hex')}"`
