// What is sent of an entry, in which order, and what becomes of it when the store, the disk or the sender fails in between.
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CoreliftError } from '../../src/errors.ts'
import { partName } from '../../src/spool/blobs.ts'
import { finishEntry, type FinishOptions } from '../../src/spool/finish.ts'
import type { EntryNote } from '../../src/spool/note.ts'
import { type Entry, openSpool } from '../../src/spool/spool.ts'
import type { Manifest } from '../../src/store/manifest.ts'
import type { Store, Upload } from '../../src/store/store.ts'
import { fakeLock } from '../budget/fake-lock.ts'
import { noTmpfs, stateDir } from '../budget/state-dir.ts'
import { MemoryStore } from '../store/memory.ts'
import { crashNote, idOf, sha256 } from './crash-note.ts'

const skip = noTmpfs
const os = fakeLock()
const KIT = Buffer.from('a kit')
const PARTS = [Buffer.alloc(900, 1), Buffer.alloc(900, 2), Buffer.alloc(100, 3)]
const CORE = Buffer.concat(PARTS)
const ID = idOf(1)
const NOTE = crashNote({ id: ID, kit: KIT, core: CORE })
const WHEN = new Date('2026-11-24T13:00:00Z')

/** An entry with a kit and a core; the parts of `sent` are in the store. */
async function spooled(
  t: Test,
  { store, sent = [] }: { store: MemoryStore; sent?: number[] },
  changes: Partial<EntryNote> = {},
) {
  const path = join(stateDir(t), 'spool')
  const spool = await openSpool(os, {
    ...{ path, key: 'spool.dir', bytesMax: 1 << 30, freeBytesMin: 0 },
    ...{ allowRootFilesystem: false, takesBlobs: true },
  })
  t.teardown(() => spool.close())
  const entry = await spool.create(ID)
  await entry.keep('kit.tar.zst', KIT)
  const upload = sent.length > 0 ? await store.startUpload(NOTE.keys.core) : undefined
  const parts: { number: number; offset: number; bytes: number; etag?: string }[] = []
  for (const [index, body] of PARTS.entries()) {
    const [number, offset] = [index + 1, index * 900]
    const receipt = sent.includes(number) ? await upload!.putPart(number, offset, body) : undefined
    if (!receipt) await entry.keep(partName(number), body)
    parts.push({ number, offset, bytes: body.length, ...(receipt && { etag: receipt.etag }) })
  }
  const begun = upload && { upload: { id: upload.id } }
  await entry.save({ ...NOTE, ...begun, core: { bytes: CORE.length, parts }, ...changes })
  store.partPuts.length = 0
  const namesOf = () => readdirSync(join(path, ID)).map(name => name.replace(/\.\d+\.[0-9a-f]{64}$/, ''))
  return { spool, path, entry, namesOf }
}

const finish = (entry: Entry, store: Store, options: Partial<FinishOptions> = {}) =>
  finishEntry(entry, store, { now: () => WHEN, by: 'sweep', ...options })

function manifestIn(store: MemoryStore): Manifest {
  return JSON.parse(Buffer.from(store.objects.get(NOTE.keys.manifest)!).toString()) as Manifest
}

const gone = () => Promise.reject(new CoreliftError('E_STORE_NO_UPLOAD', 'the upload is gone'))
const denied = () => Promise.reject(new CoreliftError('E_STORE_DENIED', 'HEAD: access denied'))
const unreachable = () =>
  Promise.reject(new CoreliftError('E_STORE_UNREACHABLE', 'no answer', { retryable: true }))

/** A store some of whose methods are others. */
function withMethods(store: MemoryStore, methods: Partial<Store>): Store {
  return new Proxy<Store>(store, {
    get(target, name) {
      const method = methods[name as keyof Store] ?? target[name as keyof Store]
      return typeof method === 'function' ? method.bind(target) : method
    },
  })
}

function withUpload(store: MemoryStore, change: (upload: Upload) => Partial<Upload>): Store {
  const changed = (upload: Upload) => ({ ...upload, ...change(upload) })
  return withMethods(store, {
    startUpload: async key => changed(await store.startUpload(key)),
    resumeUpload: (key, id) => changed(store.resumeUpload(key, id)),
  })
}

t.test('an upload is finished where it stopped: kit, missing parts, manifest, index', { skip }, async t => {
  const store = new MemoryStore()
  const { entry, path } = await spooled(t, { store, sent: [1] })
  const order: string[] = []
  const put = async (key: string, body: Uint8Array) => {
    order.push(key)
    return await store.put(key, body)
  }
  t.match(await finish(entry, withMethods(store, { put })), { state: 'done' })
  t.strictSame(
    store.partPuts.map(({ number }) => number),
    [2, 3],
    'the part that the store has is not sent again',
  )
  t.equal(sha256(store.objects.get(NOTE.keys.core)!), sha256(CORE))
  t.strictSame(order, [NOTE.keys.kit, NOTE.keys.manifest, NOTE.index.kept])
  t.match(manifestIn(store), {
    outcome: 'full',
    delivery: { by: 'sweep', at: WHEN.toISOString(), why: NOTE.why },
  })
  t.strictSame([store.uploads.size, readdirSync(path)], [0, []])
})

