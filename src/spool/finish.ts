// Sends what is left of a crash: the kit, the core, then the manifest, which makes the crash exist, and the index entry. What
// is here is removed once the store has it, and is known to have it. Whoever is killed between two steps, or fails at one,
// leaves an entry from which the next one goes on.
import { CoreliftError } from '../errors.ts'
import { printable } from '../printable.ts'
import type { ETag, PartReceipt, Store, Upload } from '../store/store.ts'
import { isCore, partName } from './blobs.ts'
import type { Entry } from './entry.ts'
import type { CoreNote, EntryNote } from './note.ts'
import { withoutCore, withoutKit } from './reduce.ts'

export type Finished =
  /** All is in the store, and the entry is gone. */
  | { readonly state: 'done' }
  /** With `onlySmall`: there is a core to be sent. */
  | { readonly state: 'later' }
  /** The store did not take it, or the spool did not give it: another time. */
  | { readonly state: 'waiting'; readonly error: CoreliftError }

export interface FinishOptions {
  readonly now: () => Date
  readonly by: 'handler' | 'sweep'
  /** Everything but a core. */
  readonly onlySmall?: boolean
}

/** @param entry - The caller's: locked, with a note that can be read. It is released when it is done. */
export async function finishEntry(entry: Entry, store: Store, options: FinishOptions): Promise<Finished> {
  const { note } = entry
  try {
    if (typeof note !== 'object')
      throw new CoreliftError('E_SPOOL', `${entry.id} has no note that can be read`)
    return await new Finish(entry, note, store, options).run()
  } catch (error) {
    if (error instanceof CoreliftError) return { state: 'waiting', error }
    throw error
  }
}

class Finish {
  readonly #entry: Entry
  readonly #store: Store
  readonly #options: FinishOptions
  #note: EntryNote
  #hasBegunAgain = false

  constructor(entry: Entry, note: EntryNote, store: Store, options: FinishOptions) {
    this.#entry = entry
    this.#note = note
    this.#store = store
    this.#options = options
  }

  async run(): Promise<Finished> {
    await this.#kit()
    if (this.#note.core !== undefined && this.#note.state === 'sealed') {
      if (this.#options.onlySmall) return { state: 'later' }
      await this.#core(this.#note.core)
    } else await this.#dropCore()
    await this.#record()
    await this.#entry.remove()
    return { state: 'done' }
  }

  async #kit(): Promise<void> {
    const name = 'kit.tar.zst'
    if (!(await this.#entry.blobs()).has(name)) return
    const body = await this.#entry.read(name)
    if (body === undefined) await this.#save(withoutKit(this.#note, 'it was damaged in the spool'))
    else await this.#put(this.#note.keys.kit, body, 'application/zstd')
    await this.#entry.drop(blob => blob === name)
  }

  /** Of a crash whose handler was killed, or that lost its core: the parts that the store has are of no use. */
  async #dropCore(): Promise<void> {
    const { upload, beginning, keys } = this.#note
    if (upload !== undefined) await this.#store.resumeUpload(keys.core, upload.id).abort()
    else if (beginning) await this.#abortAll()
    await this.#entry.drop(isCore)
  }

  /** Somebody was killed before he could note what he began; where uploads cannot be listed, a rule of the bucket aborts it. */
  async #abortAll(): Promise<void> {
    const { core } = this.#note.keys
    try {
      for await (const uploads of this.#store.listUploads(core))
        for (const { key, id } of uploads) if (key === core) await this.#store.resumeUpload(key, id).abort()
    } catch (error) {
      const cannot = ['E_STORE_DENIED', 'E_STORE_PROTOCOL']
      if (!(error instanceof CoreliftError) || !cannot.includes(error.code)) throw error
    }
  }

  async #core(core: CoreNote): Promise<void> {
    if (core.parts.length === 0) {
      const body = await this.#entry.read('core.zst')
      if (body === undefined) return await this.#loseCore('it was damaged in the spool')
      await this.#put(this.#note.keys.core, body, 'application/zstd')
    } else if (!(await this.#parts(core))) return
    // Before the blobs go: that they are gone must not be taken for a loss.
    const {
      core: _core,
      beginning: _beginning,
      upload: _upload,
      completing: _completing,
      ...rest
    } = this.#note
    await this.#save(rest)
    await this.#entry.drop(isCore)
  }

  /** @returns Whether the store has the core now; else the note says why it never will. */
  async #parts(core: CoreNote): Promise<boolean> {
    try {
      const upload = await this.#upload()
      const receipts = await this.#receipts(upload, core)
      if (receipts === undefined) return false
      if (!this.#note.completing) await this.#save({ ...this.#note, completing: true })
      await this.#confirm(this.#note.keys.core, core.bytes, await upload.complete(receipts))
      return true
    } catch (error) {
      const isGone = error instanceof CoreliftError && error.code === 'E_STORE_NO_UPLOAD'
      // Of a store that drops what was begun just now nothing is to be had by beginning again.
      if (!isGone || this.#hasBegunAgain) throw error
      return await this.#withoutUpload(core)
    }
  }

  async #upload(): Promise<Upload> {
    const { upload, beginning, keys } = this.#note
    if (upload !== undefined) return this.#store.resumeUpload(keys.core, upload.id)
    if (beginning) await this.#abortAll()
    await this.#save({ ...this.#note, beginning: true })
    const begun = await this.#store.startUpload(keys.core, { contentType: 'application/zstd' })
    // Before any part goes: whoever comes after a kill finds it.
    await this.#save({ ...this.#note, upload: { id: begun.id } })
    return begun
  }

  /** Sends the parts that the store does not have. @returns undefined where one is lost. */
  async #receipts(upload: Upload, core: CoreNote): Promise<PartReceipt[] | undefined> {
    const receipts: PartReceipt[] = []
    for (const { number, offset, bytes, etag: known } of core.parts) {
      let etag = known
      if (etag === undefined) {
        const body = await this.#entry.read(partName(number))
        if (body?.length !== bytes) {
          await this.#loseCore(`part ${number} of ${core.parts.length} was damaged in the spool`)
          return undefined
        }
        etag = (await upload.putPart(number, offset, body)).etag
        await this.#noteReceipt(number, etag)
      }
      receipts.push({ number, etag, bytes })
    }
    return receipts
  }

  /** It need not be sent again, should this be killed. */
  async #noteReceipt(number: number, etag: ETag): Promise<void> {
    const { core } = this.#note
    const parts = core!.parts.map(part => (part.number === number ? { ...part, etag } : part))
    await this.#save({ ...this.#note, core: { ...core!, parts } })
  }

