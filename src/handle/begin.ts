// The beginning of a crash's path: all that is known before a byte of the core's body is read. What may vanish with the
// process comes first: /proc, the head, the stacks and the mini core, which is in memory a few milliseconds later,
// whatever happens to process, runtime and store from then on.
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { foreseeRecord } from '../budget/foresight.ts'
import { decidePolicy, needsDetails, type Policy } from '../budget/policy.ts'
import type { Config } from '../config/table.ts'
import type { CoreHead } from '../core/head.ts'
import { signatureOf } from '../core/signature.ts'
import type { CrashFacts, Place, Workload } from '../crash.ts'
import { type ProcessReading, readProcess } from '../kernel/procfs.ts'
import type { Os } from '../os/os.ts'
import { signalName } from '../signals.ts'
import { crashId } from '../store/keys.ts'
import type { Store } from '../store/store.ts'
import { placeOf } from '../workload/place.ts'
import { type Resolved, resolveWorkload } from '../workload/resolve.ts'
import type { Zstd } from '../zstd/codec.ts'
import { examine, type Examination } from './examine.ts'
import type { Chained } from './chain.ts'
import { type HeldFiles, holdFiles } from './held-files.ts'
import { Hold } from './hold.ts'
import { CoreInput, type HeadReading } from './input.ts'
import { type KitWithMini, readMini } from './mini.ts'
import { lowerPriority } from './priority.ts'
import { commOf } from './record.ts'
import { unopenedStore } from './unopened-store.ts'

/** What the binary gives the handler; tests give other things. */
export interface HandleDeps {
  readonly os: Os
  readonly version: string
  /** @param implementation - `capture.zstd`. */
  zstd(implementation: Config['capture']['zstd']): Zstd
  /** Collects garbage, at once. */
  readonly collect: () => void
  /** @throws CoreliftError `E_CONFIG` */
  loadConfig(file: string | undefined): Config
  openStore(config: Config['store']): Promise<Store>
}

export interface Beginning {
  readonly id: string
  readonly node: string
  readonly crash: CrashFacts
  readonly config: Config
  readonly reading: ProcessReading
  readonly head: HeadReading
  readonly input: CoreInput
  /** Of the process: input and memory end with it. */
  readonly hold: Hold
  /** Absent where the process's memory cannot be had. */
  readonly examination: Examination | undefined
  /** Its executable and libraries, open; absent as the memory is. */
  readonly held: HeldFiles | undefined
  readonly mini: KitWithMini | undefined
  readonly signature: string | undefined
  readonly place: Place
  readonly policy: Policy
  /** Who it was, by files or, where they do not tell, by sockets. */
  readonly named: Workload
  readonly describing: Promise<Resolved>
  readonly store: Store
  /** Loads it at the first call. */
  readonly zstd: () => Zstd
  /** It is foreseen that nothing but a record is left: in a storm, which needs no kit of each crash either. */
  readonly isSpent: boolean
  /** Absent: nobody else was given the crash. */
  readonly chained?: Chained
  readonly durations: Record<string, number>
  readonly warnings: readonly string[]
  /** Notes when a step was done. */
  readonly done: (step: string) => void
}

