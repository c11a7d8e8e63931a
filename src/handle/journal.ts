// The handler's own notes on a crash, while it works and when the store did not take everything: an entry of the spool,
// from which a sweep finishes what the handler had to leave, or what was left of it when it was killed. Whatever goes
// wrong here costs the notes, not the crash: nothing throws, and a disk that hangs is waited for no longer than this.
import { closeSync } from 'node:fs'
import { openStateDir } from '../budget/state-dir.ts'
import type { Config } from '../config/table.ts'
import type { Os } from '../os/os.ts'
import { printable } from '../printable.ts'
import type { EntryNote } from '../spool/note.ts'
import { openPending, openSpoolDir } from '../spool/open.ts'
import type { BlobName, Entry, Spool } from '../spool/spool.ts'
import { inTime } from '../in-time.ts'

/** A disk that takes longer for 5 MiB is of no use to a dump. */
const STEP_MS_MAX = 10_000

/** What goes to the store first waits for the note of it, which takes milliseconds as a rule. */
const NOTE_MS_MAX = 500

type Budgets = Pick<Config, 'spool' | 'budget'>

export class Journal {
  readonly #warnings: string[] = []
  readonly #id: string
  readonly #open: () => Promise<Entry | undefined>
  #opening: Promise<Entry | undefined> | undefined
  #entry: Entry | undefined
  #takesBlobs: boolean
  #isUsable = true
  /** What was noted last: later steps go on from it. */
  #note: EntryNote | undefined
  /** Steps follow each other, so that a note is never overtaken by an older one. */
  #steps: Promise<unknown> = Promise.resolve()

  constructor(os: Pick<Os, 'tryLock'>, config: Budgets, id: string) {
    this.#id = id
    this.#takesBlobs = config.spool.dir !== undefined
    this.#open = () => this.#openFirst(os, config)
  }

  /** Whether notes may be kept, as far as is known. */
  get isUsable(): boolean {
    return this.#isUsable
  }

  /** Whether there is a note of this crash. */
  get isBegun(): boolean {
    return this.#note !== undefined
  }

  /** Whether objects and parts may be kept, as far as is known. */
  get takesBlobs(): boolean {
    return this.#takesBlobs
  }

  /** What did not work, for the manifest. */
  get warnings(): readonly string[] {
    return this.#warnings
  }

  /**
   * Begins to take notes: what is true should the handler be killed from now on.
   * @returns When it is on the disk, or that is waited for no longer.
   */
  async begin(note: EntryNote): Promise<void> {
    await this.#write(note)
  }

  /** Changes the note where one was begun. @returns As `begin`. */
  async amend(changes: Partial<EntryNote>): Promise<void> {
    if (this.#note !== undefined) await this.#write({ ...this.#note, ...changes })
  }

  /** @returns Whether the note is safe. */
  async seal(note: EntryNote): Promise<boolean> {
    const { upload, beginning } = this.#note ?? {}
    const sealed = {
      ...(beginning && { beginning }),
      ...(upload && { upload }),
      ...note,
      state: 'sealed' as const,
    }
    const saved = await this.#step('note', entry => entry.save(sealed).then(() => true))
    return saved ?? false
  }

  /** Keeps an object or a part that the store did not take. @returns Whether it is safe. */
  async keep(name: BlobName, body: Uint8Array): Promise<boolean> {
    if (!this.#takesBlobs) return false
    const kept = await this.#step(name, entry => entry.keep(name, body))
    if (kept === false) this.#giveUpBlobs('the spool is full (spool.bytes_max, spool.free_bytes_min)')
    return kept ?? false
  }

  /** The store has everything: nothing is left to do. */
  async end(): Promise<void> {
    if (this.#opening === undefined) return
    await this.#step('removal', entry => entry.remove())
  }

  /** For finishing what is in it at once. */
  get entry(): Entry | undefined {
    return this.#entry
  }

  async #openFirst(os: Pick<Os, 'tryLock'>, { spool, budget }: Budgets): Promise<Entry | undefined> {
    const pending = () => {
      closeSync(openStateDir(budget.stateDir)) // made, where this is the first crash
      return openPending(os, budget)
    }
    const roots: (() => Promise<Spool>)[] = spool.dir === undefined ? [] : [() => openSpoolDir(os, spool)]
    for (const open of [...roots, pending]) {
      const entry = await this.#within('spool', async () => (await open()).create(this.#id))
      if (entry !== undefined) return (this.#entry = entry)
      this.#takesBlobs = false
    }
    this.#isUsable = false
    return undefined
  }

  async #write(note: EntryNote): Promise<void> {
    this.#note = note
    await inTime(
      this.#step('note', entry => entry.save(note)),
      { ms: NOTE_MS_MAX },
    )
  }

  async #step<T>(what: string, act: (entry: Entry) => Promise<T>): Promise<T | undefined> {
    const step = this.#steps.then(async () => {
      const entry = await (this.#opening ??= this.#open())
      return entry && (await this.#within(what, () => act(entry)))
    })
    this.#steps = step
    return await step
  }

  async #within<T>(what: string, act: () => Promise<T>): Promise<T | undefined> {
    const answer = await inTime(act(), { ms: STEP_MS_MAX })
    if (answer.state === 'done') return answer.value
    const why =
      answer.state === 'late' ? `no answer in ${STEP_MS_MAX / 1000} s` : (answer.error as Error).message
    this.#giveUpBlobs(`${what}: ${why}`)
    return undefined
  }

  #giveUpBlobs(why: string): void {
    const warning = `not in the spool: ${printable(why)}`
    if (!this.#warnings.includes(warning)) this.#warnings.push(warning)
    this.#takesBlobs = false
  }
}
