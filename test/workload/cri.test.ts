import { Server, ServerCredentials, status } from '@grpc/grpc-js'
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js'
import * as fc from 'fast-check'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import path from 'node:path'
import protobuf from 'protobufjs'
import t from 'tap'
import { containerdCri, crioCri } from '../../src/workload/cri.ts'
import type { ContainerRef } from '../../src/workload/source.ts'
import { labDirectory } from '../lab/daemon.ts'
import type { Test } from '../lab/daemon.ts'
import { askSource, ID, KUBELET_LABELS, NAMES, SANDBOX_ID, UID } from './asking.ts'

/** api.proto of k8s.io/cri-api, as far as its messages are needed here, beside some that are to be passed over. */
const { root } = protobuf.parse(`
syntax = "proto3";
message ContainerStatusRequest { string container_id = 1; bool verbose = 2; }
message PodSandboxStatusRequest { string pod_sandbox_id = 1; bool verbose = 2; }
message ContainerFilter { string id = 1; string pod_sandbox_id = 3; map<string, string> label_selector = 4; }
message ListContainersRequest { ContainerFilter filter = 1; }
message ContainerMetadata { string name = 1; uint32 attempt = 2; }
message ImageSpec { string image = 1; map<string, string> annotations = 2; }
message ContainerStatus {
  string id = 1; ContainerMetadata metadata = 2; int32 state = 3; int64 created_at = 4; int64 started_at = 5;
  int32 exit_code = 7; ImageSpec image = 8; string image_ref = 9; string reason = 10; map<string, string> labels = 12;
  map<string, string> annotations = 13; string log_path = 15;
}
message ContainerStatusResponse { ContainerStatus status = 1; map<string, string> info = 2; }
message PodSandboxMetadata { string name = 1; string uid = 2; string namespace = 3; uint32 attempt = 4; }
message PodSandboxStatus {
  string id = 1; PodSandboxMetadata metadata = 2; int32 state = 3; int64 created_at = 4;
  map<string, string> labels = 7; map<string, string> annotations = 8; string runtime_handler = 9;
}
message PodSandboxStatusResponse { PodSandboxStatus status = 1; map<string, string> info = 2; }
message Container { string id = 1; string pod_sandbox_id = 2; ContainerMetadata metadata = 3; }
message ListContainersResponse { repeated Container containers = 1; }
`)

type Method = 'ContainerStatus' | 'PodSandboxStatus' | 'ListContainers'
/** What a runtime answers: fields of the response, its bytes, a status code, or nothing ever. */
type Answer = object | Buffer | number | 'hangs'
type Request = Readonly<Record<string, unknown>>

const encode = (message: string, fields: object) => {
  const type = root.lookupType(message)
  return Buffer.from(type.encode(type.fromObject(fields)).finish())
}
/** What a server may say of an error: nothing of it is to be repeated. */
const HOSTILE = 'evil\u001B[2J\nmessage'

/** A runtime that answers by its script; without one it knows nothing. */
async function runtime(t: Test, script: Partial<Record<Method, (request: Request) => Answer>>) {
  const socketPath = path.join(await labDirectory(t), 'cri.sock')
  const requests: [Method, Request][] = []
  const service: Record<string, ServiceDefinition[string]> = {}
  const handlers: UntypedServiceImplementation = {}
  for (const method of ['ContainerStatus', 'PodSandboxStatus', 'ListContainers'] as const) {
    service[method] = {
      path: `/runtime.v1.RuntimeService/${method}`,
      requestStream: false,
      responseStream: false,
      requestSerialize: () => Buffer.alloc(0),
      requestDeserialize: bytes => {
        const type = root.lookupType(`${method}Request`)
        return type.toObject(type.decode(bytes))
      },
      responseSerialize: (bytes: Buffer) => bytes,
      responseDeserialize: bytes => bytes,
    }
    handlers[method] = (
      call: { request: Request },
      callback: (error: object | null, bytes?: Buffer) => void,
    ) => {
      requests.push([method, call.request])
      const answer = script[method]?.(call.request) ?? status.NOT_FOUND
      if (typeof answer === 'number') callback({ code: answer, details: HOSTILE })
      else if (Buffer.isBuffer(answer)) callback(null, answer)
      else if (typeof answer === 'object') callback(null, encode(`${method}Response`, answer))
    }
  }
  const server = new Server({ 'grpc.max_send_message_length': -1 })
  server.addService(service, handlers)
  await new Promise((resolve, reject) =>
    server.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    ),
  )
  t.teardown(() => server.forceShutdown())
  return { socketPath, requests }
}