  /** The upload is gone: completed while nobody heard of it, or aborted by somebody. */
  async #withoutUpload(core: CoreNote): Promise<boolean> {
    const { completing, keys } = this.#note
    const found = completing ? await this.#statIfAllowed(keys.core) : undefined
    if (found !== undefined && found !== 'denied' && found.bytes === core.bytes) return true
    const blobs = await this.#entry.blobs()
    if (core.parts.every(({ number }) => blobs.has(partName(number)))) return await this.#beginAgain(core)
    // Half-done must not count as done.
    await this.#loseCore(
      found === 'denied'
        ? 'the store may have completed the upload, but this node may not read: corelift verify --repair can tell'
        : 'the store does not have what was sent of the upload',
    )
    return false
  }

  async #beginAgain(core: CoreNote): Promise<boolean> {
    const { upload, completing: _completing, ...rest } = this.#note
    // Its parts are of no use: the store does not have what it said it had.
    if (upload !== undefined) await this.#store.resumeUpload(this.#note.keys.core, upload.id).abort()
    const again = { ...core, parts: core.parts.map(({ etag: _etag, ...part }) => part) }
    await this.#save({ ...rest, core: again })
    this.#hasBegunAgain = true
    return await this.#parts(again)
  }

  async #loseCore(why: string): Promise<void> {
    await this.#save(withoutCore(this.#note, `the core waited in the spool: ${why}`))
    await this.#dropCore()
  }

  async #record(): Promise<void> {
    const { keys, index, manifest, why } = this.#note
    const { by, now } = this.#options
    const delivery = by === 'sweep' ? { delivery: { by, at: now().toISOString(), why } } : {}
    const text = `${JSON.stringify({ ...manifest, ...delivery }, null, 2)}\n`
    await this.#put(keys.manifest, Buffer.from(text), 'application/json')
    await this.#store.put(index.kept, new Uint8Array(0))
  }

  async #put(key: string, body: Uint8Array, contentType: string): Promise<void> {
    await this.#confirm(key, body.length, await this.#store.put(key, body, { contentType }))
  }

  /** Nothing is removed here on the word of one answer, where the node may ask again. */
  async #confirm(key: string, bytes: number, etag: ETag): Promise<void> {
    const found = await this.#statIfAllowed(key)
    const isSame = found !== 'denied' && found?.bytes === bytes && (etag === '' || found.etag === etag)
    if (found === 'denied' || isSame) return
    const what =
      found === undefined ? 'is not there' : `has ${found.bytes} bytes and ETag ${printable(found.etag)}`
    throw new CoreliftError(
      'E_STORE_PROTOCOL',
      `${key} ${what} after ${bytes} bytes were stored as ${printable(etag)}`,
      {
        hint: 'does something else write to this prefix, or drop what was written?',
        retryable: true,
      },
    )
  }

  async #statIfAllowed(key: string) {
    return await this.#store.stat(key).catch((error: unknown) => {
      if (error instanceof CoreliftError && error.code === 'E_STORE_DENIED') return 'denied' as const
      throw error
    })
  }

  async #save(note: EntryNote): Promise<void> {
    await this.#entry.save(note)
    this.#note = note
  }
}
