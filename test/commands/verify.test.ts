// Verification of a store in memory: every way in which a crash can be less than its manifest says, and what repair makes of it.
import t, { type Test } from 'tap'
import { verify, type VerifyQuery } from '../../src/commands/verify.ts'
import { repair } from '../../src/commands/verify-repair.ts'
import { coreKey, kitKey, manifestKey, parseIndexKey } from '../../src/store/keys.ts'
import { decodeManifest } from '../../src/store/manifest-schema.ts'
import { buildCore } from '../core/build-core.ts'
import { MemoryStore } from '../store/memory.ts'
import { deflateFrames, putCrash } from './crashes.ts'

const ID = '20261123T204008Z-000000000001'
const OTHER = '20261123T204009Z-000000000002'
const PREFIX = `crashes/shop/cart-7d9f-x2x4p/${ID}/`
const NOW = new Date('2026-11-24T00:00:00Z')
const CORE = buildCore().whole()
const deps = { version: '1.2.3', decompressor: () => deflateFrames, now: () => NOW }

const QUERY: VerifyQuery = { target: undefined, namespace: undefined, content: true, settledSeconds: 3600 }

async function crashed(): Promise<MemoryStore> {
  const store = new MemoryStore()
  await putCrash(store, { id: ID, core: CORE, mini: CORE })
  await putCrash(store, { id: OTHER, core: CORE, mini: CORE })
  return store
}

const found = async (store: MemoryStore, query: Partial<VerifyQuery> = {}) =>
  await verify(store, { ...QUERY, ...query }, deps)

async function problems(store: MemoryStore, query: Partial<VerifyQuery> = {}): Promise<string[]> {
  return (await found(store, query)).findings.map(({ problem, key }) => `${problem}: ${key}`)
}

async function repaired(t: Test, store: MemoryStore): Promise<(string | undefined)[]> {
  const { findings } = await found(store)
  const done: (string | undefined)[] = []
  for (const finding of findings) done.push(await repair(store, finding, deps))
  t.strictSame(await problems(store), [], 'nothing is wrong afterwards')
  return done
}

const indexOf = (store: MemoryStore, id: string): string[] =>
  [...store.objects.keys()].filter(key => parseIndexKey(key)?.id === id)

t.test(
  'a store in which all is as it should be has no findings, and says how much was looked at',
  async t => {
    t.match(await found(await crashed()), { crashes: 2, inProgress: 0, findings: [] })
    t.match(await found(await crashed(), { target: ID }), { crashes: 1, findings: [] })
  },
)

t.test(
  'an object that is missing, cut or changed is found; what is changed only where contents are read',
  async t => {
    const store = await crashed()
    const core = store.objects.get(coreKey(PREFIX))!
    store.objects.delete(coreKey(PREFIX))
    t.strictSame(await problems(store), [`missing: ${coreKey(PREFIX)}`])
    store.objects.set(coreKey(PREFIX), core.subarray(1))
    t.strictSame(await problems(store, { content: false }), [`damaged: ${coreKey(PREFIX)}`])
    const changed = Uint8Array.from(core)
    changed[100]! ^= 1
    store.objects.set(coreKey(PREFIX), changed)
    t.strictSame(await problems(store, { content: false }), [])
    t.strictSame(await problems(store), [`damaged: ${coreKey(PREFIX)}`])
    t.strictSame(await problems(store, { target: ID }), [`damaged: ${coreKey(PREFIX)}`])
    t.strictSame(await problems(store, { target: OTHER }), [])
    const [finding] = (await found(store)).findings
    t.equal(await repair(store, finding!, deps), undefined, 'nobody can mend it, and nobody touches it')
  },
)

t.test('a manifest that cannot be read is found', async t => {
  const store = await crashed()
  store.objects.set(manifestKey(PREFIX), Buffer.from('{'))
  t.strictSame(await problems(store), [`manifest: ${manifestKey(PREFIX)}`])
})

t.test('a crash without a manifest is at work while it is young, and unfinished then', async t => {
  const store = await crashed()
  store.objects.delete(manifestKey(PREFIX))
  t.match(await found(store, { settledSeconds: 86_400 }), { inProgress: 1, findings: [] })
  t.strictSame(await problems(store), [`unfinished: ${PREFIX}`])
})

t.test(
  'an unfinished crash is finished with what is there: the core, the mini core, or that it was',
  async t => {
    const cases = [
      [[], { outcome: 'full', reason: null, core: { complete: true, bytesReceived: CORE.length } }],
      [[coreKey(PREFIX)], { outcome: 'mini', reason: 'killed', core: null, mini: { bytes: CORE.length } }],
    ] as const
    for (const [missing, expected] of cases) {
      const store = await crashed()
      for (const key of [manifestKey(PREFIX), ...missing, ...indexOf(store, ID)]) store.objects.delete(key)
      t.match(await repaired(t, store), [new RegExp(`finished: ${expected.outcome}`)])
      t.match(decodeManifest(store.objects.get(manifestKey(PREFIX))!), expected)
      t.equal(indexOf(store, ID).length, 1)
    }
  },
)

t.test('a core that its manifest does not name is taken in, and found under one name', async t => {
  const store = await crashed()
  const manifest = decodeManifest(store.objects.get(manifestKey(PREFIX))!)
  const lost = { ...manifest, outcome: 'mini', core: null, reason: 'spool', reasonText: 'who knows' }
  store.objects.set(manifestKey(PREFIX), Buffer.from(JSON.stringify(lost)))
  const [whole] = indexOf(store, ID)
  store.objects.delete(whole!)
  store.objects.set(whole!.replace(/full$/, 'mini'), new Uint8Array(0))
  t.strictSame(await problems(store), [`unnamed: ${coreKey(PREFIX)}`])
  t.strictSame(await repaired(t, store), ['finished: full'])
  t.strictSame(indexOf(store, ID), [whole])
})

t.test('an index entry that is missing is written, one of a crash that is gone is removed', async t => {
  const store = await crashed()
  const [entry] = indexOf(store, ID)
  store.objects.delete(entry!)
  for (const key of store.objects.keys())
    if (key.includes(OTHER) && key.startsWith('crashes/')) store.objects.delete(key)
  t.strictSame(await problems(store), [
    `not in the index: ${PREFIX}`,
    `index without crash: ${indexOf(store, OTHER)[0]}`,
  ])
  t.strictSame(await repaired(t, store), ['entered into the index', 'removed'])
  t.strictSame(indexOf(store, ID), [entry])
})

t.test('an upload of a crash that is finished is left over, as is one that is old', async t => {
  const store = await crashed()
  await store.startUpload(coreKey(PREFIX))
  const young = coreKey(PREFIX.replace(ID, '20261123T204010Z-000000000003'))
  await store.startUpload(young)
  t.strictSame(await problems(store, { settledSeconds: 1e9 }), [`upload left over: ${coreKey(PREFIX)}`])
  t.match(await repaired(t, store), [/aborted/])
})

t.test('where uploads cannot be listed the rest is looked at all the same', async t => {
  const { CoreliftError } = await import('../../src/errors.ts')
  const store = await crashed()
  store.listUploads = async function* () {
    yield []
    throw new CoreliftError('E_STORE_DENIED', 'LIST uploads: access denied')
  }
  store.objects.delete(kitKey(PREFIX))
  const { findings, uploadsUnknown } = await found(store)
  t.match(findings, [{ problem: 'missing' }])
  t.match(uploadsUnknown, /access denied/)
})
