// An HTTP proxy on loopback that fails in every way a server, a proxy or a link does. It passes requests on as they are, with
// their Host, which is part of their signature.
import { once } from 'node:events'
import { createServer, request as forward, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

export type Fault =
  | { readonly kind: 'answer'; readonly status: number; readonly body: string }
  /** RST, or FIN, after so many bytes of the request's body; Infinity: after it was passed on and answered. */
  | { readonly kind: 'reset' | 'fin'; readonly afterBytes: number }
  /** Nothing more after so many bytes; Infinity: it was passed on, and the answer is kept back. */
  | { readonly kind: 'hang'; readonly afterBytes: number }
  /** Half of the answer's body, then the end. */
  | { readonly kind: 'truncate' }
  | { readonly kind: 'etag'; readonly etag: string | undefined }
  /** The request's body is read so slowly. */
  | { readonly kind: 'trickle'; readonly bytesPerSecond: number }

export interface FaultRule {
  /** Of `METHOD /path?query`. */
  readonly match: RegExp
  readonly fault: Fault
  /** How often; then it lets pass. */
  readonly times?: number
}

export interface FaultProxy {
  readonly endpoint: string
  /** `METHOD /path?query` of every request so far. */
  readonly requests: readonly string[]
  /** From now on; replaces what was set before. */
  set(...rules: readonly FaultRule[]): void
  /** Refuses connections, and drops those there are, until `rise`. */
  fall(): Promise<void>
  rise(): Promise<void>
  stop(): Promise<void>
}

export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const { hostname, port } = new URL(target)
  const requests: string[] = []
  const sockets = new Set<Socket>()
  let rules: { rule: FaultRule; left: number }[] = []
  const server = createServer((request, response) => {
    const line = `${request.method} ${request.url}`
    requests.push(line)
    const matching = rules.find(({ rule, left }) => left > 0 && rule.match.test(line))
    if (matching) matching.left--
    request.on('error', () => undefined)
    response.on('error', () => undefined)
    serve(request, response, { hostname, port }, matching?.rule.fault)
  })
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port: own } = server.address() as AddressInfo
  const fall = async () => {
    const closed = once(server, 'close')
    server.close()
    for (const socket of sockets) socket.resetAndDestroy()
    await closed
  }
  return {
    endpoint: `http://127.0.0.1:${own}`,
    requests,
    set: (...wanted) => void (rules = wanted.map(rule => ({ rule, left: rule.times ?? Infinity }))),
    fall,
    async rise() {
      server.listen(own, '127.0.0.1')
      await once(server, 'listening')
    },
    stop: async () => (server.listening ? await fall() : undefined),
  }
}

interface Target {
  readonly hostname: string
  readonly port: string
}

function serve(
  request: IncomingMessage,
  response: ServerResponse,
  target: Target,
  fault: Fault | undefined,
): void {
  switch (fault?.kind) {
    case 'answer':
      request.resume()
      request.on('end', () =>
        response.writeHead(fault.status, { 'Content-Type': 'application/xml' }).end(fault.body),
      )
      return
    case 'reset':
    case 'fin':
    case 'hang':
      if (fault.afterBytes === Infinity) pass(request, target, () => interrupt(request, fault.kind))
      else afterBytes(request, fault.afterBytes, () => interrupt(request, fault.kind))
      return
    default:
      pass(request, target, answer => relay(answer, response, fault), trickleOf(fault))
  }
}

function interrupt({ socket }: IncomingMessage, kind: 'reset' | 'fin' | 'hang'): void {
  if (kind === 'reset') socket.resetAndDestroy()
  if (kind === 'fin') socket.destroySoon()
}

function afterBytes(request: IncomingMessage, bytes: number, then: () => void): void {
  let seen = 0
  if (bytes === 0) return then()
  request.on('data', (chunk: Buffer) => {
    seen += chunk.length
    if (seen < bytes) return
    request.pause()
    request.removeAllListeners('data')
    then()
  })
  // A body that is shorter is cut at its end.
  request.on('end', () => (seen < bytes ? then() : undefined))
}

const trickleOf = (fault: Fault | undefined): number =>
  fault?.kind === 'trickle' ? fault.bytesPerSecond : Infinity

function pass(
  request: IncomingMessage,
  { hostname, port }: Target,
  answered: (answer: IncomingMessage) => void,
  bytesPerSecond = Infinity,
): void {
  const { method, url, headers } = request
  const onward = forward({ hostname, port, method, path: url, headers }, answered)
  onward.on('error', () => request.socket.resetAndDestroy())
  request.on('close', () => {
    // A client that gave up takes its request with it.
    if (!request.complete) onward.destroy()
  })
  if (bytesPerSecond === Infinity) return void request.pipe(onward)
  request.on('data', (chunk: Buffer) => {
    onward.write(chunk)
    request.pause()
    setTimeout(() => request.resume(), (chunk.length / bytesPerSecond) * 1000)
  })
  request.on('end', () => onward.end())
}

function relay(answer: IncomingMessage, response: ServerResponse, fault: Fault | undefined): void {
  const headers = { ...answer.headers }
  if (fault?.kind === 'etag') {
    delete headers.etag
    if (fault.etag !== undefined) headers.etag = fault.etag
  }
  if (fault?.kind !== 'truncate') {
    response.writeHead(answer.statusCode ?? 502, headers)
    answer.pipe(response)
    return
  }
  const body: Buffer[] = []
  answer.on('data', (chunk: Buffer) => body.push(chunk))
  answer.on('end', () => {
    const whole = Buffer.concat(body)
    // It may have come in chunks; of two lengths in one head HTTP knows nothing.
    delete headers['transfer-encoding']
    response.writeHead(answer.statusCode ?? 502, {
      ...headers,
      'content-length': String(Math.max(2, whole.length)),
    })
    response.write(whole.subarray(0, whole.length / 2))
    setImmediate(() => response.socket?.destroy())
  })
}
