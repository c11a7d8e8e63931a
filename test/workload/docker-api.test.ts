import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import path from 'node:path'
import t from 'tap'
import { dockerApi, podmanApi } from '../../src/workload/docker-api.ts'
import { labDirectory } from '../lab/daemon.ts'
import type { Test } from '../lab/daemon.ts'
import { askSource, ID, KUBELET_LABELS, NAMES, SANDBOX_ID, UID } from './asking.ts'

interface Engine {
  readonly socketPath: string
  /** What was asked: the request line of each connection. */
  readonly requests: string[]
  /** Settles when the other side of the first connection has gone. */
  readonly hungUp: Promise<void>
}

/** A socket that answers every connection in its own way. */
async function engine(t: Test, answer: (socket: Socket, request: string) => void): Promise<Engine> {
  // Not t.testdir(): a socket's path has 107 bytes at most, unix(7).
  const socketPath = path.join(await labDirectory(t), 'docker.sock')
  const requests: string[] = []
  let settle = () => {}
  const hungUp = new Promise<void>(resolve => (settle = resolve))
  const server = createServer(socket => {
    socket.on('error', () => {})
    socket.on('close', settle)
    socket.once('data', bytes => {
      const request = bytes.toString()
      requests.push(request.split('\r\n')[0] ?? '')
      answer(socket, request)
    })
  })
  await new Promise<void>(resolve => server.listen(socketPath, resolve))
  t.teardown(() => new Promise<void>(resolve => server.close(() => resolve())))
  return { socketPath, requests, hungUp }
}

const http = (status: number, body: string) => (socket: Socket) =>
  socket.end(`HTTP/1.1 ${status} Status\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
const inspection = (fields: object) => http(200, JSON.stringify({ Id: ID, ...fields }))

const ask = (dockerSocket: string, signal?: AbortSignal) =>
  askSource(dockerApi, { dockerSocket }, { containerId: ID }, signal)

t.test("the labels of the kubelet name pod and container, the pod's own container has the pod's", async t => {
  const container = {
    Name: `/k8s_app_web-0_shop_${UID}_0`,
    Image: `sha256:${'c'.repeat(64)}`,
    Config: { Image: 'web:1', Labels: { ...KUBELET_LABELS, 'io.kubernetes.sandbox.id': SANDBOX_ID } },
    State: { Pid: 4711 },
    LogPath: '/var/lib/docker/x.log',
    RestartCount: 1,
  }
  const sandbox = { Config: { Labels: { ...KUBELET_LABELS, app: 'web', 'annotation.a/b': 'c' } } }
  const { socketPath, requests } = await engine(t, (socket, request) =>
    request.includes(SANDBOX_ID)
      ? inspection({ ...sandbox, Id: SANDBOX_ID })(socket)
      : inspection(container)(socket),
  )
  t.same(await ask(socketPath), {
    facts: {
      runtime: 'docker',
      names: NAMES,
      image: 'web:1',
      imageDigest: container.Image,
      restartCount: 1,
      logPath: '/var/lib/docker/x.log',
      labels: { app: 'web' },
      annotations: { 'a/b': 'c' },
      sandboxId: SANDBOX_ID,
      firstPid: 4711,
    },
  })
  t.same(
    requests,
    [ID, SANDBOX_ID].map(id => `GET /containers/${id}/json HTTP/1.1`),
  )
})

t.test('a container without these labels has its own name', async t => {
  const { socketPath } = await engine(
    t,
    inspection({ Name: '/web_1', Config: { Image: 'web:1', Labels: null } }),
  )
  t.same(await ask(socketPath), {
    facts: {
      runtime: 'docker',
      names: { kind: 'container', container: 'web_1' },
      image: 'web:1',
      labels: {},
    },
  })
})

t.test("podman's containers are plain ones, whatever their labels say", async t => {
  const Labels = { ...KUBELET_LABELS, app: 'web' }
  const { socketPath } = await engine(t, inspection({ Name: '/k8s_app_web-0_shop_1', Config: { Labels } }))
  t.same(await askSource(podmanApi, { podmanSocket: socketPath }), {
    facts: {
      runtime: 'podman',
      names: { kind: 'container', container: 'k8s_app_web-0_shop_1' },
      labels: Labels,
    },
  })
  t.same(await askSource(podmanApi, {}), { detail: 'no podman socket' })
})

t.test('a connection is not kept for another request', async t => {
  let headers = ''
  const { socketPath } = await engine(t, (socket, request) => {
    headers = request
    inspection({ Name: '/web_1' })(socket)
  })
  await ask(socketPath)
  t.match(headers, /^Connection: close\r$/m)
})

t.test('the environment does not lead to another engine', async t => {
  const { socketPath } = await engine(t, inspection({ Name: '/web_1', Config: {} }))
  process.env['DOCKER_HOST'] = 'tcp://127.0.0.1:1'
  t.teardown(() => delete process.env['DOCKER_HOST'])
  t.match(await ask(socketPath), { facts: { names: { container: 'web_1' } } })
})

t.test('an unknown container, and an absent engine, are no answer', async t => {
  const { socketPath } = await engine(t, http(404, '{"message":"No such container"}'))
  t.same(await ask(socketPath), { detail: 'docker does not know the container' })
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
    t.match(await ask(socketPath), { facts: undefined, detail: unusable })
  }
  const hostile = await engine(t, inspection({ Name: '/../x', Config: { Labels: [] } }))
  t.same(await ask(hostile.socketPath), { detail: 'fields not of their form: plainContainer' })
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
