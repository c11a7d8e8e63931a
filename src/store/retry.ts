// Retry as a decorator of any store. The SDK's own is off: it gives up resets within two seconds and 503 within
// thirteen, less than a restart of a store takes.

import { CoreliftError } from '../errors.ts'
import type { ListOptions, ListPage, Store, UnfinishedUpload, Upload } from './store.ts'

/** What the entries may hang into every retry. */
export interface RetryHooks {
  /** Called before the pause, to tell people. */
  readonly onRetry?: (error: CoreliftError, pauseMs: number) => void
  /** Called after the pause. Bun keeps failed request bodies until its next collection: the binary collects here. */
  readonly beforeRetry?: () => void
}

export interface RetryOptions extends RetryHooks {
  /** Budget of each operation (each part, each page), from its first failure; 0: no retry. */
  readonly seconds: number
  readonly sleep?: (milliseconds: number) => Promise<void>
  /** Milliseconds on a clock that does not jump. */
  readonly now?: () => number
  /** As Math.random: from 0, below 1. */
  readonly random?: () => number
}

/** A connection that was reset, or one slow moment of a server. */
const PAUSE_FIRST_MS = 200
/** A store that comes back after a minute is noticed soon, and a fleet of nodes does not trample it. */
const PAUSE_LAST_MS = 10_000

type Attempt = <T>(operation: () => Promise<T>) => Promise<T>

/**
 * Tries failed operations again, as long as their errors are `retryable`, with exponential pauses and full jitter
 * (AWS Architecture Blog, "Exponential Backoff And Jitter"). When the budget is spent, the last error is thrown.
 */
export function withRetry(store: Store, options: RetryOptions): Store {
  const attempt = retrier(options)
  return {
    url: store.url,
    put: (key, body, about) => attempt(() => store.put(key, body, about)),
    get: key => attempt(() => store.get(key)),
    getRange: (key, offset, length) => attempt(() => store.getRange(key, offset, length)),
    stat: key => attempt(() => store.stat(key)),
    list: (prefix, listOptions = {}) => listPages(store, attempt, prefix, listOptions),
    startUpload: async (key, about) =>
      uploadWithRetry(await attempt(() => store.startUpload(key, about)), attempt),
    resumeUpload: (key, id) => uploadWithRetry(store.resumeUpload(key, id), attempt),
    listUploads: prefix => listUploads(store, attempt, prefix),
    remove: key => attempt(() => store.remove(key)),
    close: () => store.close(),
  }
}

function uploadWithRetry(upload: Upload, attempt: Attempt): Upload {
  return {
    id: upload.id,
    putPart: (number, offset, body) => attempt(() => upload.putPart(number, offset, body)),
    complete: receipts => attempt(() => upload.complete(receipts)),
    abort: () => attempt(() => upload.abort()),
  }
}

function retrier({
  seconds,
  sleep = pause,
  now = () => performance.now(),
  random = Math.random,
  onRetry,
  beforeRetry,
}: RetryOptions): Attempt {
  return async operation => {
    let deadline: number | undefined
    for (let retries = 0; ; retries++) {
      try {
        return await operation()
      } catch (error) {
        if (!(error instanceof CoreliftError) || !error.retryable) throw error
        // From the first failure: a request may time out after more seconds than the whole budget has.
        deadline ??= now() + seconds * 1000
        const left = deadline - now()
        if (left <= 0) throw error
        const pauseMs = Math.min(left, random() * Math.min(PAUSE_LAST_MS, PAUSE_FIRST_MS * 2 ** retries))
        onRetry?.(error, pauseMs)
        await sleep(pauseMs)
        beforeRetry?.()
      }
    }
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, milliseconds))
}

async function* listPages(
  store: Store,
  attempt: Attempt,
  prefix: string,
  options: ListOptions,
): AsyncGenerator<ListPage> {
  let seen = options.after
  const begin = () => store.list(prefix, seen === undefined ? options : { ...options, after: seen })
  for await (const found of retryPages(attempt, begin)) {
    const page = after(found, seen)
    seen = [seen ?? '', page.objects.at(-1)?.key ?? '', page.prefixes.at(-1) ?? ''].sort().at(-1)
    yield page
  }
}

/** Its pages cannot be begun behind a key: those before a failed one come again, and are left out. */
async function* listUploads(
  store: Store,
  attempt: Attempt,
  prefix: string,
): AsyncGenerator<readonly UnfinishedUpload[]> {
  const seen = new Set<string>()
  for await (const found of retryPages(attempt, () => store.listUploads(prefix))) {
    const page = found.filter(({ id }) => !seen.has(id))
    for (const { id } of page) seen.add(id)
    yield page
  }
}

/** @param begin - Begins a listing; again after a page that failed, since a generator that threw is finished. */
async function* retryPages<Page>(attempt: Attempt, begin: () => AsyncIterable<Page>): AsyncGenerator<Page> {
  let pages: AsyncIterator<Page> | undefined
  for (;;) {
    const next = await attempt(async () => {
      pages ??= begin()[Symbol.asyncIterator]()
      try {
        return await pages.next()
      } catch (error) {
        pages = undefined
        throw error
      }
    })
    if (next.done) return
    yield next.value
  }
}

/** `after` names a key; a group that was seen has later keys, and comes again when a listing begins behind it. */
function after(page: ListPage, seen: string | undefined): ListPage {
  if (seen === undefined) return page
  return {
    objects: page.objects.filter(({ key }) => key > seen),
    prefixes: page.prefixes.filter(prefix => prefix > seen),
  }
}
