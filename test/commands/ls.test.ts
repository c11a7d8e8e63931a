import t from 'tap'
import { listCrashes, type LsEntry, type LsQuery } from '../../src/commands/ls.ts'
import { coreKey, crashPrefix, manifestKey } from '../../src/store/keys.ts'
import { MemoryStore } from '../store/memory.ts'
import { putCrash } from './crashes.ts'

const NOW = new Date('2026-11-23T20:45:00Z')
const NOTHING: LsQuery = {
  pod: undefined,
  namespace: undefined,
  container: undefined,
  node: undefined,
  signal: undefined,
  comm: undefined,
  since: undefined,
  until: undefined,
  first: false,
  detailed: false,
}
const OLD = '20261101T000000Z-000000000001'
const YESTERDAY = '20261122T120000Z-000000000002'
const EARLIER = '20261123T190000Z-000000000003'
const LATEST = '20261123T204008Z-000000000004'

async function list(store: MemoryStore, query: Partial<LsQuery>): Promise<LsEntry[]> {
  const entries: LsEntry[] = []
  for await (const entry of listCrashes(store, { ...NOTHING, ...query }, NOW)) entries.push(entry)
  return entries
}

async function ids(store: MemoryStore, query: Partial<LsQuery>): Promise<string[]> {
  return (await list(store, query)).map(entry => entry.id)
}

/** Four crashes of three pods in two namespaces, over three weeks. */
async function fourCrashes(pageKeysMax?: number): Promise<MemoryStore> {
  const store = new MemoryStore(pageKeysMax)
  await putCrash(store, { id: OLD, pod: 'cart-0', signal: 6, comm: 'sh' })
  await putCrash(store, { id: YESTERDAY, pod: 'cart-1', node: 'node-2', container: 'sidecar' })
  await putCrash(store, { id: EARLIER, pod: 'cart-0', core: null })
  await putCrash(store, { id: LATEST, pod: 'cart-0', namespace: 'staging', missing: 10 })
  return store
}

t.test('a pod of a namespace is one listing, newest first', async t => {
  const store = await fourCrashes()
  t.same(await ids(store, { pod: 'cart-0', namespace: 'shop' }), [EARLIER, OLD])
  t.same(store.lists, ['crashes/shop/cart-0/'])
  t.equal(store.gets.length, 2)
})

t.test('a pod is found in whatever namespace it is', async t => {
  const store = await fourCrashes(2)
  t.same(await ids(store, { pod: 'cart-0' }), [LATEST, EARLIER, OLD])
  t.same(store.lists, ['crashes/', 'crashes/shop/cart-0/', 'crashes/staging/cart-0/'])
})

t.test('a pod whose name begins like another one is not mistaken for it', async t => {
  const store = await fourCrashes()
  await putCrash(store, { id: LATEST, pod: 'cart-01' })
  t.same(await ids(store, { pod: 'cart-0', namespace: 'shop' }), [EARLIER, OLD])
})

t.test('entries say what happened', async t => {
  const store = await fourCrashes()
  const [latest, earlier] = await list(store, { detailed: true })
  t.match(latest, {
    time: '2026-11-23T20:40:08.000Z',
    namespace: 'staging',
    pod: 'cart-0',
    container: 'app',
    node: 'node-1',
    signal: 'SIGSEGV',
    signalNumber: 11,
    comm: 'cart',
    exe: '/usr/bin/cart',
    outcome: 'full',
    complete: false,
    bytes: 4,
    reason: null,
  })
  t.match(earlier, { outcome: 'record', complete: false, bytes: null, reason: 'slots' })
})

t.test('a listing by time reads no manifest', async t => {
  const store = await fourCrashes()
  const entries = await list(store, { since: new Date('2026-11-23T00:00:00Z') })
  t.same(
    entries.map(({ id, outcome, complete }) => [id, outcome, complete]),
    [
      [LATEST, 'full', false],
      [EARLIER, 'record', false],
    ],
  )
  t.same(store.gets, [])
})

t.test('a short span is listed by its hours', async t => {
  const store = await fourCrashes()
  const since = new Date('2026-11-23T18:30:00Z')
  t.same(await ids(store, { since, until: new Date('2026-11-23T20:40:00Z') }), [EARLIER])
  t.same(store.lists, ['index/2026-11-23/20/', 'index/2026-11-23/19/', 'index/2026-11-23/18/'])
})

t.test('a long span is listed by the days that have crashes', async t => {
  const store = await fourCrashes()
  t.same(await ids(store, { since: new Date('2026-11-05T00:00:00Z') }), [LATEST, EARLIER, YESTERDAY])
  t.same(store.lists, ['index/', 'index/2026-11-23/', 'index/2026-11-22/'])
  t.same(await ids(store, { until: new Date('2026-11-22T12:00:00Z') }), [YESTERDAY, OLD])
})