const CONTAINER = {
  id: ID,
  metadata: { name: 'app', attempt: 2 },
  state: 1,
  createdAt: 1,
  image: { image: 'registry.example.com/shop/web:1' },
  imageRef: `registry.example.com/shop/web@sha256:${'c'.repeat(64)}`,
  labels: KUBELET_LABELS,
  annotations: { 'io.kubernetes.container.hash': 'x' },
  logPath: '/var/log/pods/shop_web-0_x/app/2.log',
}
const { 'io.kubernetes.container.name': _, ...POD_LABELS } = KUBELET_LABELS
const SANDBOX = {
  id: SANDBOX_ID,
  metadata: { name: 'web-0', uid: UID, namespace: 'shop', attempt: 1 },
  labels: { ...POD_LABELS, app: 'web', empty: '' },
  annotations: { 'corelift.io/capture': 'mini' },
  runtimeHandler: 'runc',
}
const POD_FACTS = {
  labels: { app: 'web', empty: '' },
  annotations: { 'corelift.io/capture': 'mini' },
  sandboxId: SANDBOX_ID,
}
const OWN_FACTS = {
  runtime: 'containerd',
  names: NAMES,
  image: CONTAINER.image.image,
  imageDigest: CONTAINER.imageRef,
  restartCount: 2,
  logPath: CONTAINER.logPath,
}
/** Knows one pod with one container. */
const SCRIPT = {
  ContainerStatus: (request: Request) =>
    request['containerId'] === ID ? { status: CONTAINER } : status.NOT_FOUND,
  PodSandboxStatus: (request: Request) =>
    request['podSandboxId'] === SANDBOX_ID ? { status: SANDBOX } : status.NOT_FOUND,
  ListContainers: () => ({ containers: [{ id: ID, podSandboxId: SANDBOX_ID }] }),
}
const KNOWN = { containerId: ID, sandboxId: SANDBOX_ID }

const ask = (containerdSocket: string, container?: ContainerRef, signal?: AbortSignal) =>
  askSource(containerdCri, { containerdSocket }, container, signal)

t.test("a container has its own facts, and its pod's labels and annotations", async t => {
  const { socketPath, requests } = await runtime(t, SCRIPT)
  t.same(await ask(socketPath, KNOWN), { facts: { ...OWN_FACTS, ...POD_FACTS } })
  t.same(
    new Map(requests),
    new Map<Method, Request>([
      ['ContainerStatus', { containerId: ID }],
      ['PodSandboxStatus', { podSandboxId: SANDBOX_ID }],
    ]),
  )
  t.match(await askSource(crioCri, { crioSocket: socketPath }, KNOWN), { facts: { runtime: 'crio' } })
})

t.test('the runtime is asked for the sandbox where no file told it', async t => {
  const { socketPath, requests } = await runtime(t, SCRIPT)
  t.same(await ask(socketPath), { facts: { ...OWN_FACTS, ...POD_FACTS } })
  t.same(requests.find(([method]) => method === 'ListContainers')?.[1], { filter: { id: ID } })
})

t.test('the first process is told where it is wanted: it takes the runtime longer', async t => {
  const withInfo = (answer: Answer, info: string) => (request: Request) =>
    request['verbose'] === true && typeof answer === 'object' ? { ...answer, info: { info } } : answer
  const firstPidIn = async (info: string, id: string) => {
    const { socketPath } = await runtime(t, {
      ...SCRIPT,
      ContainerStatus: request => withInfo(SCRIPT.ContainerStatus(request), info)(request),
      PodSandboxStatus: request => withInfo(SCRIPT.PodSandboxStatus(request), info)(request),
    })
    return (await ask(socketPath, { containerId: id, wantsFirstPid: true })).facts?.firstPid
  }
  for (const id of [ID, SANDBOX_ID]) {
    t.equal(await firstPidIn('{"pid":4711,"runtimeSpec":{}}', id), 4711)
    for (const info of ['', 'rubbish', '[]', '{"pid":"/etc/passwd"}', '{"pid":-1}'])
      t.equal(await firstPidIn(info, id), undefined, info)
  }
})

t.test("a pod's own container is called POD", async t => {
  const { socketPath } = await runtime(t, { ...SCRIPT, ListContainers: () => ({}) })
  const facts = { runtime: 'containerd', names: { ...NAMES, container: 'POD' }, ...POD_FACTS }
  t.same(await ask(socketPath, { containerId: SANDBOX_ID }), { facts })
  t.same(await ask(socketPath, { containerId: SANDBOX_ID, sandboxId: SANDBOX_ID }), { facts })
})