t.test('a core that was small enough for one request is sent as one', { skip }, async t => {
  const store = new MemoryStore()
  const { entry } = await spooled(t, { store })
  await entry.drop(name => name.startsWith('part'))
  await entry.keep('core.zst', CORE)
  await entry.save({ ...NOTE, core: { bytes: CORE.length, parts: [] } })
  t.match(await finish(entry, store, { by: 'handler' }), { state: 'done' })
  t.equal(sha256(store.objects.get(NOTE.keys.core)!), sha256(CORE))
  t.equal(manifestIn(store).delivery, undefined, 'the handler itself delivered it')
})

t.test('what the store has of a core stays known, whenever the sender is killed', { skip }, async t => {
  for (const whole of [true, false]) {
    const store = new MemoryStore()
    const { spool, entry } = await spooled(t, { store })
    if (whole) {
      await entry.drop(name => name.startsWith('part'))
      await entry.keep('core.zst', CORE)
      await entry.save({ ...NOTE, core: { bytes: CORE.length, parts: [] } })
    }
    const put = (key: string, body: Uint8Array) =>
      key === NOTE.keys.manifest ? unreachable() : store.put(key, body)
    t.match(await finish(entry, withMethods(store, { put })), {
      state: 'waiting',
      error: { code: 'E_STORE_UNREACHABLE' },
    })
    t.strictSame([...(await entry.blobs()).keys()], [], 'nothing of it is here')
    await entry.release()
    const again = await spool.claim(ID)
    if (typeof again !== 'object') return t.fail('it waits')
    t.match(await finish(again, withMethods(store, { stat: denied })), { state: 'done' })
    t.match(manifestIn(store), { outcome: 'full', core: { sha256Stored: sha256(CORE) }, warnings: [] })
  }
})

t.test('small objects of all crashes can go before the cores of any', { skip }, async t => {
  const store = new MemoryStore()
  const { entry, namesOf } = await spooled(t, { store })
  t.match(await finish(entry, store, { onlySmall: true }), { state: 'later' })
  t.strictSame([...store.objects.keys()], [NOTE.keys.kit])
  t.notOk(namesOf().includes('kit.tar.zst'), 'and is here no more')
  t.match(await finish(entry, store), { state: 'done' })
})

t.test('of a handler that was killed its last note is sent, and its parts are dropped', { skip }, async t => {
  const store = new MemoryStore()
  const { manifest } = crashNote({ id: ID, kit: KIT })
  const { core: _core, ...note } = NOTE
  const { entry, path } = await spooled(t, { store, sent: [1] }, { ...note, state: 'open', manifest })
  t.match(await finish(entry, store), { state: 'done' })
  t.match(manifestIn(store), { outcome: 'mini', core: null, kit: { bytes: KIT.length } })
  t.equal(store.objects.has(NOTE.keys.core), false)
  t.strictSame([store.uploads.size, readdirSync(path)], [0, []])
})

t.test('nothing is removed before the store has confirmed it', { skip }, async t => {
  const store = new MemoryStore()
  const { entry, namesOf } = await spooled(t, { store })
  const before = namesOf()
  const lies: Partial<Store>[] = [
    { stat: async () => undefined },
    { stat: async () => ({ bytes: KIT.length + 1, modifiedAt: new Date(0), etag: '"x"' }) },
    { stat: async () => ({ bytes: KIT.length, modifiedAt: new Date(0), etag: '"\u001b[2Jx"' }) },
  ]
  for (const lie of lies) {
    const result = await finish(entry, withMethods(store, lie))
    t.match(result, { state: 'waiting', error: { code: 'E_STORE_PROTOCOL', retryable: true, hint: String } })
    t.notOk(result.state === 'waiting' && /\p{Cc}/u.test(result.error.message), 'nor is it printed raw')
    t.strictSame(namesOf(), before)
  }
  t.match(await finish(entry, withMethods(store, { stat: denied })), { state: 'done' }, 'a put-only node')
})

t.test('an upload whose completion nobody heard of is found', { skip }, async t => {
  const store = new MemoryStore()
  const { entry } = await spooled(t, { store, sent: [1, 2, 3] })
  const answerLost = withUpload(store, upload => ({
    complete: async receipts => {
      await upload.complete(receipts)
      return await unreachable()
    },
  }))
  t.match(await finish(entry, answerLost), { state: 'waiting' })
  const forgetful = withUpload(store, () => ({ complete: gone }))
  t.match(await finish(entry, forgetful), { state: 'done' })
  t.match(manifestIn(store), { outcome: 'full', warnings: [] })
  t.strictSame(store.partPuts, [], 'and nothing is sent again')
})

