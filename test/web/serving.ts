// The web server over a store, on a free port of loopback.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Test } from 'tap'
import { loadDemangle } from '../../src/commands/demangle.ts'
import type { Store } from '../../src/store/store.ts'
import { Gate } from '../../src/web/gate.ts'
import { Lru } from '../../src/web/lru.ts'
import type { Chunk, Reply } from '../../src/web/reply.ts'
import { respond, type WebDeps } from '../../src/web/routes.ts'
import { startServer } from '../../src/web/server.ts'
import { deflateFrames } from '../commands/crashes.ts'
import { NOW } from './scene.ts'

const wasm = createRequire(import.meta.url).resolve('gecko-profiler-demangle/index_bg.wasm')
const demangle = loadDemangle(readFileSync(wasm))

export function depsFor(store: Store): WebDeps {
  return {
    store,
    decompressor: () => deflateFrames,
    demangle: () => demangle,
    now: () => NOW,
    collect: () => undefined,
    gate: new Gate(2),
    logs: new Gate(1),
    scans: new Gate(1),
    signatures: new Lru<string>(1000),
  }
}

export interface Served {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string
  readonly port: number
  /** What the server reported. */
  readonly errors: unknown[]
}

/** Ends with the test. */
export async function serve(t: Test, store: Store, deps: WebDeps = depsFor(store)): Promise<Served> {
  const errors: unknown[] = []
  const server = await startServer(
    { host: '127.0.0.1', port: 0 },
    { respond: request => respond(deps, request), onError: async error => void errors.push(error) },
  )
  t.teardown(() => server.close())
  const { port } = server.address
  return { url: `http://127.0.0.1:${port}`, port, errors }
}

/** Answers without a socket. */
export async function ask(
  deps: WebDeps,
  url: string,
  acceptEncoding = '',
): Promise<{ reply: Reply; text: string; bytes: Buffer }> {
  const { pathname, searchParams } = new URL(url, 'http://localhost')
  const reply = await respond(deps, {
    ...{ path: decodeURIComponent(pathname), query: searchParams, host: 'localhost:8080', acceptEncoding },
  })
  const bytes = await collect(reply.body)
  return { reply, bytes, text: bytes.toString('utf8') }
}

export async function collect(body: Iterable<Chunk> | AsyncIterable<Chunk>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of body) chunks.push(Buffer.from(chunk as Uint8Array))
  return Buffer.concat(chunks)
}
