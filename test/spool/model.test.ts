// The spool as a state machine: handlers that write entries and are killed, sweeps that send them and are killed, a store that
// goes away, forgets uploads and comes back, a disk that loses what it was given. Whatever happens in whatever order: what
// counts as done is whole, nothing vanishes unsaid, and the bound holds.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { CoreliftError } from '../../src/errors.ts'
import { partName } from '../../src/spool/blobs.ts'
import { type Entry, openSpool } from '../../src/spool/spool.ts'
import type { Manifest } from '../../src/store/manifest.ts'
import type { Upload } from '../../src/store/store.ts'
import { fakeLock } from '../budget/fake-lock.ts'
import { noTmpfs, stateDir } from '../budget/state-dir.ts'
import { crashNote, idOf } from './crash-note.ts'
import { FakeStore, Fuse, Killed } from './fake-store.ts'
import {
  BYTES_MAX,
  checkAll,
  type Crash,
  filesIn,
  fusedFiles,
  type Real,
  sweep,
  type Told,
  unlessKilled,
} from './world.ts'

/** A core that fits into one request is one blob, however it came about. */
const ONE_REQUEST_BYTES = 2500
const PARTS_MAX = 3

/** A handler: some of its parts reach the store, the others the spool; or it is killed at some step. */
class Handle implements fc.AsyncCommand<object, Real> {
  readonly #number: number
  readonly #parts: readonly { readonly bytes: number; readonly sent: boolean }[]
  readonly #diesAt: number | undefined

  constructor(
    number: number,
    parts: readonly { bytes: number; sent: boolean }[],
    diesAt: number | undefined,
  ) {
    this.#number = number
    this.#parts = parts
    this.#diesAt = diesAt
  }

  check = () => true
  toString = () => `handle(${this.#number}, ${JSON.stringify(this.#parts)}, dies at ${this.#diesAt})`

  async run(_model: object, real: Real): Promise<void> {
    const { crashes, fuse, told } = real
    const id = idOf(crashes.size + 1)
    const pod = `web-${this.#number % 3}`
    const kit = Buffer.alloc(300 + this.#number, `kit ${id}`)
    const bodies = this.#parts.map(({ bytes }, index) => Buffer.alloc(bytes, `${id} part ${index}`))
    const crash = { id, kit, core: Buffer.concat(bodies) }
    let isPromised = false
    if (this.#diesAt !== undefined) {
      told.kills++
      fuse.set(this.#diesAt)
    }
    await unlessKilled(real, async () => {
      isPromised = await this.#write(real, crash, bodies, pod)
    }).catch((error: unknown) => {
      // A full spool, or no store: the handler gives up, and says so in the log.
      if (!(error instanceof CoreliftError)) throw error
    })
    fuse.set(Infinity)
    crashes.set(id, { ...crash, isPromised })
    await checkAll(real)
  }

  async #write(
    { spool, store }: Real,
    { id, kit, core }: Omit<Crash, 'isPromised'>,
    bodies: readonly Buffer[],
    pod: string,
  ): Promise<boolean> {
    const entry = await spool.create(id)
    try {
      await entry.save(crashNote({ id, pod, state: 'open' }))
      const hasKit = await entry.keep('kit.tar.zst', kit)
      const about = { id, pod, kit: hasKit ? kit : undefined }
      const draft = crashNote({ ...about, state: 'open' })
      const isSmall = core.length <= ONE_REQUEST_BYTES
      if (!isSmall) await entry.save({ ...draft, beginning: true })
      const begun = isSmall ? undefined : await store.asStore().startUpload(draft.keys.core).catch(onlyKilled)
      const upload = begun && { upload: { id: begun.id } }
      if (!isSmall) await entry.save({ ...draft, beginning: true, ...upload })
      const kept = isSmall
        ? (await entry.keep('core.zst', core)) && { bytes: core.length, parts: [] }
        : await this.#keepParts(entry, begun, bodies)
      const note = crashNote({ ...about, core: kept ? core : undefined })
      const begins = isSmall ? {} : ({ beginning: true } as const)
      await entry.save({ ...note, ...begins, ...upload, ...(kept && { core: kept }) })
      return true
    } finally {
      await entry.release()
    }
  }

  /** @returns false where one is neither here nor there. */
  async #keepParts(entry: Entry, upload: Upload | undefined, bodies: readonly Buffer[]) {
    const parts: { number: number; offset: number; bytes: number; etag?: string }[] = []
    let offset = 0
    for (const [index, body] of bodies.entries()) {
      const number = index + 1
      const isSent = this.#parts[index]!.sent
      const receipt = isSent ? await upload?.putPart(number, offset, body).catch(onlyKilled) : undefined
      if (receipt === undefined && !(await entry.keep(partName(number), body))) return false
      parts.push({ number, offset, bytes: body.length, ...(receipt && { etag: receipt.etag }) })
      offset += body.length
    }
    return { bytes: offset, parts }
  }
}