t.test('a pod without labels and annotations has none; a first start is no restart', async t => {
  const { labels: _, annotations: __, ...bare } = SANDBOX
  const { socketPath } = await runtime(t, {
    ...SCRIPT,
    ContainerStatus: () => ({ status: { ...CONTAINER, metadata: { name: 'app' } } }),
    PodSandboxStatus: () => ({ status: bare }),
  })
  t.match(await ask(socketPath, KNOWN), { facts: { labels: {}, annotations: {}, restartCount: 0 } })
})

t.test('without its sandbox a container has the names of its labels, the pod has unknown ones', async t => {
  const unknown = [
    { ...SCRIPT, PodSandboxStatus: () => status.INTERNAL },
    { ...SCRIPT, PodSandboxStatus: () => ({ status: { ...SANDBOX, id: ID } }) },
    { ...SCRIPT, PodSandboxStatus: () => ({ status: { ...SANDBOX, metadata: { uid: 'f'.repeat(32) } } }) },
    { ...SCRIPT, PodSandboxStatus: () => Buffer.from('rubbish') },
  ]
  for (const script of unknown) {
    const { socketPath } = await runtime(t, script)
    t.same(await ask(socketPath, KNOWN), { facts: OWN_FACTS })
  }
  const { socketPath } = await runtime(t, { ...SCRIPT, ListContainers: () => status.UNIMPLEMENTED })
  t.same(await ask(socketPath), { facts: OWN_FACTS })
  const nameless = await runtime(t, { ContainerStatus: () => ({ status: { ...CONTAINER, labels: {} } }) })
  t.same(await ask(nameless.socketPath, KNOWN), { detail: 'fields do not name the container' }, 'or none')
})

t.test('the connection is closed once there is an answer', async t => {
  const { socketPath } = await runtime(t, SCRIPT)
  const relay = await stranger(t, socket => {
    const onward = connect(socketPath)
    onward.on('error', () => {})
    socket.pipe(onward).pipe(socket)
  })
  t.match(await ask(relay.socketPath, KNOWN), { facts: { names: NAMES } })
  t.equal(relay.hungUp.length, 1)
  await Promise.all(relay.hungUp)
})

t.test('a field of another wire type is passed over', async t => {
  const logPathAsNumber = [(15 << 3) | 0, 200, 1]
  const bytes = Buffer.concat([encode('ContainerStatus', CONTAINER), Buffer.from(logPathAsNumber)])
  const response = protobuf.Writer.create()
    .uint32((1 << 3) | 2)
    .bytes(bytes)
    .finish()
  const { socketPath } = await runtime(t, { ...SCRIPT, ContainerStatus: () => Buffer.from(response) })
  t.same(await ask(socketPath, KNOWN), { facts: { ...OWN_FACTS, ...POD_FACTS } })
})

t.test('a container that the runtime does not know, and a socket that is none, are no answer', async t => {
  const { socketPath } = await runtime(t, {})
  t.same(await ask(socketPath), { detail: 'containerd does not know the container' })
  t.same(await ask('/nonexistent'), { detail: 'no containerd socket' })
  t.same(await ask(t.testdir()), { detail: 'no containerd socket' })
  const plain = { containerId: 'web-1', namespace: 'default' }
  t.same(await ask(socketPath, plain), { detail: 'no id that a CRI runtime gives' })
})

t.test('an answer about another container is none', async t => {
  const other = { status: { ...CONTAINER, id: SANDBOX_ID } }
  const { socketPath } = await runtime(t, { ...SCRIPT, ContainerStatus: () => other })
  t.same(await ask(socketPath, KNOWN), { detail: 'containerd does not know the container' })
})

t.test('what has not its form counts as absent', async t => {
  const answerWith = async (container: object, sandbox: object = {}) => {
    const { socketPath } = await runtime(t, {
      ContainerStatus: () => ({ status: { ...CONTAINER, ...container } }),
      PodSandboxStatus: () => ({ status: { ...SANDBOX, ...sandbox } }),
    })
    return ask(socketPath, KNOWN)
  }
  t.same(await answerWith({ metadata: { name: '../x' } }), {
    detail: 'fields not of their form: podContainer',
  })
  const pod = { metadata: { ...SANDBOX.metadata, name: 'a\nb' } }
  t.match(await answerWith({}, pod), { facts: undefined, detail: /: pod$/ })
  t.same(await answerWith({ labels: {} }, { metadata: undefined }), {
    detail: 'fields do not name the container',
  })
  const facts = await answerWith({ logPath: '/var/log/../../etc/shadow' })
  t.match(facts, { facts: { names: NAMES, logPath: undefined }, detail: /: logPath$/ })
  const proto = JSON.parse('{"__proto__":"x","constructor":"y"}') as object
  t.strictSame(Object.entries((await answerWith({}, { labels: proto })).facts?.labels ?? {}), [
    ['__proto__', 'x'],
    ['constructor', 'y'],
  ])
})