t.test(
  'where nobody may ask, it is sent again if it can be, and else does not count as done',
  { skip },
  async t => {
    const store = new MemoryStore()
    const here = await spooled(t, { store }, { upload: { id: 'gone' }, completing: true })
    const putOnly = withMethods(store, { stat: denied })
    t.match(await finish(here.entry, putOnly), { state: 'done' })
    t.match(manifestIn(store), { outcome: 'full', warnings: [] })
    t.equal(sha256(store.objects.get(NOTE.keys.core)!), sha256(CORE))
    const other = new MemoryStore()
    const there = await spooled(t, { store: other, sent: [1, 2, 3] }, { completing: true })
    other.uploads.clear()
    t.match(await finish(there.entry, withMethods(other, { stat: denied })), { state: 'done' })
    t.match(manifestIn(other), { outcome: 'mini', core: null, reasonText: /may not read/ })
  },
)

t.test(
  'an upload that the store dropped begins anew if all of it is here, else the record says so',
  { skip },
  async t => {
    const store = new MemoryStore()
    const here = await spooled(t, { store }, { upload: { id: 'gone' } })
    t.match(await finish(here.entry, store), { state: 'done' })
    t.match(manifestIn(store), { outcome: 'full' })
    t.equal(sha256(store.objects.get(NOTE.keys.core)!), sha256(CORE))
    const other = new MemoryStore()
    const { entry } = await spooled(t, { store: other, sent: [1] })
    other.uploads.clear()
    t.match(await finish(entry, other), { state: 'done' })
    t.match(manifestIn(other), {
      outcome: 'mini',
      core: null,
      reason: 'spool',
      reasonText: /the store does not have what was sent/,
    })
    t.ok(other.objects.has(NOTE.index.reduced))
    t.notOk(other.objects.has(NOTE.index.kept))
  },
)

t.test(
  'a store that knows no upload at all is asked anew by the next sweep, not for ever',
  { skip },
  async t => {
    const store = new MemoryStore()
    const { entry } = await spooled(t, { store })
    let begun = 0
    const startUpload = async (key: string) => {
      if (++begun > 5) throw new Error('for ever')
      return { ...(await store.startUpload(key)), putPart: gone, complete: gone }
    }
    const amnesic = withMethods(store, { startUpload })
    t.match(await finish(entry, amnesic), { state: 'waiting', error: { code: 'E_STORE_NO_UPLOAD' } })
    t.equal(begun, 2)
  },
)

t.test('what the disk damaged is not sent, and the record says what is missing', { skip }, async t => {
  const damage = (path: string, name: string) => {
    const file = readdirSync(join(path, ID)).find(file => file.startsWith(name))!
    writeFileSync(join(path, ID, file), 'x')
  }
  const store = new MemoryStore()
  const noPart = await spooled(t, { store, sent: [1] })
  damage(noPart.path, partName(2))
  t.match(await finish(noPart.entry, store), { state: 'done' })
  t.match(manifestIn(store), { outcome: 'mini', core: null, reasonText: /part 2 of 3 was damaged/ })
  t.strictSame([store.uploads.size, store.objects.has(NOTE.keys.core)], [0, false], 'nor is its upload left')
  const other = new MemoryStore()
  const noKit = await spooled(t, { store: other })
  damage(noKit.path, 'kit')
  t.match(await finish(noKit.entry, other), { state: 'done' })
  t.match(manifestIn(other), { outcome: 'full', kit: null, mini: null, warnings: [/no kit: .*damaged/] })
  t.notOk(other.objects.has(NOTE.keys.kit))
})

t.test(
  'an upload whose begin nobody lived to note is aborted, where they can be listed',
  { skip },
  async t => {
    const store = new MemoryStore()
    const { entry } = await spooled(t, { store }, { beginning: true })
    await store.startUpload(NOTE.keys.core)
    const other = await store.startUpload(`${NOTE.keys.core}.other`)
    t.match(await finish(entry, store), { state: 'done' })
    t.strictSame([...store.uploads.keys()], [other.id], "others' are not touched")
    t.match(manifestIn(store), { outcome: 'full' })
    const blind = new MemoryStore()
    const again = await spooled(t, { store: blind }, { beginning: true })
    const listUploads = async function* () {
      await denied()
      yield []
    }
    t.match(await finish(again.entry, withMethods(blind, { listUploads })), { state: 'done' })
    const killed = new MemoryStore()
    const open = { ...crashNote({ id: ID, kit: KIT, state: 'open' }), beginning: true as const }
    const handlers = await spooled(t, { store: killed }, open)
    await killed.startUpload(NOTE.keys.core)
    t.match(await finish(handlers.entry, killed), { state: 'done' })
    t.equal(killed.uploads.size, 0, 'also that of a handler')
  },
)
