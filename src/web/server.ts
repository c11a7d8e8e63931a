// Replies over node:http: who may ask, in which way, and how an answer is sent, no faster than it is read.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CoreliftError } from '../errors.ts'
import { isHostAllowed, type ListenAddress } from './host.ts'
import { printable } from '../printable.ts'
import { plainReply, SECURITY_HEADERS, statusOf, type Chunk, type Reply, type Request } from './reply.ts'

/** Large chunks are written in pieces of this size, so that a slow reader's connection holds no more. */
const WRITE_BYTES = 256 * 1024
/** A reader that takes nothing for so long has gone. */
const IDLE_MS = 120_000
const HEADERS_MS = 10_000

export interface WebServer {
  readonly address: ListenAddress
  /** Ends at once, also what is being sent. */
  close(): Promise<void>
}

export interface WebServerHooks {
  readonly respond: (request: Request) => Promise<Reply>
  /** What went wrong with one request; the server goes on. */
  readonly onError: (error: unknown) => Promise<void>
}

/** @throws CoreliftError `E_LISTEN` */
export async function startServer(listen: ListenAddress, hooks: WebServerHooks): Promise<WebServer> {
  const server = createServer((message, response) => void answer(message, response, listen, hooks))
  server.headersTimeout = HEADERS_MS
  await listening(server, listen)
  const { port } = server.address() as AddressInfo
  return {
    address: { host: listen.host, port },
    async close() {
      const closed = new Promise<void>(resolve => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

async function listening(server: Server, { host, port }: ListenAddress): Promise<void> {
  const failed = new Promise<never>((_, reject) => server.once('error', reject))
  try {
    server.listen({ host, port })
    await Promise.race([once(server, 'listening'), failed])
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    throw new CoreliftError('E_LISTEN', `cannot listen on ${host}:${port}: ${code ?? message}`, {
      hint: HINTS[code ?? ''] ?? '--listen HOST:PORT takes another address',
      cause,
    })
  }
}

const HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'something else listens there: --listen 127.0.0.1:0 takes any free port',
  EACCES: 'ports below 1024 are root’s: --listen 127.0.0.1:8080',
  EADDRNOTAVAIL: 'this machine does not have the address',
}

/** Never throws. */
async function answer(
  message: IncomingMessage,
  response: ServerResponse,
  listen: ListenAddress,
  { respond, onError }: WebServerHooks,
): Promise<void> {
  try {
    await send(response, await replyTo(message, listen, respond), message.method)
  } catch (error) {
    if (response.headersSent) response.destroy()
    else await send(response, errorReply(error), message.method)
    await onError(error)
  }
}

function errorReply(error: unknown): Reply {
  if (!(error instanceof CoreliftError))
    return plainReply(500, 'a bug: this server’s standard error has more')
  const { code, message, hint } = error
  return plainReply(
    statusOf(error),
    printable(`${message} [${code}]${hint === undefined ? '' : `; ${hint}`}`),
  )
}

async function replyTo(
  message: IncomingMessage,
  listen: ListenAddress,
  respond: WebServerHooks['respond'],
): Promise<Reply> {
  if (!isHostAllowed(message.headers.host, listen))
    return plainReply(421, 'this server does not have that name')
  if (message.method !== 'GET' && message.method !== 'HEAD')
    return plainReply(405, 'only GET and HEAD', { Allow: 'GET, HEAD' })
  const request = readRequest(message)
  return request === undefined ? plainReply(400, 'not a path') : await respond(request)
}

/** @returns undefined for a path that cannot be decoded. */
function readRequest({ url = '/', headers }: IncomingMessage): Request | undefined {
  const at = url.indexOf('?')
  const path = decoded(at === -1 ? url : url.slice(0, at))
  if (path === undefined || !path.startsWith('/')) return undefined
  return {
    path,
    query: new URLSearchParams(at === -1 ? '' : url.slice(at + 1)),
    host: headers.host ?? '',
    acceptEncoding: headers['accept-encoding'] ?? '',
  }
}

function decoded(path: string): string | undefined {
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}

/** Sends nothing before the body has begun: what fails until then has a status of its own. */
async function send(
  response: ServerResponse,
  { status, headers, body }: Reply,
  method: string | undefined,
): Promise<void> {
  const all = { ...SECURITY_HEADERS, ...headers }
  if (method === 'HEAD') {
    response.writeHead(status, all).end()
    return
  }
  const gone = new Promise<void>(resolve => response.once('close', resolve))
  response.on('error', () => undefined) // a reader that has gone: `close` follows
  for await (const chunk of body) {
    if (!response.headersSent) response.writeHead(status, all)
    for (const piece of pieces(chunk)) {
      if (response.destroyed) return
      if (!response.write(piece)) await drained(response, gone)
    }
  }
  if (!response.headersSent) response.writeHead(status, all)
  response.end()
}

async function drained(response: ServerResponse, gone: Promise<void>): Promise<void> {
  const idle = setTimeout(() => response.destroy(), IDLE_MS)
  await Promise.race([new Promise(resolve => response.once('drain', resolve)), gone])
  clearTimeout(idle)
}

function* pieces(chunk: Chunk): Generator<Uint8Array> {
  const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
  for (let at = 0; at < bytes.length; at += WRITE_BYTES) yield bytes.subarray(at, at + WRITE_BYTES)
}
