// The path of a crash: who it was, what may be kept of it, the core and what goes with it into the store, the manifest.
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { admit } from '../budget/admission.ts'
import { decidePolicy, needsDetails, type Policy } from '../budget/policy.ts'
import type { Slot } from '../budget/slots.ts'
import type { Config } from '../config/table.ts'
import type { CrashFacts, Place, RefusalReason } from '../crash.ts'
import { CoreliftError, EXIT, type ExitCode } from '../errors.ts'
import { LOG_LEVEL } from '../kernel/kmsg.ts'
import { type ProcessReading, readProcess } from '../kernel/procfs.ts'
import type { Os } from '../os/os.ts'
import { coreKey, crashId, crashPrefix, indexKey, manifestKey } from '../store/keys.ts'
import { encodeManifest, type ManifestCore } from '../store/manifest.ts'
import type { Store } from '../store/store.ts'
import { placeOf } from '../workload/place.ts'
import { type Resolved, resolveWorkload } from '../workload/resolve.ts'
import type { Zstd } from '../zstd/codec.ts'
import { CoreInput, type HeadReading } from './input.ts'
import { storeKit } from './kit.ts'
import { lowerPriority } from './priority.ts'
import { commOf, type CrashRecord, describeCrash, describePlace, manifestOf } from './record.ts'
import { log, report } from './report.ts'
import { storeCore } from './stream.ts'

/** What the binary gives the handler; tests give other things. */
export interface HandleDeps {
  readonly os: Os
  readonly version: string
  /** @param implementation - `capture.zstd`. */
  zstd(implementation: Config['capture']['zstd']): Zstd
  /** @throws CoreliftError `E_CONFIG` */
  loadConfig(file: string | undefined): Config
  openStore(config: Config['store']): Promise<Store>
}

/** What is known before a byte of the core's body is read. */
interface Beginning {
  readonly id: string
  readonly node: string
  readonly crash: CrashFacts
  readonly config: Config
  readonly reading: ProcessReading
  readonly head: HeadReading
  readonly input: CoreInput
  readonly place: Place
  readonly policy: Policy
  readonly describing: Promise<Resolved>
  readonly store: Store
  readonly durations: Record<string, number>
  readonly warnings: readonly string[]
  /** Notes when a step was done. */
  readonly done: (step: string) => void
}

/**
 * Takes one crash, from the reading of /proc to the manifest.
 * @throws CoreliftError for whatever leaves the crash without a manifest.
 */
export async function capture(crash: CrashFacts, config: Config, deps: HandleDeps): Promise<ExitCode> {
  const beginning = await begin(crash, config, deps)
  if (beginning.policy.capture === 'off') return keepNothing(beginning, deps.os)
  return await keep(beginning, deps)
}

async function begin(crash: CrashFacts, config: Config, deps: HandleDeps): Promise<Beginning> {
  const durations: Record<string, number> = {}
  const done = (step: string): void => void (durations[step] = Math.round(performance.now() * 10) / 10)
  const id = crashId(crash.timeSeconds, Date.now() % 1000, randomBytes(5))
  const node = config.node.name ?? hostname()
  const notLowered = lowerPriority(config.handler)

  const reading = readProcess(crash, config.capture.environ)
  done('procRead')
  const resolution = resolveWorkload({ cgroup: cgroupOf(reading), uid: crash.uid }, config.workload)
  const describing = resolution.described.finally(() => done('described'))
  const input = new CoreInput(deps.os)
  const head = await input.readHead()
  done('headRead')
  // Meanwhile runtimes answer.
  const store = await deps.openStore(config.store)
  const workload = await resolution.identified
  done('identified')
  const place = placeOf(workload, node)
  const details = needsDetails(config, workload.kind) ? await describing : undefined
  const { signal } = crash
  const { labels, annotations } = details ?? {}
  const { warnings: misunderstood, ...policy } = decidePolicy(
    { place, workload: workload.kind, labels, annotations, signal, comm: commOf(reading) },
    config,
  )
  return {
    id,
    node,
    crash,
    config,
    reading,
    head,
    input,
    place,
    policy,
    describing,
    store,
    durations,
    warnings: [...notLowered, ...misunderstood],
    done,
  }
}

