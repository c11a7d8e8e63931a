import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Gate } from '../../src/web/gate.ts'
import { isHostAllowed, isLoopback, parseListen, urlOf } from '../../src/web/host.ts'
import { Lru } from '../../src/web/lru.ts'
import { startServer } from '../../src/web/server.ts'
import { coreKey } from '../../src/store/keys.ts'
import { MemoryStore } from '../store/memory.ts'
import { HOSTILE_ID, putHostile } from './scene.ts'
import { depsFor, serve } from './serving.ts'

interface Answer {
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly bytes: number
  /** Whether all came that was announced. */
  readonly complete: boolean
}

async function fetchFrom(
  port: number,
  path: string,
  options: { method?: string; host?: string } = {},
): Promise<Answer> {
  const { method = 'GET', host = `localhost:${port}` } = options
  const sent = request({ port, host: '127.0.0.1', path, method, headers: { host }, agent: false }).end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  let bytes = 0
  response.on('data', (chunk: Buffer) => (bytes += chunk.length))
  response.on('error', () => undefined)
  await new Promise(resolve => response.once('close', resolve))
  return { status: response.statusCode, headers: response.headers, bytes, complete: response.complete }
}

async function scene(): Promise<{ store: MemoryStore; prefix: string }> {
  const store = new MemoryStore()
  return { prefix: await putHostile(store), store }
}

t.test('only GET and HEAD are answered, and HEAD without a body', async t => {
  const { port } = await serve(t, (await scene()).store)
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'])
    t.equal((await fetchFrom(port, '/', { method })).status, 405, method)
  const head = await fetchFrom(port, `/crash/${HOSTILE_ID}/core`, { method: 'HEAD' })
  t.same([head.status, head.bytes, head.headers['content-length']], [200, 0, '300000'])
  t.equal((await fetchFrom(port, `/crash/${HOSTILE_ID}/core`)).bytes, 300_000)
})

t.test('every answer forbids scripts, frames, sniffing and keeping', async t => {
  const { port } = await serve(t, (await scene()).store)
  for (const path of ['/', '/nothing', '/%ff', `/crash/${HOSTILE_ID}/core`, '/buildid/ab/executable']) {
    const { headers } = await fetchFrom(port, path)
    t.match(
      headers['content-security-policy'],
      /^default-src 'none'; (?!.*script).*frame-ancestors 'none'/,
      path,
    )
    t.match(headers, {
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    })
  }
})

t.test('a name that leads here from elsewhere is refused', async t => {
  const { port } = await serve(t, (await scene()).store)
  for (const host of [
    'evil.example',
    `evil.example:${port}`,
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '10.0.0.1',
    '"><script>',
  ])
    t.equal((await fetchFrom(port, '/', { host })).status, 421, host)
  for (const host of ['localhost', `127.0.0.1:${port}`, `[::1]:${port}`, 'LOCALHOST:9000'])
    t.equal((await fetchFrom(port, '/', { host })).status, 200, host)
})

t.test('who listens for others is asked by any name, but by names only', async t => {
  t.ok(isHostAllowed('crashes.example:8080', { host: '0.0.0.0' }))
  for (const header of ['$(id)', 'a b', 'a/b', 'a"b', undefined])
    t.notOk(isHostAllowed(header, { host: '0.0.0.0' }))
})

t.test('addresses are read and written as people do', async t => {
  t.same(parseListen('127.0.0.1:8080'), { host: '127.0.0.1', port: 8080 })
  t.same(parseListen('[::1]:0'), { host: '::1', port: 0 })
  t.same(parseListen(':8080'), { host: '127.0.0.1', port: 8080 }, 'without a host it is loopback')
  t.equal(urlOf({ host: '::1', port: 80 }), 'http://[::1]:80')
  for (const text of ['8080', 'localhost', 'a:b', 'a:99999', '::1:80', '[a]:80', 'a b:80', ''])
    t.throws(() => parseListen(text), { code: 'E_USAGE' }, text)
  t.same(['localhost', '127.9.9.9', '::1', '0.0.0.0', '::', '127.0.0.1.example'].map(isLoopback), [
    true,
    true,
    true,
    false,
    false,
    false,
  ])
})

