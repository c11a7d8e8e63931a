// Objects on their way into the store, and into the spool where the store does not take them in time: the crashed process
// is held by the slower of two, and neither a link nor a disk decides alone which that is.
import type { CoreliftError } from '../errors.ts'
import { partName } from '../spool/blobs.ts'
import type { CoreNote } from '../spool/note.ts'
import type { ETag, ObjectAbout, PartReceipt, Upload } from '../store/store.ts'
import type { ObjectStore } from '../store/multipart.ts'
import { type Answer, inTime } from '../in-time.ts'
import type { Journal } from './journal.ts'

/** Of a small object, the kit above all: it has to be safe within a second of the crash. */
const OBJECT_MS_MAX = 1000
/** Parts on their way at once; the next one is filled meanwhile. */
const LANES = 2
/** How long parts wait for a lane, all of a core's together, before they are spilled: a moment of a store that keeps up. */
const WAIT_MS_MAX = 100
/** What is on its way when the process is gone already has so much more, where the store has failed to keep up. */
const END_MS_MAX = 10_000
const NOTHING_FIRST = Promise.resolve()
/** Of a part that is in the spool and not in the store. */
const SPILLED: ETag = ''

/** AWS takes minutes to complete an upload of thousands of parts. */
const COMPLETE_MS_MAX = 60_000

/** What of a core is where, when the store does not have all of it. */
export interface SpilledCore extends CoreNote {
  /** The store was asked to complete it, and has not answered. */
  readonly completing: boolean
}

/** The few seconds that a store has that does not keep up. */
export class Patience {
  /** Fulfilled when nothing more is to be waited for. */
  readonly over: Promise<undefined>
  #end: () => void = () => undefined

