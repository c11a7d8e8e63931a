// Where what is kept of a crash goes: into the store, into the spool what that does not take in time, and into the journal
// what is true of the crash so far.
import type { Os } from '../os/os.ts'
import { type CrashKeys, crashKeys, crashPrefix } from '../store/keys.ts'
import type { ManifestKit, ManifestMini } from '../store/manifest.ts'
import type { Beginning } from './begin.ts'
import { Journal } from './journal.ts'
import { draftRecord, noteOf } from './notes.ts'
import type { CrashRecord } from './record.ts'
import { Patience, SpillingStore } from './spill.ts'

/** Of an entry that its handler left open. */
const KILLED = 'the handler was killed'

export class Outlets {
  readonly keys: CrashKeys
  readonly journal: Journal
  readonly patience: Patience
  readonly store: SpillingStore
  /** Fulfilled when the first note is on the disk, or not waited for any longer: nothing is sent before. */
  readonly noted: Promise<void>
  readonly #draft: CrashRecord

  /** In a storm, where nothing but a record is left, no notes are taken. */
  constructor(beginning: Beginning, os: Pick<Os, 'tryLock'>, version: string) {
    const { id, place, config, hold, store, isSpent } = beginning
    this.keys = crashKeys(crashPrefix({ namespace: place.namespace, pod: place.pod, id }))
    this.journal = new Journal(os, config, id)
    this.patience = new Patience(hold.whenOver)
    this.store = new SpillingStore(store, this.journal, this.patience)
    this.#draft = draftRecord(beginning, version)
    this.noted = isSpent ? Promise.resolve() : this.journal.begin(this.#note(this.#draft))
  }

  /** Should the handler be killed from now on, there is the kit. */
  async noteKit(kit: ManifestKit | null, mini: ManifestMini | null): Promise<void> {
    const outcome = mini === null ? 'record' : 'mini'
    await this.journal.amend(this.#note({ ...this.#draft, kit, mini, outcome }))
  }

  #note(record: CrashRecord) {
    return noteOf(record, this.keys, 'open', { why: KILLED })
  }
}