t.test('a crash of a node whose clock is ahead is listed', async t => {
  const store = await fourCrashes()
  const ahead = '20261123T210500Z-000000000005'
  await putCrash(store, { id: ahead })
  t.same((await ids(store, { since: new Date('2026-11-23T20:00:00Z') }))[0], ahead)
})

t.test('filters that a key knows need no manifest', async t => {
  const store = await fourCrashes()
  t.same(await ids(store, { signal: 6 }), [OLD])
  t.same(await ids(store, { comm: 'sh' }), [OLD])
  t.same(await ids(store, { container: 'sidecar' }), [YESTERDAY])
  t.same(await ids(store, { namespace: 'staging' }), [LATEST])
  t.same(store.gets, [])
  t.same(await ids(store, { signal: 6, detailed: true }), [OLD])
  t.equal(store.gets.length, 1)
})

t.test('filters apply to a pod too', async t => {
  const store = await fourCrashes()
  t.same(await ids(store, { pod: 'cart-0', signal: 6 }), [OLD])
  t.same(await ids(store, { pod: 'cart-0', comm: 'nothing' }), [])
  store.gets.length = 0
  t.same(await ids(store, { pod: 'cart-0', until: new Date('2026-11-02T00:00:00Z') }), [OLD])
  t.equal(store.gets.length, 1)
})

t.test('a node is looked up in the manifests', async t => {
  const store = await fourCrashes()
  t.same(await ids(store, { node: 'node-2' }), [YESTERDAY])
  t.equal(store.gets.length, 4)
})

t.test('the newest alone costs one manifest', async t => {
  const store = await fourCrashes()
  t.same(await ids(store, { pod: 'cart-0', first: true }), [LATEST])
  t.equal(store.gets.length, 1)
  t.same(await ids(store, { first: true }), [LATEST])
  t.same(await ids(store, { first: true, node: 'node-2' }), [YESTERDAY])
})

t.test('an id lists its crash', async t => {
  const store = await fourCrashes()
  t.same(await ids(store, { pod: YESTERDAY }), [YESTERDAY])
})

t.test('a crash without a manifest is unfinished', async t => {
  const store = new MemoryStore()
  const prefix = crashPrefix({ namespace: 'shop', pod: 'cart-0', id: LATEST })
  await store.put(coreKey(prefix), Uint8Array.of(1, 2, 3))
  t.match(await list(store, { pod: 'cart-0', namespace: 'shop' }), [
    { id: LATEST, outcome: 'unfinished', complete: false, signal: null, bytes: null },
  ])
  t.same(store.gets, [])
})

t.test('a manifest that cannot be read hides no other crash', async t => {
  const store = await fourCrashes()
  const prefix = crashPrefix({ namespace: 'shop', pod: 'cart-0', id: EARLIER })
  await store.put(manifestKey(prefix), new TextEncoder().encode('{'))
  const entries = await list(store, { pod: 'cart-0', namespace: 'shop' })
  t.match(entries, [
    { id: EARLIER, outcome: 'unreadable', reason: /no JSON/ },
    { id: OLD, outcome: 'full' },
  ])
})

t.test('a stranger among the keys is passed over', async t => {
  const store = await fourCrashes()
  for (const key of [
    'crashes/shop/cart-0/x',
    'index/2026-11-23/20/x',
    'index/x/y',
    'crashes/x',
    'index/2026-11-23/x',
  ]) {
    await store.put(key, new Uint8Array(0))
  }
  t.equal((await ids(store, {})).length, 4)
  t.equal((await ids(store, { pod: 'cart-0', namespace: 'shop' })).length, 2)
})

t.test('an unknown pod comes with near names', async t => {
  const store = await fourCrashes()
  const unknown = (query: Partial<LsQuery>, hint: RegExp) =>
    t.rejects(list(store, query), { code: 'E_CRASH_UNKNOWN', exitCode: 3, hint })
  await unknown({ pod: 'cart-2' }, /^near names: cart-0, cart-1$/)
  await putCrash(store, { id: OLD, pod: 'checkout-7d9f8-x2x4p' })
  await unknown({ pod: 'checkout' }, /^near names: checkout-7d9f8-x2x4p$/)
  await unknown({ pod: 'cart' }, /^near names: cart-0, cart-1$/)
  await unknown(
    { pod: 'cart-1', namespace: 'staging' },
    /^it has crashes in another namespace: -n shop; near names: cart-0$/,
  )
  await unknown(
    { pod: 'cart-1', namespace: 'stagin' },
    /no crash is of namespace stagin; the nearest name is staging/,
  )
  await unknown({ pod: 'something-else' }, /^corelift ls shows all crashes$/)
  await unknown({ pod: '20261123T204009Z' }, /found by its pod only/)
})