  /** @param deadline - The hold's: what the store has not taken by then goes to the spool. */
  constructor(deadline: Promise<void>) {
    const ended = new Promise<void>(resolve => (this.#end = resolve))
    this.over = Promise.race([deadline, ended]).then(() => undefined)
  }

  /** The process is gone: nothing but the handler itself waits any more. */
  processGone(): void {
    setTimeout(this.#end, END_MS_MAX)
  }
}

/** What is needed of a journal. */
export type SpillJournal = Pick<Journal, 'takesBlobs' | 'isUsable' | 'keep' | 'amend'>

export class SpillingStore implements ObjectStore {
  readonly #store: ObjectStore
  readonly #journal: SpillJournal
  readonly #patience: Patience
  /** Why something is not in the store: the first failure, or that it was too slow. */
  why: string | undefined
  /** Set where parts of the core, or its receipts, are in the journal. */
  core: SpilledCore | undefined
  /** The store has failed, or did not answer in time: it is not asked again. */
  isDown = false

  constructor(store: ObjectStore, journal: SpillJournal, patience: Patience) {
    this.#store = store
    this.#journal = journal
    this.#patience = patience
  }

  put(key: string, body: Uint8Array, about?: ObjectAbout): Promise<ETag> {
    return this.#put(NOTHING_FIRST, key, body, about)
  }

  startUpload(key: string, about?: ObjectAbout): Promise<Upload> {
    return this.#startUpload(NOTHING_FIRST, key, about)
  }

  /**
   * The same, for what goes into the store once something else is safe: the kit, with the mini core, before the core it may
   * have to stand in for. The spool does not wait for it, nor does the dump.
   */
  after(first: Promise<unknown>): ObjectStore {
    return {
      put: (...object) => this.#put(first, ...object),
      startUpload: (...object) => this.#startUpload(first, ...object),
    }
  }

  async #put(first: Promise<unknown>, key: string, body: Uint8Array, about?: ObjectAbout): Promise<ETag> {
    const sending = first.then(() => this.#store.put(key, body, about))
    if (!this.#journal.takesBlobs) return await sending
    const answer = await inTime(sending, { ms: OBJECT_MS_MAX, over: this.#patience.over })
    if (answer.state === 'done') return answer.value
    const name = key.slice(key.lastIndexOf('/') + 1) as 'kit.tar.zst' | 'core.zst'
    if (!(await this.#journal.keep(name, body))) return await sending
    this.noteFailure(errorOf(answer))
    if (name === 'core.zst') this.core = { bytes: body.length, parts: [], completing: false }
    return SPILLED
  }

  async #startUpload(first: Promise<unknown>, key: string, about?: ObjectAbout): Promise<Upload> {
    const noted = this.#journal.amend({ beginning: true })
    const beginning = noted.then(() => this.#store.startUpload(key, about))
    beginning.then(
      ({ id }) => void this.#journal.amend({ upload: { id } }),
      () => undefined, // whoever sends a part hears of it
    )
    if (!this.#journal.takesBlobs) await beginning
    const ready = beginning.then(upload => first.then(() => upload))
    ready.catch(() => undefined)
    return new SpillingUpload(ready, this, this.#journal, this.#patience)
  }

  /** @param error - undefined: it was too slow. */
  noteFailure(error: unknown): void {
    if (error === undefined) this.why ??= 'the store was slower than the dump'
    else if (!this.isDown) this.why = messageOf(error)
    this.isDown ||= error !== undefined
  }
}

class SpillingUpload implements Upload {
  readonly id = ''
  readonly #beginning: Promise<Upload>
  readonly #spilling: SpillingStore
  readonly #journal: SpillJournal
  readonly #patience: Patience
  /** Parts on their way; they never reject. */
  readonly #lanes = new Set<Promise<unknown>>()
  #waitedMs = 0

  constructor(
    beginning: Promise<Upload>,
    spilling: SpillingStore,
    journal: SpillJournal,
    patience: Patience,
  ) {
    this.#beginning = beginning
    this.#spilling = spilling
    this.#journal = journal
    this.#patience = patience
  }

  async putPart(number: number, offset: number, body: Uint8Array): Promise<PartReceipt> {
    if (!this.#journal.takesBlobs) return await this.#send(number, offset, body)
    const { isDown } = this.#spilling
    if ((isDown || !(await this.#laneInTime())) && (await this.#spill(number, body))) {
      this.#spilling.noteFailure(undefined)
      return { number, etag: SPILLED, bytes: body.length }
    }
    const sending = this.#send(number, offset, body)
    const answer = await inTime(sending, { over: this.#patience.over })
    if (answer.state === 'done') return answer.value
    if (!(await this.#spill(number, body))) return await sending
    this.#spilling.noteFailure(errorOf(answer) ?? new Error('the store did not take a part in time'))
    return { number, etag: SPILLED, bytes: body.length }
  }

  async complete(receipts: readonly PartReceipt[]): Promise<ETag> {
    const isSpilled = receipts.some(({ etag }) => etag === SPILLED)
    if (!isSpilled) {
      const completing = this.#beginning.then(upload => upload.complete(receipts))
      const answer = await inTime(completing, { ms: COMPLETE_MS_MAX })
      if (answer.state === 'done') return answer.value
      const error = errorOf(answer) as CoreliftError | undefined
      // What the store will never take is no matter for a sweep; what cannot be noted is none either.
      if (!this.#journal.isUsable || (error !== undefined && !error.retryable)) return await completing
      this.#spilling.noteFailure(error ?? new Error('the store did not complete the upload in time'))
    }
    let offset = 0
    const parts = receipts.map(({ number, bytes, etag }) => {
      const part = { number, offset, bytes, ...(etag !== SPILLED && { etag }) }
      offset += bytes
      return part
    })
    this.#spilling.core = { bytes: offset, parts, completing: !isSpilled }
    return SPILLED
  }

  async abort(): Promise<void> {
    await (await this.#beginning).abort()
  }

  #send(number: number, offset: number, body: Uint8Array): Promise<PartReceipt> {
    const sending = this.#beginning.then(upload => upload.putPart(number, offset, body))
    const lane = sending.then(
      () => undefined,
      () => undefined,
    )
    this.#lanes.add(lane)
    void lane.then(() => this.#lanes.delete(lane))
    return sending
  }

  /** @returns Whether the store has room for a part before the core has waited too long. */
  async #laneInTime(): Promise<boolean> {
    const begun = performance.now()
    while (this.#lanes.size >= LANES) {
      const left = WAIT_MS_MAX - this.#waitedMs - (performance.now() - begun)
      if (left <= 0) break
      await inTime(Promise.race(this.#lanes), { ms: left, over: this.#patience.over })
    }
    this.#waitedMs += performance.now() - begun
    return this.#lanes.size < LANES
  }

  #spill(number: number, body: Uint8Array): Promise<boolean> {
    return this.#journal.keep(partName(number), body)
  }
}

const errorOf = (answer: Answer<unknown>): unknown => (answer.state === 'failed' ? answer.error : undefined)

function messageOf(error: unknown): string {
  const { message, code } = error as CoreliftError
  return code === undefined ? message : `${message} [${code}]`
}