t.test('an address that is taken is an error with advice', async t => {
  const { port } = await serve(t, new MemoryStore())
  const hooks = { respond: () => Promise.reject(new Error('not asked')), onError: async () => undefined }
  await t.rejects(startServer({ host: '127.0.0.1', port }, hooks), {
    code: 'E_LISTEN',
    hint: /any free port/,
  })
})

t.test('a download of a corrupt core breaks off, and the server goes on', async t => {
  const { store, prefix } = await scene()
  const object = Buffer.from(store.objects.get(coreKey(prefix))!)
  object[object.length - 60_000]! ^= 0xff
  store.objects.set(coreKey(prefix), object)
  const { port, errors } = await serve(t, store)
  const { status, complete, bytes } = await fetchFrom(port, `/crash/${HOSTILE_ID}/core`)
  t.same([status, complete, bytes < 300_000], [200, false, true])
  t.match(errors, [{ code: 'E_CORE_CORRUPT' }])
  t.equal((await fetchFrom(port, '/')).status, 200)
})

t.test('an answer without a length that fails is not ended as if it were whole', async t => {
  async function* body() {
    yield 'a'
    await sleep(20)
    throw new Error('the store went away')
  }
  const hooks = {
    respond: async () => ({ status: 200, headers: {}, body: body() }),
    onError: async () => undefined,
  }
  const server = await startServer({ host: '127.0.0.1', port: 0 }, hooks)
  t.teardown(() => server.close())
  const { status, bytes, complete } = await fetchFrom(server.address.port, '/')
  t.same([status, bytes, complete], [200, 1, false])
})

t.test('what fails before its first byte has a status', async t => {
  const { store, prefix } = await scene()
  store.objects.set(coreKey(prefix), store.objects.get(coreKey(prefix))!.subarray(0, 1000))
  const { port } = await serve(t, store)
  t.equal((await fetchFrom(port, `/crash/${HOSTILE_ID}/core`)).status, 502)
})

t.test('a bug in one answer is told, and ends neither the others nor the server', async t => {
  const { store } = await scene()
  const { port, errors } = await serve(t, store, {
    ...depsFor(store),
    now: () => {
      throw new TypeError('a bug')
    },
  })
  t.equal((await fetchFrom(port, '/')).status, 500)
  t.match(errors, [{ message: 'a bug' }])
  t.equal((await fetchFrom(port, `/crash/${HOSTILE_ID}`)).status, 200)
})

t.test('a reader that stops makes the store wait; one that goes frees its place', async t => {
  const store = new MemoryStore()
  const prefix = await putHostile(store)
  store.objects.set(coreKey(prefix), new Uint8Array(200 * 1024 * 1024))
  const deps = { ...depsFor(store), gate: new Gate(1) }
  const { port } = await serve(t, store, deps)
  const socket = connect(port, '127.0.0.1')
  // Not verified before its end: what counts is how much of it was asked for.
  socket.write(`GET /crash/${HOSTILE_ID}/core.zst HTTP/1.1\r\nHost: localhost\r\n\r\n`)
  socket.pause()
  await sleep(500)
  const asked = store.ranges.length
  t.ok(asked >= 2 && asked <= 5, `${asked} of 25 ranges`)
  socket.destroy()
  const { status } = await fetchFrom(port, `/crash/${HOSTILE_ID}/manifest.json`)
  t.equal(status, 200)
})

t.test('a gate lets in as many as there are places, in order', async t => {
  const gate = new Gate(1)
  const leave = await gate.enter()
  const entered: number[] = []
  const waiting = [1, 2].map(async number => {
    const leave = await gate.enter()
    entered.push(number)
    leave()
    leave()
  })
  await sleep(10)
  t.same(entered, [])
  leave()
  await Promise.all(waiting)
  t.same(entered, [1, 2])
})

t.test('what was not asked for longest is forgotten first', async t => {
  const lru = new Lru<number>(2)
  lru.set('a', 1)
  lru.set('b', 2)
  lru.get('a')
  lru.set('c', 3)
  t.same([lru.get('a'), lru.get('b'), lru.get('c')], [1, undefined, 3])
})