function onlyKilled(error: unknown): undefined {
  if (error instanceof Killed) throw error
}

class Sweep implements fc.AsyncCommand<object, Real> {
  readonly #diesAt: number | undefined

  constructor(diesAt: number | undefined) {
    this.#diesAt = diesAt
  }

  check = () => true
  toString = () => `sweep(dies at ${this.#diesAt})`

  async run(_model: object, real: Real): Promise<void> {
    if (this.#diesAt !== undefined) {
      real.told.kills++
      real.fuse.set(this.#diesAt)
    }
    await unlessKilled(real, () => sweep(real))
    real.fuse.set(Infinity)
    await checkAll(real)
  }
}

class StoreGoes implements fc.AsyncCommand<object, Real> {
  readonly #isDown: boolean
  readonly #mayStat: boolean

  constructor(isDown: boolean, mayStat: boolean) {
    this.#isDown = isDown
    this.#mayStat = mayStat
  }

  check = () => true
  toString = () => `store(down ${this.#isDown}, may stat ${this.#mayStat})`

  async run(_model: object, { store, told }: Real): Promise<void> {
    store.isDown = this.#isDown
    store.mayStat = this.#mayStat
    if (!this.#mayStat) told.blindness++
  }
}

/** A lifecycle rule of the bucket that is too eager. */
class AbortUploads implements fc.AsyncCommand<object, Real> {
  check = () => true
  toString = () => 'the store aborts all uploads'

  async run(_model: object, { store, told }: Real): Promise<void> {
    for (const { key, parts } of store.uploads.values()) {
      told.partsAborted += parts.size
      told.aborted.add(key)
    }
    store.uploads.clear()
  }
}

class Damage implements fc.AsyncCommand<object, Real> {
  readonly #which: number
  readonly #notes: boolean

  constructor(which: number, notes: boolean) {
    this.#which = which
    this.#notes = notes
  }

  check = () => true
  toString = () => `damage(${this.#which}, notes ${this.#notes})`

  async run(_model: object, { path, told, crashes }: Real): Promise<void> {
    const files = filesIn(path).filter(
      file => file.endsWith('entry.json') === this.#notes && !/reserved|dropped/.test(file),
    )
    const file = files[this.#which % Math.max(1, files.length)]
    if (file === undefined) return
    const bytes = readFileSync(file)
    if (bytes.length === 0) return
    bytes[this.#which % bytes.length]! ^= 0x41
    writeFileSync(file, bytes)
    // Of a crash whose note is gone nothing can be asked any more.
    const id = /\d{8}T\d{6}Z-[0-9a-f]{12}/.exec(file)![0]
    told.damaged.add(id)
    const crash = crashes.get(id)
    if (this.#notes && crash) crashes.set(id, { ...crash, isPromised: false })
  }
}

const parts = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 2500 }), sent: fc.boolean() }), {
  minLength: 1,
  maxLength: PARTS_MAX,
})
const dies = fc.option(fc.integer({ min: 0, max: 80 }), { nil: undefined, freq: 2 })