t.test('an error is told by its code alone', async t => {
  const { socketPath } = await runtime(t, { ...SCRIPT, ContainerStatus: () => status.PERMISSION_DENIED })
  await t.rejects(ask(socketPath, KNOWN), { message: /^ContainerStatus: PERMISSION_DENIED$/ })
})

t.test('a message of any bytes has an answer, or is an error', async t => {
  let bytes = Buffer.alloc(0)
  const { socketPath } = await runtime(t, { ContainerStatus: () => bytes, PodSandboxStatus: () => bytes })
  // Bytes as they come, and as the fields of a status that is about the right id.
  const id = encode('ContainerStatus', { id: ID })
  const framed = fc.uint8Array({ maxLength: 64 }).map(fields => {
    const body = Buffer.concat([id, fields])
    return Buffer.concat([Buffer.from([0x0a, body.length]), body])
  })
  const anyBytes = fc.uint8Array({ maxLength: 64 }).map(bytes => Buffer.from(bytes))
  await fc.assert(
    fc.asyncProperty(fc.oneof(anyBytes, framed), async any => {
      bytes = any
      const { facts, detail } = await ask(socketPath, KNOWN).catch((error: Error) => ({
        facts: undefined,
        detail: error.message,
      }))
      return facts === undefined && /^[ -~]+$/.test(detail ?? '')
    }),
    { numRuns: 200 },
  )
})

t.test('an answer that is too long is given up', async t => {
  const reason = 'x'.repeat(5 * 1024 * 1024)
  const { socketPath } = await runtime(t, { ContainerStatus: () => ({ status: { ...CONTAINER, reason } }) })
  await t.rejects(ask(socketPath, KNOWN), { message: /^ContainerStatus: RESOURCE_EXHAUSTED$/ })
})

t.test('the deadline ends calls that are not answered', async t => {
  const deadline = new AbortController()
  const { socketPath } = await runtime(t, {
    ContainerStatus: () => {
      setImmediate(() => deadline.abort())
      return 'hangs'
    },
  })
  await t.rejects(ask(socketPath, KNOWN, deadline.signal), { message: /^ContainerStatus: CANCELLED$/ })
  await t.rejects(
    ask(socketPath, KNOWN, AbortSignal.abort()),
    { message: /: CANCELLED$/ },
    'before they began too',
  )
})

/** A socket whose other side is no gRPC server. */
async function stranger(t: Test, behave: (socket: Socket) => void) {
  const socketPath = path.join(await labDirectory(t), 'cri.sock')
  const hungUp: Promise<unknown>[] = []
  const server = createServer(socket => {
    socket.on('error', () => {})
    hungUp.push(once(socket, 'close'))
    behave(socket)
    // What is not read hides that the other side has gone.
    socket.resume()
  })
  await new Promise<void>(resolve => server.listen(socketPath, resolve))
  t.teardown(() => new Promise<void>(resolve => server.close(() => resolve())))
  return { socketPath, hungUp }
}

t.test('a server that does not speak gRPC is an error, and its connection is given up', async t => {
  const strangers: ((socket: Socket) => void)[] = [
    socket => socket.destroy(),
    socket => socket.end(),
    socket => socket.end('rubbish'),
    socket => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'),
    socket => socket.once('data', () => socket.destroy()),
  ]
  for (const behave of strangers) {
    const { socketPath, hungUp } = await stranger(t, behave)
    await t.rejects(ask(socketPath, KNOWN), { message: /^ContainerStatus: [A-Z_]+$/ })
    await Promise.all(hungUp)
  }
})

t.test('the deadline ends the wait for a server that takes the connection and no more', async t => {
  const deadline = new AbortController()
  const { socketPath } = await stranger(t, socket => {
    t.teardown(() => socket.destroy())
    socket.once('data', () => deadline.abort())
  })
  await t.rejects(ask(socketPath, KNOWN, deadline.signal), { message: /: CANCELLED$/ })
})