/** `capture = "off"`: the log is all that hears of the crash. */
function keepNothing({ crash, reading, input, place, policy, store }: Beginning, os: Os): ExitCode {
  input.close()
  store.close()
  const who = `${describeCrash(crash, commOf(reading))} in ${describePlace(place)}`
  log(os, LOG_LEVEL.notice, `${who}: nothing kept, as ${policy.from.capture} says`)
  return EXIT.ok
}

async function keep(beginning: Beginning, deps: HandleDeps): Promise<ExitCode> {
  const { id, crash, config, reading, head, input, place, describing, store, done } = beginning
  const zstd = deps.zstd(config.capture.zstd)
  const admission = await admitCore(beginning, deps.os)
  if (admission.refusal) input.close()
  done('admitted')

  const prefix = crashPrefix({ namespace: place.namespace, pod: place.pod, id })
  deps.os.dropCodePages()
  const level = config.capture.zstdLevel
  const kitCompressor = () => zstd.compressor(level, 'one')
  const storing = storeKit({ reading, crash, describing, config, kitCompressor }, store, prefix)
  const stored = await storeAdmitted(admission, head, {
    input,
    store,
    key: coreKey(prefix),
    compressor: zstd.compressor(level, 'many'),
    onBodyRead: () => done('bodyRead'),
  })
  const kit = await storing
  done('stored')

  const record: CrashRecord = {
    ...beginning,
    workload: (await describing).workload,
    head: head.scan.state === 'core' ? head.scan.head : undefined,
    core: stored.core,
    refusal: stored.refusal,
    kitBytes: kit.bytes,
    warnings: [...beginning.warnings, ...admission.warnings, ...kit.warnings],
    version: deps.version,
  }
  const unindexed = await commit(record, store, prefix)
  store.close()
  return report(deps.os, record, unindexed)
}

interface Refusal {
  readonly reason: RefusalReason
  readonly text: string
}
type Admitted = ({ readonly refusal: Refusal } | { readonly refusal: undefined; readonly slot: Slot }) & {
  readonly warnings: readonly string[]
}

async function admitCore({ head, crash, place, policy, config }: Beginning, os: Os): Promise<Admitted> {
  const { scan } = head
  if (scan.state === 'refused') return { refusal: { reason: scan.reason, text: scan.detail }, warnings: [] }
  try {
    const { bytesExpected } = scan.head
    const admission = await admit({ bytesExpected, crash, place, policy, config, os })
    const { warnings } = admission
    return admission.verdict === 'full'
      ? { refusal: undefined, slot: admission.slot, warnings }
      : { refusal: admission, warnings }
  } catch (error) {
    // Without slots nothing bounds the node's load: the record is kept, the core is not.
    return { refusal: { reason: 'slots', text: (error as Error).message }, warnings: [] }
  }
}

type Target = Omit<Parameters<typeof storeCore>[0], 'head' | 'begun'>

/** The core, where it was admitted and the store takes it; else the reason. */
async function storeAdmitted(
  admitted: Admitted,
  { scan, bytes }: HeadReading,
  target: Target,
): Promise<{ core: ManifestCore | null; refusal: Refusal | undefined }> {
  if (admitted.refusal || scan.state === 'refused') return { core: null, refusal: admitted.refusal }
  try {
    return { core: await storeCore({ ...target, head: scan.head, begun: bytes }), refusal: undefined }
  } catch (error) {
    return { core: null, refusal: refusalOf(error) }
  } finally {
    admitted.slot.release()
  }
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof CoreliftError) return { reason: 'store', text: `${error.message} [${error.code}]` }
  return { reason: 'failed', text: String(error) }
}

/**
 * The manifest makes the crash exist, the index entry makes it found by time.
 * @returns Why it is not in the index, where that failed: it is found by its pod all the same.
 */
async function commit(record: CrashRecord, store: Store, prefix: string): Promise<string | undefined> {
  await store.put(manifestKey(prefix), encodeManifest(manifestOf(record)), 'application/json')
  const index = indexKey({
    id: record.id,
    ...record.place,
    signal: record.crash.signal,
    comm: commOf(record.reading),
    outcome: record.core === null ? 'record' : record.core.complete ? 'full' : 'incomplete',
  })
  try {
    await store.put(index, new Uint8Array(0))
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

const cgroupOf = (reading: ProcessReading): Uint8Array =>
  (reading.state === 'read' ? reading.process.files.cgroup : undefined) ?? new Uint8Array(0)
