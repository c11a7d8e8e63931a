// Which crash and which of its cores a debugger is to open.
import { CoreliftError } from '../errors.ts'
import { coreName, type Cache } from '../debug/cache.ts'
import { printable } from '../printable.ts'
import type { Manifest } from '../store/manifest.ts'
import type { Store } from '../store/store.ts'
import { MIB } from '../units.ts'
import { mapConcurrent } from './concurrent.ts'
import { findCrashes, readManifest, type FoundCrash } from './find.ts'
import { newestFinished } from './get.ts'
import { renderTable } from './render.ts'
import { note } from './run.ts'
import type { Session } from './session.ts'
import { chooseCore, type StoredCore, type WantedCore } from './stored-core.ts'
import { write } from './terminal.ts'

/** A core that is fetched without asking: seconds, on most lines. */
const SMALL_STORED_BYTES = 64 * MIB
/** What a number names with one key. */
const CHOICES_MAX = 9

export interface Target {
  readonly crash: FoundCrash
  /** The pod's other crashes. */
  readonly others: readonly FoundCrash[]
  /** undefined: the crash is unfinished. */
  readonly manifest: Manifest | undefined
}

/**
 * Finds the crash that ID|POD means; of several, somebody at a terminal may choose.
 * @param newest - Do not ask.
 * @throws CoreliftError `E_CRASH_UNKNOWN`, `E_MANIFEST`, `E_USAGE`, `E_STORE_…`
 */
export async function findTarget(
  session: Session,
  store: Store,
  wanted: string,
  options: { readonly namespace?: string | undefined; readonly newest: boolean },
): Promise<Target> {
  const crashes = await findCrashes(store, wanted, options.namespace)
  const newest = newestFinished(crashes)
  if (crashes.length > 1 && !options.newest && canAsk(session)) return await ask(session, store, crashes)
  if (crashes.length > 1)
    await note(session, `the newest of the pod's ${crashes.length} crashes: ${newest.id}`)
  return targetOf(crashes, newest, await readManifest(store, newest.prefix))
}

const canAsk = ({ io }: Session): boolean => io.readLine !== undefined && io.stderr.isTTY === true

function targetOf(crashes: readonly FoundCrash[], crash: FoundCrash, manifest: Manifest | undefined): Target {
  return { crash, manifest, others: crashes.filter(other => other !== crash) }
}

async function ask(
  session: Session,
  store: Store,
  crashes: readonly [FoundCrash, ...FoundCrash[]],
): Promise<Target> {
  const { io } = session
  const choices: Target[] = []
  const read = mapConcurrent(crashes.slice(0, CHOICES_MAX), CHOICES_MAX, async crash =>
    targetOf(crashes, crash, await readManifest(store, crash.prefix).catch(unreadable)),
  )
  for await (const choice of read) choices.push(choice)
  await write(io.stderr, renderChoices(choices))
  const hidden = crashes.length - choices.length
  if (hidden > 0) await note(session, `${hidden} older ones: corelift ls`)
  const preferred = Math.max(
    0,
    choices.findIndex(({ manifest }) => manifest !== undefined),
  )
  await write(io.stderr, `which crash? [${preferred + 1}] `)
  const answer = await io.readLine!()
  const chosen = choices[answer === '' ? preferred : Number(answer) - 1]
  if (chosen === undefined)
    throw new CoreliftError('E_USAGE', `not one of 1 to ${choices.length}: ${answer}`, {
      hint: 'give the id of the crash, or -1 for the newest',
    })
  // Again for one that could not be read: that is an error now.
  return chosen.manifest === undefined
    ? { ...chosen, manifest: await readManifest(store, chosen.crash.prefix) }
    : chosen
}

function unreadable(error: unknown): undefined {
  if (error instanceof CoreliftError && error.code === 'E_MANIFEST') return undefined
  throw error
}

function renderChoices(choices: readonly Target[]): string {
  const rows = choices.map(({ crash, manifest }, index) => [
    String(index + 1),
    manifest?.time.slice(0, 19).replace('T', ' ') ?? '–',
    printable(manifest?.crash.signalName ?? '–'),
    printable(manifest?.process?.comm ?? '–'),
    manifest?.outcome ?? 'unfinished',
    crash.id,
  ])
  return renderTable(['', 'TIME (UTC)', 'SIGNAL', 'COMM', 'OUTCOME', 'ID'], rows)
}

/** The core to open, and whether there is a better one, which would take a while. */
export interface ChosenCore {
  readonly core: StoredCore
  /** That was left for `--full`. */
  readonly larger: StoredCore | undefined
}

/**
 * Chooses between a crash's cores: without a word from people, the best one where the cache has it or it is small, else
 * the mini core, else the best.
 * @returns undefined where there is none.
 */
export async function chooseDebugCore(
  store: Store,
  cache: Cache,
  { crash, manifest }: Target,
  wanted: WantedCore,
): Promise<ChosenCore | undefined> {
  const best = chooseCore(store, crash, manifest, wanted)
  if (best === undefined || wanted !== 'best' || best.kind === 'mini')
    return best && { core: best, larger: undefined }
  const isNear =
    (manifest?.core?.bytesStored ?? 0) <= SMALL_STORED_BYTES ||
    (await cache.take(coreName(crash.id, best.kind), best.bytes))
  const mini = isNear ? undefined : chooseCore(store, crash, manifest, 'mini')
  return mini === undefined ? { core: best, larger: undefined } : { core: mini, larger: best }
}
