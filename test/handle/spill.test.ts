// Where parts and objects go when the store is slow, fails or hangs: a store whose every answer the test gives.
import t from 'tap'
import { CoreliftError } from '../../src/errors.ts'
import { Patience, SpillingStore, type SpillJournal } from '../../src/handle/spill.ts'
import { MultipartWriter, type ObjectStore } from '../../src/store/multipart.ts'

const PART_BYTES = 5 * 1024 * 1024
const NEVER = new Promise<never>(() => undefined)

interface FakeJournal extends SpillJournal {
  readonly kept: Map<string, number>
  readonly amended: object[]
}

function journal(takesBlobs: boolean, hasRoom = true): FakeJournal {
  const kept = new Map<string, number>()
  const amended: object[] = []
  return {
    kept,
    amended,
    takesBlobs,
    isUsable: true,
    keep: async (name, body) => {
      if (takesBlobs && hasRoom) kept.set(name, body.length)
      return takesBlobs && hasRoom
    },
    amend: async changes => void amended.push(changes),
  }
}

interface Script {
  readonly put?: () => Promise<string>
  readonly start?: () => Promise<unknown>
  /** By number. */
  readonly part?: (number: number) => Promise<unknown>
  readonly complete?: () => Promise<string>
}

function scripted({ put, start, part, complete }: Script): ObjectStore & { readonly sent: number[] } {
  const sent: number[] = []
  return {
    sent,
    put: () => put?.() ?? Promise.resolve('etag'),
    startUpload: async () => {
      await start?.()
      return {
        id: 'upload',
        putPart: async (number, _offset, body) => {
          await part?.(number)
          sent.push(number)
          return { number, etag: `etag-${number}`, bytes: body.length }
        },
        complete: () => complete?.() ?? Promise.resolve('whole'),
        abort: async () => undefined,
      }
    },
  }
}

const unreachable = () =>
  Promise.reject(new CoreliftError('E_STORE_UNREACHABLE', 'no answer', { retryable: true }))

/** Writes a core of so many parts and a rest. @returns Where its pieces went. */
async function dump(
  store: ObjectStore,
  notes: FakeJournal,
  parts: number,
  deadline = NEVER as Promise<void>,
) {
  const spilling = new SpillingStore(store, notes, new Patience(deadline))
  const writer = new MultipartWriter(spilling, 'crashes/n/p/i/core.zst')
  for (let part = 0; part < parts; part++) await writer.write(new Uint8Array(PART_BYTES))
  await writer.write(new Uint8Array(7))
  return { spilling, finished: writer.finish() }
}

t.test('a store that keeps up has everything, and the journal nothing', async t => {
  const notes = journal(true)
  const store = scripted({})
  const { spilling, finished } = await dump(store, notes, 6)
  t.match(await finished, { bytes: 6 * PART_BYTES + 7 })
  t.equal(store.sent.length, 7)
  t.equal(notes.kept.size, 0)
  t.strictSame([spilling.why, spilling.core], [undefined, undefined])
  t.strictSame(
    notes.amended,
    [{ beginning: true }, { upload: { id: 'upload' } }],
    'the upload is noted, for whoever clears up',
  )
})

t.test(
  'of a store that hangs from the start the dump takes no notice, but for what is on its way',
  async t => {
    const notes = journal(true)
    let deadline: () => void = () => undefined
    const reached = new Promise<void>(resolve => (deadline = resolve))
    const { spilling, finished } = await dump(scripted({ start: () => NEVER }), notes, 6, reached)
    t.ok(notes.kept.size >= 4, 'all but two parts and the one being filled')
    deadline()
    t.match(await finished, { bytes: 6 * PART_BYTES + 7 })
    t.strictSame(
      [...notes.kept.keys()].sort(),
      [1, 2, 3, 4, 5, 6, 7].map(number => `part-0000${number}`),
    )
    t.match(spilling.core, { bytes: 6 * PART_BYTES + 7, completing: false })
    t.ok(spilling.core!.parts.every(({ etag }) => etag === undefined))
    t.equal(spilling.isDown, true)
  },
)

