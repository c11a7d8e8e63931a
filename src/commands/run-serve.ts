// corelift serve: a web server over the store until it is interrupted.
import { CoreliftError } from '../errors.ts'
import { Gate } from '../web/gate.ts'
import { isLoopback, parseListen, urlOf } from '../web/host.ts'
import { Lru } from '../web/lru.ts'
import type { Request } from '../web/reply.ts'
import { respond } from '../web/routes.ts'
import { startServer } from '../web/server.ts'
import { renderBug, renderJson } from './render.ts'
import { configSources, note } from './run.ts'
import type { GlobalOptions, Session } from './session.ts'
import { write } from './terminal.ts'

/** People wait for a page: a store that does not answer is told soon. */
const RETRY_SECONDS_MAX = 5
/** Each holds four ranges and two frames, of 16 MiB at most. */
const DOWNLOADS_AT_ONCE_MAX = 3
/** Their own, so that no page waits for a download. */
const LOGS_AT_ONCE_MAX = 2
/** Each keeps one processor busy. */
const SCANS_AT_ONCE_MAX = 2
/** Texts of a hundred characters. */
const SIGNATURES_MAX = 5000

export interface ServeOptions extends GlobalOptions {
  readonly listen: string
}

export async function runServe(session: Session, options: ServeOptions): Promise<void> {
  const { io, deps } = session
  const listen = parseListen(options.listen)
  const { config } = deps.loadConfig(configSources(session, options, ['store.url']))
  const retrySeconds = Math.min(config.store.retrySeconds, RETRY_SECONDS_MAX)
  const store = await deps.openStore({ ...config.store, retrySeconds }, {})
  const decompressor = lazy(deps.decompressor)
  const demangle = lazy(deps.demangle)
  const web = {
    ...{ store, decompressor, demangle, now: deps.now, collect: deps.collect },
    gate: new Gate(DOWNLOADS_AT_ONCE_MAX),
    logs: new Gate(LOGS_AT_ONCE_MAX),
    scans: new Gate(SCANS_AT_ONCE_MAX),
    signatures: new Lru<string>(SIGNATURES_MAX),
  }
  const onError = (error: unknown) => report(session, error)
  try {
    const server = await startServer(listen, {
      respond: (request: Request) => respond(web, request),
      onError,
    })
    try {
      const url = `${urlOf(server.address)}/`
      await write(io.stdout, options.json ? renderJson({ url }) : `${url}\n`)
      if (!isLoopback(listen.host))
        await note(
          session,
          `there is no login: whoever reaches ${listen.host} reads every core in ${store.url}`,
        )
      await interruption(io.interrupted)
    } finally {
      await server.close()
    }
  } finally {
    store.close()
  }
}

/** The addon is loaded once, and a demangler is compiled once. */
function lazy<T>(load: () => T): () => T {
  let value: { readonly loaded: T } | undefined
  return () => (value ??= { loaded: load() }).loaded
}

/** The server goes on, even where nobody can be told. */
async function report(session: Session, error: unknown): Promise<void> {
  try {
    if (error instanceof CoreliftError) await note(session, `${error.message} [${error.code}]`)
    else await write(session.io.stderr, renderBug(error))
  } catch {
    // Standard error is gone.
  }
}

function interruption(interrupted: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (interrupted.aborted) resolve()
    interrupted.addEventListener('abort', () => resolve(), { once: true })
  })
}
