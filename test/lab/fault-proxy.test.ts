// The proxy that fails: each fault is what its name says, seen from a plain client.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import t, { type Test } from 'tap'
import { type FaultProxy, type FaultRule, startFaultProxy } from './fault-proxy.ts'

const BODY = Buffer.alloc(3 << 20, 'x')
const MIDDLE = 100_000
const ANY = /./

interface Passed {
  readonly line: string
  readonly host: string | undefined
  readonly bytes: number
}

async function makeProxy(
  t: Test,
  answer?: RequestListener,
): Promise<{ proxy: FaultProxy; passed: Passed[] }> {
  const passed: Passed[] = []
  const server = createServer((request, response) => {
    let bytes = 0
    request.on('error', () => undefined)
    request.on('data', (chunk: Buffer) => (bytes += chunk.length))
    request.on('end', () => {
      passed.push({ line: `${request.method} ${request.url}`, host: request.headers.host, bytes })
      if (answer) answer(request, response)
      else response.writeHead(200, { ETag: '"right"', 'Content-Length': 10 }).end('0123456789')
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy = await startFaultProxy(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  t.teardown(async () => {
    await proxy.stop()
    server.close()
    server.closeAllConnections()
  })
  return { proxy, passed }
}

interface Seen {
  readonly answer: string
  /** How the connection ended: FIN, or the code of an error; both where one came after the other. */
  readonly end: string
}

/** Sends one request by hand. @param stopAt - Bytes of the body that are sent; no more follow. */
async function ask(proxy: FaultProxy, stopAt = BODY.length, host = 'cores.example'): Promise<Seen> {
  const socket = connect(Number(new URL(proxy.endpoint).port), '127.0.0.1')
  const head = `PUT /b/core.zst?partNumber=1 HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${BODY.length}\r\nConnection: close\r\n\r\n`
  let answer = ''
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')))
  const ends: string[] = []
  socket.on('end', () => ends.push('FIN'))
  socket.on('error', (error: NodeJS.ErrnoException) => ends.push(error.code ?? 'error'))
  socket.write(head)
  socket.write(BODY.subarray(0, stopAt))
  await new Promise(resolve => socket.on('close', resolve))
  return { answer, end: ends.join(', then ') }
}

const rule = (fault: FaultRule['fault'], times?: number): FaultRule => ({
  match: ANY,
  fault,
  ...(times !== undefined && { times }),
})

t.test('without a rule a request passes as it is, with its Host', async t => {
  const { proxy, passed } = await makeProxy(t)
  t.match((await ask(proxy)).answer, /^HTTP\/1\.1 200 OK\r\n.*0123456789$/s)
  t.strictSame(passed, [{ line: 'PUT /b/core.zst?partNumber=1', host: 'cores.example', bytes: BODY.length }])
  t.strictSame(proxy.requests, ['PUT /b/core.zst?partNumber=1'])
})

t.test('a rule holds as often as it says, for what it matches', async t => {
  const { proxy, passed } = await makeProxy(t)
  proxy.set(
    { match: /partNumber=2/, fault: { kind: 'answer', status: 500, body: 'other' } },
    rule({ kind: 'answer', status: 503, body: 'no' }, 2),
  )
  for (const status of [503, 503, 200]) t.match((await ask(proxy)).answer, new RegExp(`^HTTP/1.1 ${status} `))
  t.equal(passed.length, 1, 'what was answered here was not passed on')
})

t.test('a connection is reset before and in the middle of a body', async t => {
  const { proxy, passed } = await makeProxy(t)
  for (const afterBytes of [0, MIDDLE]) {
    proxy.set(rule({ kind: 'reset', afterBytes }))
    t.match(await ask(proxy), { answer: '', end: /ECONNRESET|EPIPE/ })
  }
  t.strictSame(passed, [])
})

t.test('a connection is ended, not reset, in the middle of a body', async t => {
  const { proxy, passed } = await makeProxy(t)
  proxy.set(rule({ kind: 'fin', afterBytes: MIDDLE }))
  t.strictSame(await ask(proxy), { answer: '', end: 'FIN' })
  t.strictSame(passed, [])
})

t.test('after the body: executed, and the answer is lost by a reset', async t => {
  const { proxy, passed } = await makeProxy(t)
  proxy.set(rule({ kind: 'reset', afterBytes: Infinity }))
  t.match(await ask(proxy), { answer: '', end: 'ECONNRESET' })
  t.match(passed, [{ bytes: BODY.length }])
})

t.test('a body that is shorter than where it was to be cut is cut at its end', async t => {
  const { proxy, passed } = await makeProxy(t)
  proxy.set(rule({ kind: 'reset', afterBytes: BODY.length + 1 }))
  t.match(await ask(proxy), { answer: '', end: 'ECONNRESET' })
  t.strictSame(passed, [])
})

t.test(
  'an answer that came in chunks is cut as well: fewer bytes than were announced, then the end',
  async t => {
    const chunked = (_: IncomingMessage, response: Parameters<RequestListener>[1]) => {
      response.writeHead(200)
      response.write('01234')
      response.end('56789')
    }
    for (const answer of [undefined, chunked]) {
      const { proxy } = await makeProxy(t, answer)
      proxy.set(rule({ kind: 'truncate' }))
      const seen = await ask(proxy)
      const [head = '', body] = seen.answer.split('\r\n\r\n')
      t.match(head, /content-length: 10\b/i)
      t.notMatch(head, /transfer-encoding/i, 'one length, or it is no HTTP')
      t.equal(body, '01234')
    }
  },
)

t.test('an ETag is taken away, or replaced', async t => {
  const { proxy } = await makeProxy(t)
  proxy.set(rule({ kind: 'etag', etag: undefined }))
  t.notMatch((await ask(proxy)).answer, /etag/i)
  proxy.set(rule({ kind: 'etag', etag: '"wrong"' }))
  t.match((await ask(proxy)).answer, /etag: "wrong"/i)
})

t.test('a hang gives no answer: nothing was passed on before the end of the body, all after it', async t => {
  for (const [afterBytes, bytes] of [
    [0, []],
    [MIDDLE, []],
    [Infinity, [{ bytes: BODY.length }]],
  ] as const) {
    const { proxy, passed } = await makeProxy(t)
    proxy.set(rule({ kind: 'hang', afterBytes }))
    const asking = ask(proxy)
    // Whatever it was to do it does before a second request is answered.
    while (proxy.requests.length === 0 || passed.length < bytes.length) await new Promise(setImmediate)
    proxy.set()
    await ask(proxy, BODY.length, 'second')
    t.match(
      passed.filter(({ host }) => host !== 'second'),
      bytes,
    )
    await proxy.stop()
    t.match(await asking, { answer: '', end: 'ECONNRESET' }, 'it hung until the proxy went')
  }
})

t.test('a fallen proxy refuses connections, and takes them again at the same place', async t => {
  const { proxy } = await makeProxy(t)
  await proxy.fall()
  t.match(await ask(proxy), { end: 'ECONNREFUSED' })
  await proxy.rise()
  t.match((await ask(proxy)).answer, /^HTTP\/1\.1 200/)
})
