import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import path from 'node:path'
import t from 'tap'
import { dockerApi } from '../../src/workload/docker.ts'
import { labDirectory } from '../lab/daemon.ts'
import type { Test } from '../lab/daemon.ts'

const ID = '4f1c0a9e7b3d5826f0e1d2c3b4a5968778695a4b3c2d1e0f6258d3b7e9a0c1f4'
const UID = '6f1d3a52-0c4e-4b7a-9a37-52d0b6f0a1c9'
const LABELS = {
  'io.kubernetes.pod.namespace': 'shop',
  'io.kubernetes.pod.name': 'web-0',
  'io.kubernetes.pod.uid': UID,
  'io.kubernetes.container.name': 'app',
}

interface Engine {
  readonly socketPath: string
  /** What was asked: the request line of each connection. */
  readonly requests: string[]
  /** Settles when the other side of the first connection has gone. */
  readonly hungUp: Promise<void>
}

/** A socket that answers every connection in its own way. */
async function engine(t: Test, answer: (socket: Socket) => void): Promise<Engine> {
  // Not t.testdir(): a socket's path has 107 bytes at most, unix(7).
  const socketPath = path.join(await labDirectory(t), 'docker.sock')
  const requests: string[] = []
  let settle = () => {}
  const hungUp = new Promise<void>(resolve => (settle = resolve))
  const server = createServer(socket => {
    socket.on('error', () => {})
    socket.on('close', settle)
    socket.once('data', request => {
      requests.push(request.toString().split('\r\n')[0] ?? '')
      answer(socket)
    })
  })
  await new Promise<void>(resolve => server.listen(socketPath, resolve))
  t.teardown(() => new Promise<void>(resolve => server.close(() => resolve())))
  return { socketPath, requests, hungUp }
}

const http = (status: number, body: string) => (socket: Socket) =>
  socket.end(`HTTP/1.1 ${status} Status\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
const inspection = (fields: object) => http(200, JSON.stringify({ Id: ID, ...fields }))

const ask = (socketPath: string, signal = new AbortController().signal) =>
  dockerApi.ask(ID, { containerdStateDir: '/nonexistent', dockerSocket: socketPath, timeoutMs: 1 }, signal)

t.test('the labels of the kubelet name pod and container', async t => {
  const { socketPath, requests } = await engine(
    t,
    inspection({ Name: '/k8s_x', Config: { Image: 'web:1', Labels: LABELS } }),
  )
  t.same(await ask(socketPath), {
    names: { kind: 'pod', namespace: 'shop', pod: 'web-0', podUid: UID, container: 'app', image: 'web:1' },
  })
  t.same(requests, [`GET /containers/${ID}/json HTTP/1.1`])
})

t.test('a container without these labels has its own name', async t => {
  const { socketPath } = await engine(
    t,
    inspection({ Name: '/web_1', Config: { Image: 'web:1', Labels: null } }),
  )
  t.same(await ask(socketPath), { names: { kind: 'container', container: 'web_1', image: 'web:1' } })
})

t.test('the environment does not lead to another engine', async t => {
  const { socketPath } = await engine(t, inspection({ Name: '/web_1', Config: {} }))
  process.env['DOCKER_HOST'] = 'tcp://127.0.0.1:1'
  t.teardown(() => delete process.env['DOCKER_HOST'])
  t.match(await ask(socketPath), { names: { container: 'web_1' } })
})

t.test('an unknown container, and an absent engine, are no answer', async t => {
  const { socketPath } = await engine(t, http(404, '{"message":"No such container"}'))
  t.same(await ask(socketPath), { detail: 'the docker engine does not know the container' })
  t.same(await ask('/nonexistent'), { detail: 'no docker socket' })
  t.same(await ask(t.testdir()), { detail: 'no docker socket' }, 'a directory is no socket')
})

t.test('an answer that is none of the engine names nothing', async t => {
  const unusable = /^the docker socket gave no usable answer \(HTTP \d+\)$/
  for (const answer of [
    http(200, 'null'),
    http(200, '{'),
    http(200, JSON.stringify({ Id: ID.replace('4', '5'), Name: '/web_1' })),
    http(500, 'x'),
    http(302, ''),
  ]) {
    const { socketPath } = await engine(t, answer)
    t.match(await ask(socketPath), { names: undefined, detail: unusable })
  }
  const hostile = await engine(t, inspection({ Name: '/../x', Config: { Labels: [] } }))
  t.match(await ask(hostile.socketPath), { names: undefined, detail: /name has not the form/ })
  const rubbish = await engine(t, socket => socket.end('rubbish'))
  await t.rejects(ask(rubbish.socketPath))
  const closed = await engine(t, socket => socket.destroy())
  await t.rejects(ask(closed.socketPath))
})

/** The 4 MiB that are read of an answer, and what sockets and streams hold in between, generously. */
const BYTES_SENT_MAX = 32 * 1024 * 1024
for (const status of [200, 500])
  t.test(`an answer without end is given up (HTTP ${status})`, async t => {
    let bytesSent = () => 0
    const { socketPath, hungUp } = await engine(t, socket => {
      bytesSent = () => socket.bytesWritten
      const fill = () => {
        while (!socket.destroyed && socket.write(Buffer.alloc(64 * 1024, 'x')));
      }
      socket.write(`HTTP/1.1 ${status} Status\r\n\r\n`)
      socket.on('drain', fill)
      fill()
    })
    await t.rejects(ask(socketPath), { message: /is over 4194304 bytes/ })
    await hungUp
    t.ok(bytesSent() < BYTES_SENT_MAX, `after ${bytesSent()} bytes`)
  })

t.test('the deadline ends a request that is not answered, and its connection', async t => {
  const deadline = new AbortController()
  const { socketPath, hungUp } = await engine(t, () => deadline.abort())
  await t.rejects(ask(socketPath, deadline.signal))
  await hungUp
})

t.test('the deadline ends an answer that does not end, and its connection', async t => {
  const deadline = new AbortController()
  const { socketPath, hungUp } = await engine(t, socket => {
    socket.write('HTTP/1.1 200 OK\r\n\r\n{')
    setImmediate(() => deadline.abort())
  })
  await t.rejects(ask(socketPath, deadline.signal))
  await hungUp
})