const commands = fc.commands(
  [
    fc.tuple(fc.nat(9), parts, dies).map(([number, parts, diesAt]) => new Handle(number, parts, diesAt)),
    dies.map(diesAt => new Sweep(diesAt)),
    fc.tuple(fc.boolean(), fc.boolean()).map(([isDown, mayStat]) => new StoreGoes(isDown, mayStat)),
    fc.constant(new AbortUploads()),
    fc.tuple(fc.nat(5000), fc.boolean()).map(([which, notes]) => new Damage(which, notes)),
  ],
  { maxCommands: 30, size: '+1' },
)

/**
 * An upload may be left of a crash whose note the disk damaged, and of one that is lost: that there was no room even for its
 * record, with which goes the upload's id. The bucket's rule ends those.
 */
function checkUploads(store: FakeStore, { damaged }: Told, lost: number): void {
  const keys = [...store.uploads.values()].map(({ key }) => key)
  const unknown = keys.filter(key => ![...damaged].some(id => key.includes(id)))
  const ofRecorded = unknown.filter(key => store.objects.has(key.replace(/[^/]+$/, 'manifest.json')))
  if (ofRecorded.length > 0) throw new Error(`uploads are left of crashes on record: ${ofRecorded.join()}`)
  if (unknown.length > lost || keys.length > damaged.size + lost)
    throw new Error(`${keys.length} uploads are left, ${damaged.size} crashes were damaged, ${lost} lost`)
}

t.test(
  'whatever happens in whatever order, what counts as done is whole and nothing vanishes',
  { skip: noTmpfs, timeout: 300_000 },
  async t => {
    const seen = { done: 0, cores: 0, reduced: 0, lost: 0 }
    const property = fc.asyncProperty(commands, async commands => {
      const path = join(stateDir(t), 'spool')
      const fuse = new Fuse()
      const store = new FakeStore(fuse)
      const opened = new Set<FileHandle>()
      const spool = await openSpool(
        fakeLock(),
        {
          ...{ path, key: 'spool.dir', bytesMax: BYTES_MAX, freeBytesMin: 0 },
          ...{ allowRootFilesystem: false, takesBlobs: true },
        },
        fusedFiles(fuse, opened),
      )
      opened.clear() // the spool's own
      const told: Told = { kills: 0, partsAborted: 0, aborted: new Set(), damaged: new Set(), blindness: 0 }
      const real: Real = { path, spool, store, fuse, opened, crashes: new Map(), told }
      await fc.asyncModelRun(() => ({ model: {}, real }), commands)
      // In the end the store is well, and nobody is killed.
      store.isDown = false
      await sweep(real)
      await checkAll(real)
      const left = await spool.ids()
      if (left.length > 0) throw new Error(`${left.join()} is left after a sweep with a healthy store`)
      const { lost } = await spool.usage()
      checkUploads(store, told, lost)
      const again = [...store.sends.values()].reduce((sum, times) => sum + times - 1, 0)
      // Of each that is killed one part is on its way.
      if (again > told.kills + told.partsAborted) throw new Error(`${again} parts were sent twice`)
      for (const [key, body] of store.objects) {
        if (!key.endsWith('manifest.json')) continue
        const { outcome, reason } = JSON.parse(Buffer.from(body).toString()) as Manifest
        seen.done++
        if (outcome === 'full') seen.cores++
        if (reason === 'spool') seen.reduced++
      }
      seen.lost += lost
      await spool.close()
      rmSync(path, { recursive: true })
    })
    await fc.assert(property, { numRuns: 150 })
    t.comment(JSON.stringify(seen))
    for (const [what, count] of Object.entries(seen)) t.ok(count > 0, `some were ${what}`)
  },
)