t.test('parts that the store has are not kept, those that it does not take are', async t => {
  const notes = journal(true)
  const part = (number: number) => (number === 3 ? unreachable() : Promise.resolve())
  const { spilling, finished } = await dump(scripted({ part }), notes, 5)
  await finished
  t.strictSame(spilling.core?.parts.slice(0, 3), [
    { number: 1, offset: 0, bytes: PART_BYTES, etag: 'etag-1' },
    { number: 2, offset: PART_BYTES, bytes: PART_BYTES, etag: 'etag-2' },
    { number: 3, offset: 2 * PART_BYTES, bytes: PART_BYTES },
  ])
  t.ok(notes.kept.has('part-00003'))
  t.notOk(notes.kept.has('part-00001'))
  t.match(spilling.why, /no answer \[E_STORE_UNREACHABLE\]/)
})

t.test('without a spool the store is waited for, and its failure is the core’s', async t => {
  const part = (number: number) => (number === 2 ? unreachable() : Promise.resolve())
  const notes = journal(false)
  const dumping = dump(scripted({ part }), notes, 4).then(({ finished }) => finished)
  await t.rejects(dumping, { code: 'E_STORE_UNREACHABLE' })
  t.equal(notes.kept.size, 0)
  await t.rejects(dump(scripted({ start: unreachable }), notes, 4), { code: 'E_STORE_UNREACHABLE' })
})

t.test('where the spool is full, too', async t => {
  const dumping = dump(scripted({ part: unreachable }), journal(true, false), 4)
  await t.rejects(
    dumping.then(({ finished }) => finished),
    { code: 'E_STORE_UNREACHABLE' },
  )
})

t.test('an upload that is not completed in time is left to a sweep, with all receipts', async t => {
  const notes = journal(false)
  const complete = () => unreachable()
  const { spilling, finished } = await dump(scripted({ complete }), notes, 1)
  await finished
  t.match(spilling.core, { completing: true, parts: [{ etag: 'etag-1' }, { etag: 'etag-2' }] })
})

t.test('one that the store refuses is the core’s failure', async t => {
  const refused = () => Promise.reject(new CoreliftError('E_STORE_DENIED', 'InvalidPart'))
  const { finished } = await dump(scripted({ complete: refused }), journal(true), 1)
  await t.rejects(finished, { code: 'E_STORE_DENIED' })
})

t.test(
  'an object that takes more than a second is safe in the spool, whatever the store does with it',
  async t => {
    const notes = journal(true)
    const spilling = new SpillingStore(scripted({ put: () => NEVER }), notes, new Patience(NEVER))
    await spilling.put('crashes/n/p/i/kit.tar.zst', new Uint8Array(9))
    t.strictSame([...notes.kept], [['kit.tar.zst', 9]])
    t.equal(spilling.isDown, false, 'slow is not down')
    await spilling.put('crashes/n/p/i/core.zst', new Uint8Array(11))
    t.strictSame(spilling.core, { bytes: 11, parts: [], completing: false })
  },
)

t.test(
  'no byte of a core goes out before what comes first is there; the spool does not wait for it',
  async t => {
    for (const takesBlobs of [true, false]) {
      const notes = journal(takesBlobs)
      const puts: number[] = []
      const put = () => {
        puts.push(1)
        return Promise.resolve('etag')
      }
      const store = scripted({ put })
      let arrive: () => void = () => undefined
      const kit = new Promise<void>(resolve => (arrive = resolve))
      const after = new SpillingStore(store, notes, new Patience(NEVER)).after(kit)
      const writer = new MultipartWriter(after, 'crashes/n/p/i/core.zst')
      const written = Promise.resolve(writer.write(new Uint8Array(4 * PART_BYTES + 7))).then(() =>
        writer.finish(),
      )
      const small = after.put('crashes/n/p/j/core.zst', new Uint8Array(3))
      for (let turn = 0; turn < 20; turn++) await new Promise(resolve => setTimeout(resolve, 20))
      t.strictSame([store.sent, puts], [[], []])
      t.equal(notes.kept.size > 0, takesBlobs, 'beyond what is on its way')
      arrive()
      t.match(await written, { bytes: 4 * PART_BYTES + 7 })
      await small
      t.equal(puts.length, 1)
      t.equal(store.sent.length + notes.kept.size, 5)
    }
  },
)
