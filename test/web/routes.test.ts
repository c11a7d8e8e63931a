import t from 'tap'
import { CoreliftError } from '../../src/errors.ts'
import { BUILDID_PREFIX, coreKey, kitKey, manifestKey } from '../../src/store/keys.ts'
import type { Request } from '../../src/web/reply.ts'
import { respond } from '../../src/web/routes.ts'
import { putCrash } from '../commands/crashes.ts'
import { MemoryStore } from '../store/memory.ts'
import { BUILD_ID, HOSTILE, HOSTILE_ID, putHostile, putMany, putSmall } from './scene.ts'
import { ask, collect, depsFor } from './serving.ts'

const ID = '20261123T204008Z-000000000004'
const OLD = '20261101T000000Z-000000000001'
const UNFINISHED = '20261123T201500Z-000000000009'

const idsIn = (text: string): string[] =>
  [...text.matchAll(/rowheader" class="time">\s*<a href="\/crash\/([^"]+)"/g)].map(([, id = '']) => id)
const plain = (text: string): string => text.replaceAll(/<[^>]+>/g, '').replaceAll(/\s+/g, ' ')

/** Two crashes of a pod and one of another, today; one of three weeks ago. */
async function someCrashes(): Promise<MemoryStore> {
  const store = new MemoryStore()
  await putSmall(store, { id: OLD, pod: 'db-0' })
  await putSmall(store, { id: '20261123T190000Z-000000000002', signature: 'SIGSEGV a+0x1' })
  await putSmall(store, { id: '20261123T200000Z-000000000003', signature: 'SIGSEGV a+0x1', signal: 6 })
  await putSmall(store, { id: ID, namespace: 'staging', pod: 'cart-7d9f-x2x4p', comm: 'sh' })
  return store
}

t.test('the overview lists the last seven days, newest first, from the index', async t => {
  const store = await someCrashes()
  const { reply, text } = await ask(depsFor(store), '/')
  t.equal(reply.status, 200)
  t.same(idsIn(text), [ID, '20261123T200000Z-000000000003', '20261123T190000Z-000000000002'])
  t.match(plain(text), /3 crashes in the last 7 days/)
  t.ok(
    store.lists.every(prefix => prefix.startsWith('index/')),
    store.lists.join(),
  )
})

t.test('filters hold for the list, the chart and the counts', async t => {
  const deps = depsFor(await someCrashes())
  const ids = async (query: string) => idsIn((await ask(deps, `/?${query}`)).text)
  t.same(await ids('namespace=staging'), [ID])
  t.same(await ids('workload=cart&signal=abrt'), ['20261123T200000Z-000000000003'])
  t.same(await ids('pod=db-0&since=30d'), [OLD])
  t.same(await ids('comm=sh&container=app&outcome=record'), [ID])
  t.same(await ids('outcome=full'), [])
  t.same(await ids('since=2026-11-23+19:30&until=2026-11-23+20:30'), ['20261123T200000Z-000000000003'])
})

t.test('a filter that is not understood is told, beside what was typed', async t => {
  const deps = depsFor(await someCrashes())
  for (const query of ['since=soon', 'signal=nothing', 'outcome=lost', 'before=x', 'since=1h&until=2h']) {
    const { reply, text } = await ask(deps, `/?${query}`)
    t.equal(reply.status, 400, query)
    t.match(text, /E_USAGE/)
  }
  t.match((await ask(deps, '/?signal=no"thing')).text, /value="no&quot;thing"/)
})

t.test('signatures are those of the newest 200, each manifest read once', async t => {
  const store = new MemoryStore()
  await putMany(store, 230)
  const deps = { ...depsFor(store) }
  const { text } = await ask(deps, '/')
  t.match(plain(text), /Of the newest 200/)
  t.equal(store.gets.length, 200)
  await ask(deps, '/')
  t.equal(store.gets.length, 200)
})

t.test('a manifest that somebody damaged does not hide the others', async t => {
  const store = await someCrashes()
  const [damaged] = [...store.objects.keys()].filter(key => key.endsWith('manifest.json') && key.includes(ID))
  store.objects.set(damaged!, Buffer.from('{'))
  t.match((await ask(depsFor(store), '/')).text, /SIGSEGV a\+0x1/)
  const { reply, text } = await ask(depsFor(store), `/crash/${ID}`)
  t.same([reply.status, /E_MANIFEST/.test(text)], [502, true])
})

t.test('a store that does not answer is a page that says so and what to do', async t => {
  const failing = (code: 'E_STORE_UNREACHABLE' | 'E_STORE_DENIED') =>
    Object.assign(new MemoryStore(), {
      list: () => {
        throw new CoreliftError(code, 'LIST index/: <no>', { hint: 'look at the network' })
      },
    })
  for (const path of ['/', `/crash/${ID}`]) {
    const { reply, text } = await ask(depsFor(failing('E_STORE_UNREACHABLE')), path)
    t.equal(reply.status, 503)
    t.match(text, /LIST index\/: &lt;no&gt;.*E_STORE_UNREACHABLE.*look at the network/s)
  }
  t.equal((await ask(depsFor(failing('E_STORE_DENIED')), '/')).reply.status, 502)
})

t.test('a store that fails in the middle of a page says so on it', async t => {
  const store = await someCrashes()
  const failing = Object.assign(store, {
    get: () => Promise.reject(new CoreliftError('E_STORE_UNREACHABLE', 'GET: away')),
  })
  const { reply, text } = await ask(depsFor(failing), '/')
  t.equal(reply.status, 200)
  t.match(text, /Signatures are missing.*GET: away/s)
  t.equal(idsIn(text).length, 3)
})

t.test('a page begins as soon as the store answers, and says where it does not go on', async t => {
  let fail: (error: Error) => void = () => undefined
  const never = new Promise<never>((_, reject) => (fail = reject))
  const store = Object.assign(new MemoryStore(), {
    async *list(prefix: string) {
      yield { objects: [], prefixes: prefix === 'index/' ? ['index/2026-11-23/'] : [] }
      if (prefix !== 'index/') await never
    },
  })
  const { status, body } = await respond(depsFor(store), requestOf('/'))
  const parts = (body as AsyncIterable<string>)[Symbol.asyncIterator]()
  t.equal(status, 200)
  t.match((await parts.next()).value, /<main id="content"/)
  fail(new CoreliftError('E_STORE_UNREACHABLE', 'LIST: away'))
  t.match((await parts.next()).value, /The rest of this page is missing.*LIST: away/s)
  t.match((await parts.next()).value, /<\/html>\n$/)
})

t.test('the page of a crash has its stacks demangled, its files and the end of its log', async t => {
  const store = new MemoryStore()
  await putHostile(store)
  const { reply, text } = await ask(depsFor(store), `/crash/${HOSTILE_ID}`)
  t.equal(reply.status, 200)
  t.match(text, /shop::Cart::add_all\(std::vector&lt;int/)
  t.match(text, new RegExp(`href="/buildid/${BUILD_ID}/executable"`))
  t.match(plain(text), /\/lib\/away.so ab – not yet, or no longer/)
  t.match(text, /line\n&lt;\/pre&gt;&lt;script&gt;alert\(4\)&lt;\/script&gt;\n\\x1b\[31mred\n<\/pre/)
  t.match(text, /DEBUGINFOD_URLS=&quot;http:\/\/localhost:8080&quot;/)
  t.match(plain(text), /3 threads were not unwound/)
  t.notMatch(text, /href="\/crashes\//, 'a key that is no file’s')
  for (const [name, value] of Object.entries(HOSTILE)) t.notMatch(text, value, name)
  t.notMatch(text, /href="(?!\/|#)/)
})

t.test('a crash is found by an id, its beginning, a pod, or the components of its prefix', async t => {
  const deps = depsFor(await someCrashes())
  for (const target of [ID, ID.slice(0, 17), `staging/cart-7d9f-x2x4p/${ID}`, 'cart-7d9f-x2x4p'])
    t.match((await ask(deps, `/crash/${target}`)).text, `corelift debug ${ID}`, target)
  t.equal((await ask(deps, '/find?q=cart-0')).reply.headers['Location'], '/crash/cart-0')
  t.equal(
    (await ask(deps, '/find?q=//evil.example/')).reply.headers['Location'],
    '/crash/%2F%2Fevil.example%2F',
  )
})

t.test('what is not there is a page with advice', async t => {
  const deps = depsFor(await someCrashes())
  const near = await ask(deps, '/crash/cart-7d9f-x2x4q')
  t.same([near.reply.status, /near names: cart-7d9f-x2x4p/.test(near.text)], [404, true])
  const unknown = await ask(deps, '/crash/20261123T204008Z-00000000dead')
  t.equal(unknown.reply.status, 404)
  t.match(unknown.text, /href="\/\?since=2026-11-23T19%3A40%3A08.000Z&amp;until=2026-11-23T21/)
  for (const path of ['/nothing', '/crash/', `/crash/${ID}/core/x`, '/crash/a/b', `/crash/../../${ID}`])
    t.equal((await ask(deps, path)).reply.status, 404, path)
})

t.test('an unfinished crash is found by its pod, and has a page', async t => {
  const store = await someCrashes()
  const prefix = await putCrash(store, {
    id: UNFINISHED,
    pod: 'db-0',
    core: null,
    mini: Buffer.alloc(9000, 'mini'),
  })
  store.objects.delete(manifestKey(prefix))
  for (const key of store.objects.keys())
    if (key.startsWith('index/') && key.includes(UNFINISHED)) store.objects.delete(key)
  const deps = depsFor(store)
  const path = `/crash/shop/db-0/${UNFINISHED}`
  t.match((await ask(deps, '/?pod=db-0')).text, `href="${path}"`)
  const page = await ask(deps, path)
  t.match(plain(page.text), /unfinished: it has no manifest.*kit.tar.zst.*Mini core/)
  const mini = await ask(deps, `${path}/mini`)
  t.equal(mini.bytes.toString(), 'mini'.repeat(2250))
  t.equal((await ask(deps, `/crash/${UNFINISHED}`)).reply.status, 404)
})

t.test('downloads are what was stored, decompressed or not, under names that are safe', async t => {
  const store = new MemoryStore()
  const prefix = await putHostile(store)
  const deps = depsFor(store)
  const get = (name: string) => ask(deps, `/crash/${HOSTILE_ID}/${name}`)
  const core = await get('core')
  t.equal(core.bytes.length, 300_000)
  t.equal(core.reply.headers['Content-Length'], '300000')
  t.equal(
    core.reply.headers['Content-Disposition'],
    `attachment; filename="core._script_x__.4242.${HOSTILE_ID}"`,
  )
  t.ok((await get('core.zst')).bytes.equals(store.objects.get(coreKey(prefix))!))
  t.ok((await get('kit.tar.zst')).bytes.equals(store.objects.get(kitKey(prefix))!))
  t.ok((await get('manifest.json')).bytes.equals(store.objects.get(manifestKey(prefix))!))
  t.equal((await get('mini')).bytes.length, 200_000)
  for (const name of ['core', 'mini', 'kit.tar.zst', 'manifest.json'])
    t.match((await get(name)).reply.headers['Content-Disposition'], /^attachment; filename="[\w.-]+"$/)
})

t.test('a core that is not there is a page that says why', async t => {
  const { reply, text } = await ask(depsFor(await someCrashes()), `/crash/${ID}/core`)
  t.same([reply.status, /no slot was free within 10 s/.test(text)], [404, true])
})

t.test('the last bytes of a corrupt object are never sent', async t => {
  const store = new MemoryStore()
  const key = coreKey(await putHostile(store))
  const object = Buffer.from(store.objects.get(key)!)
  object[object.length - 60_000]! ^= 1
  store.objects.set(key, object)
  for (const name of ['core', 'core.zst']) {
    const { reply, sent } = await askUntilError(store, `/crash/${HOSTILE_ID}/${name}`)
    t.ok(sent < Number(reply.headers['Content-Length']), `${name}: ${sent}`)
  }
})

const requestOf = (path: string): Request => ({
  ...{ path, query: new URLSearchParams(), host: 'localhost', acceptEncoding: '' },
})

async function askUntilError(store: MemoryStore, path: string) {
  const reply = await respond(depsFor(store), requestOf(path))
  let sent = 0
  try {
    for await (const chunk of reply.body) sent += chunk.length
  } catch (error) {
    if ((error as CoreliftError).code === 'E_CORE_CORRUPT') return { reply, sent }
    throw error
  }
  throw new Error('no error')
}

t.test('debuggers get executables by build-id, as stored where they take zstd', async t => {
  const store = new MemoryStore()
  await putHostile(store)
  const deps = depsFor(store)
  const path = `/${BUILDID_PREFIX}${BUILD_ID}/executable`
  const decoded = await ask(deps, path)
  t.equal(decoded.bytes.length, 150_000)
  t.match(decoded.reply.headers, { 'X-DEBUGINFOD-SIZE': '150000', 'Content-Length': '150000' })
  t.notOk('Content-Encoding' in decoded.reply.headers)
  const asStored = await ask(
    deps,
    path.toUpperCase().replace('/BUILDID', '/buildid').replace('EXEC', 'exec').replace('UTABLE', 'utable'),
    'gzip, zstd;q=0.5',
  )
  t.ok(asStored.bytes.equals(store.objects.get(path.slice(1))!))
  t.match(asStored.reply.headers, { 'Content-Encoding': 'zstd', 'X-DEBUGINFOD-SIZE': '150000' })
  t.notOk('Content-Encoding' in (await ask(deps, path, 'zstd;q=0')).reply.headers)
  for (const other of [
    `${BUILD_ID}/debuginfo`,
    `${BUILD_ID}/source/x.c`,
    `${BUILD_ID}/section/.text`,
    'ab/executable',
    '../executable',
    'x',
  ])
    t.equal((await ask(deps, `/buildid/${other.replace('..', '%2e%2e')}`)).reply.status, 404, other)
})

t.test('the style sheet may be kept, for its name changes with it', async t => {
  const { text } = await ask(depsFor(new MemoryStore()), '/')
  const path = /href="(\/style-\w+\.css)"/.exec(text)![1]!
  const style = await ask(depsFor(new MemoryStore()), path)
  t.match(style.reply.headers, { 'Content-Type': 'text/css; charset=utf-8', 'Cache-Control': /immutable/ })
  t.match(style.text, /prefers-color-scheme: dark/)
  t.equal((await collect((await ask(depsFor(new MemoryStore()), '/icon.svg')).reply.body)).length > 0, true)
})
