// Sends what waits in the spools: kits and records first, so that every crash is soon known of, then cores.
import type { CoreliftError, ErrorCode } from '../errors.ts'
import { finishEntry } from '../spool/finish.ts'
import type { Entry, Spool } from '../spool/spool.ts'
import type { Store } from '../store/store.ts'
import { salvage } from './salvage.ts'
import { sendDebugFiles } from './send-debug-files.ts'

/** What became of what waited. */
export interface Delivery {
  /** Ids of crashes that are in the store now, with all that was kept of them. */
  readonly sent: readonly string[]
  /** Crashes whose turn comes again. */
  readonly waiting: readonly Waiting[]
  /** Handlers that are at work. */
  readonly busy: number
  /** Crashes whose note the disk lost: they are sent as somebody's. */
  readonly salvaged: readonly string[]
  /** Executables and libraries that were sent when nothing else was left to do. */
  readonly debugFiles: number
}

export interface Waiting {
  readonly id: string
  readonly why: string
  readonly code: ErrorCode
}

export interface DeliverOptions {
  readonly node: string
  readonly version: string
  readonly graceSeconds: number
  readonly now: () => Date
  /** As Math.random. */
  readonly random: () => number
}

/** Small objects of so many crashes at once: most of the time of each is the store's. */
const LANES = 4
/** So many crashes in a row that a store does not take mean that it takes none now. */
const FAILURES_MAX = 3

export async function deliver(
  spools: readonly Spool[],
  store: Store,
  options: DeliverOptions,
): Promise<Delivery> {
  const run = new Run(store, options)
  for (const spool of spools) await spool.tidy()
  // In another order each time: a few crashes that the store will not take must not stand before all others for ever.
  const queue = (await Promise.all(spools.map(async spool => (await spool.ids()).map(id => ({ spool, id })))))
    .flat()
    .map(item => ({ ...item, at: options.random() }))
    .sort((a, b) => a.at - b.at)
  const small = queue.values()
  const withCores: typeof queue = []
  const lane = async () => {
    for (const item of small) if ((await run.send(item, true)) === 'later') withCores.push(item)
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  for (const item of withCores) await run.send(item, false)
  const { delivery } = run
  if (delivery.waiting.length > 0) return delivery
  return { ...delivery, debugFiles: await sendDebugFiles(spools, store, options.now()) }
}

type Item = { readonly spool: Spool; readonly id: string }

class Run {
  readonly #store: Store
  readonly #options: DeliverOptions
  readonly #sent: string[] = []
  readonly #waiting: Waiting[] = []
  readonly #salvaged: string[] = []
  #busy = 0
  #failures = 0
  #last: CoreliftError | undefined

  constructor(store: Store, options: DeliverOptions) {
    this.#store = store
    this.#options = options
  }

  get delivery(): Delivery {
    return {
      sent: this.#sent,
      waiting: this.#waiting,
      busy: this.#busy,
      salvaged: this.#salvaged,
      debugFiles: 0,
    }
  }

  /** @returns 'later': a core is to be sent when all that is small is in the store. */
  async send({ spool, id }: Item, onlySmall: boolean): Promise<'later' | undefined> {
    if (this.#failures >= FAILURES_MAX || this.#last?.code === 'E_STORE_THROTTLED') {
      this.#wait(id, this.#last!)
      return undefined
    }
    const entry = await spool.claim(id)
    if (entry === undefined) return undefined
    if (entry === 'busy') {
      this.#busy++
      return undefined
    }
    try {
      return await this.#finish(entry, onlySmall)
    } finally {
      await entry.release()
    }
  }

  async #finish(entry: Entry, onlySmall: boolean): Promise<'later' | undefined> {
    const { now, graceSeconds, node, version } = this.#options
    const isSealed = typeof entry.note === 'object' && entry.note.state === 'sealed'
    const quietMs = isSealed ? Infinity : now().getTime() - (await entry.lastTouchedMs())
    // Its handler is gone, or has not begun.
    if (quietMs < graceSeconds * 1000) {
      this.#busy++
      return undefined
    }
    if (typeof entry.note !== 'object') {
      await salvage(entry, node, version)
      this.#salvaged.push(entry.id)
    }
    const result = await finishEntry(entry, this.#store, { now, by: 'sweep', onlySmall })
    switch (result.state) {
      case 'done':
        this.#failures = 0
        this.#sent.push(entry.id)
        return undefined
      case 'later':
        this.#failures = 0
        return 'later'
      case 'waiting':
        this.#failures++
        this.#last = result.error
        this.#wait(entry.id, result.error)
        return undefined
    }
  }

  #wait(id: string, { message, code }: CoreliftError): void {
    this.#waiting.push({ id, why: message, code })
  }
}