export async function begin(crash: CrashFacts, config: Config, deps: HandleDeps): Promise<Beginning> {
  const durations: Record<string, number> = {}
  const done = (step: string): void => void (durations[step] = Math.round(performance.now() * 10) / 10)
  const id = crashId(crash.timeSeconds, Date.now() % 1000, randomBytes(5))
  const node = config.node.name ?? hostname()
  const hold = new Hold(config.hold.secondsMax)
  const notLowered = lowerPriority(config.handler)

  const reading = readProcess(crash, config.capture.environ)
  done('procRead')
  const resolution = resolveWorkload({ cgroup: cgroupOf(reading), uid: crash.uid }, config.workload)
  const input = new CoreInput(deps.os)
  hold.holds(() => input.close())
  const head = await input.readHead()
  done('headRead')
  const named = await Promise.race([resolution.namedByFiles, sleep(FILES_MS_MAX, undefined, { ref: false })])
  if (named) done('identified')
  let loaded: Zstd | undefined
  const zstd = () => (loaded ??= deps.zstd(config.capture.zstd))
  const held = await readHeld({ crash, config, reading, head, zstd, named, node, done })
  hold.holds(() => held.examination?.memory.close())
  const asking = held.isSpent ? resolution.identified.then(onlyNames) : resolution.describe()
  const describing = asking.finally(() => done('described'))

  // Meanwhile runtimes answer.
  const store = await deps.openStore(config.store).catch(unopenedStore)
  const workload = named ?? (await resolution.identified)
  if (!named) done('identified')
  const place = placeOf(workload, node)
  const details = needsDetails(config, workload.kind) ? await describing : undefined
  const { signal } = crash
  const { labels, annotations } = details ?? {}
  const { warnings: misunderstood, ...policy } = decidePolicy(
    { place, workload: workload.kind, labels, annotations, signal, comm: commOf(reading) },
    config,
  )
  const known = {
    id,
    node,
    crash,
    config,
    reading,
    head,
    input,
    hold,
    place,
    policy,
    named: workload,
    describing,
  }
  return {
    ...known,
    ...{ store, zstd, durations, done },
    ...held,
    warnings: [...notLowered, ...held.warnings, ...misunderstood],
  }
}

/**
 * Files name a crash in a few milliseconds; in a storm, which takes all processors, in hundreds, and it is then that the
 * names are needed to foresee what will be kept. A disk that hangs must not keep the mini core waiting.
 */
const FILES_MS_MAX = 2000

/** In a storm: the names are all that is wanted. */
const onlyNames = (workload: Workload): Resolved => ({ workload, labels: undefined, annotations: undefined })

type Held = Pick<Beginning, 'examination' | 'held' | 'mini' | 'signature' | 'isSpent' | 'warnings'>

interface HeldOptions extends Pick<
  Beginning,
  'crash' | 'config' | 'reading' | 'head' | 'zstd' | 'node' | 'done'
> {
  /** Who it was, where that is known by now. */
  readonly named: Workload | undefined
}

/** What only the held process has. Its memory is hostile, and a bug in what reads it must not cost the core. */
async function readHeld(options: HeldOptions): Promise<Held> {
  const { crash, config, reading, head, named, node, done } = options
  const core = head.scan.state === 'core' ? head.scan.head : undefined
  const warnings: string[] = []
  const attempt = async <T>(what: string, act: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await act()
    } catch (error) {
      warnings.push(`no ${what}: ${String(error)}`)
      return undefined
    }
  }
  const examination = core && (await attempt('stacks', () => examine(crash, reading, core)))
  const signature = examination && signatureIn(crash, examination)
  done('unwound')
  const isSpent = named !== undefined && foreseeRecord(placeOf(named, node), signature, config)
  const mini =
    core && examination && !isSpent
      ? await attempt('mini core', () => miniOf(options, core, examination))
      : undefined
  done('miniRead')
  const opened =
    core && examination && (await attempt('files', () => holdFiles(crash.pid, examination, core, !isSpent)))
  done('filesOpened')
  return { examination, held: opened, mini, signature, isSpent, warnings }
}

/** @returns undefined where no frame is known: crashes that have nothing else in common would share it. */
function signatureIn({ signal }: CrashFacts, { stacks }: Examination): string | undefined {
  const frames = stacks[0]?.frames ?? []
  return frames.some(({ module }) => module) ? signatureOf(signalName(signal), frames) : undefined
}

function miniOf(
  { crash, config, zstd }: HeldOptions,
  head: CoreHead,
  examination: Examination,
): Promise<KitWithMini> {
  const compressor = () => zstd().compressor(config.capture.zstdLevel, 'one')
  return readMini({ crash, head, examination, limits: config.mini, compressor })
}

const cgroupOf = (reading: ProcessReading): Uint8Array =>
  (reading.state === 'read' ? reading.process.files.cgroup : undefined) ?? new Uint8Array(0)
