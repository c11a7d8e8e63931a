// What the store lets this node do, found out by doing it, to an object of the node's own that is no crash.
import { performance } from 'node:perf_hooks'
import { hostname } from 'node:os'
import type { Config } from '../../config/table.ts'
import { CoreliftError } from '../../errors.ts'
import { doctorKey } from '../../store/keys.ts'
import type { StoreHooks } from '../../store/open.ts'
import type { Store } from '../../store/store.ts'

/** One request, or a few that belong together. */
export interface ProbeStep {
  readonly milliseconds: number
  /** undefined: it was done. */
  readonly error?: CoreliftError
}

export interface StoreProbe {
  readonly put: ProbeStep
  /** Beginning an upload, and sending a part of it; absent where `put` says that the store cannot be used at all. */
  readonly upload?: ProbeStep
  /** Absent where there is no upload. */
  readonly abort?: ProbeStep
  readonly get?: ProbeStep
  readonly list?: ProbeStep
  /** The store's clock less this node's; undefined: it does not tell the time. */
  readonly clockSeconds: number | undefined
}

export interface ProbeOptions {
  readonly config: Pick<Config, 'store' | 'node'>
  readonly openStore: (config: Config['store'], hooks: StoreHooks) => Promise<Store>
  readonly now: () => Date
}

/** For what passes at once; a store that stays away is to be told soon. */
const RETRY_SECONDS_MAX = 3
const REQUEST_SECONDS_MAX = 10

/**
 * Puts an object, begins an upload and aborts it, tries to read, and removes the object where it may. What the store says
 * is in the steps; one that cannot be opened says it in `put`.
 */
export async function probeStore({ config, openStore, now }: ProbeOptions): Promise<StoreProbe> {
  let clockSeconds: number | undefined
  const settings = {
    ...config.store,
    retrySeconds: Math.min(config.store.retrySeconds, RETRY_SECONDS_MAX),
    requestTimeoutSeconds: Math.min(config.store.requestTimeoutSeconds, REQUEST_SECONDS_MAX),
  }
  const onServerDate = (date: Date) => {
    clockSeconds = (date.getTime() - now().getTime()) / 1000
  }
  return await withoutEnvironment(async () => {
    let store: Store | undefined
    const put = await step(async () => void (store = await openStore(settings, { onServerDate })))
    if (store === undefined) return { put, clockSeconds }
    try {
      const node = config.node.name ?? hostname()
      const steps = await stepsOf(
        store,
        doctorKey(node),
        `corelift doctor on ${node}, ${now().toISOString()}\n`,
      )
      return { ...steps, clockSeconds }
    } finally {
      store.close()
    }
  })
}

async function stepsOf(store: Store, key: string, text: string): Promise<Omit<StoreProbe, 'clockSeconds'>> {
  const body = Buffer.from(text)
  const put = await step(() => store.put(key, body, { contentType: 'text/plain' }))
  // Who may not put may yet be told the rest; of a store that is not there nothing more is asked.
  if (put.error !== undefined && put.error.code !== 'E_STORE_DENIED') return { put }
  const upload = await tryUpload(store, key, body)
  const get = await step(() => store.get(key))
  const list = await step(() => store.list(key)[Symbol.asyncIterator]().next())
  // It is overwritten by the next run where it may not be removed.
  await step(() => store.remove(key))
  return { put, ...upload, get, list }
}

async function tryUpload(
  store: Store,
  key: string,
  body: Uint8Array,
): Promise<Pick<StoreProbe, 'upload' | 'abort'>> {
  let abort: ProbeStep | undefined
  const upload = await step(async () => {
    const begun = await store.startUpload(key)
    try {
      await begun.putPart(1, 0, body)
    } finally {
      abort = await step(() => begun.abort())
    }
  })
  return { upload, ...(abort !== undefined && { abort }) }
}

async function step(act: () => Promise<unknown>): Promise<ProbeStep> {
  const begin = performance.now()
  const took = () => Math.round(performance.now() - begin)
  try {
    await act()
    return { milliseconds: took() }
  } catch (error) {
    if (error instanceof CoreliftError) return { milliseconds: took(), error }
    throw error
  }
}

/** The kernel starts its handler without one: credentials that only a shell has must not make a difference. */
async function withoutEnvironment<T>(act: () => Promise<T>): Promise<T> {
  const before = { ...process.env }
  for (const name of Object.keys(process.env)) delete process.env[name]
  try {
    return await act()
  } finally {
    Object.assign(process.env, before)
  }
}
