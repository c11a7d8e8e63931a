// A store in memory that counts what it is asked, for tests of what is built on stores.

import { CoreliftError } from '../../src/errors.ts'
import type { ListOptions, ListPage, Store, Upload } from '../../src/store/store.ts'

export class MemoryStore implements Store {
  readonly url = 'memory://'
  readonly objects = new Map<string, Uint8Array>()
  /** Prefixes listed, keys read. */
  readonly lists: string[] = []
  readonly gets: string[] = []
  readonly ranges: { key: string; offset: number; length: number }[] = []
  isClosed = false
  readonly #pageKeysMax: number

  constructor(pageKeysMax = 1000) {
    this.#pageKeysMax = pageKeysMax
  }

  put(key: string, body: Uint8Array): Promise<void> {
    this.objects.set(key, Uint8Array.from(body))
    return Promise.resolve()
  }

  get(key: string): Promise<Uint8Array> {
    this.gets.push(key)
    return Promise.resolve().then(() => this.#object(key))
  }

  getRange(key: string, offset: number, length: number): Promise<Uint8Array> {
    this.ranges.push({ key, offset, length })
    return Promise.resolve().then(() => this.#object(key).slice(offset, offset + length))
  }

  size(key: string): Promise<number | undefined> {
    return Promise.resolve(this.objects.get(key)?.length)
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

  startUpload(): Promise<Upload> {
    throw new Error('no test uploads here')
  }

  close(): void {
    this.isClosed = true
  }

  #object(key: string): Uint8Array {
    const body = this.objects.get(key)
    if (body === undefined) throw new CoreliftError('E_STORE_NO_OBJECT', `no object ${key}`)
    return body
  }
}
