// The path of a crash: what may be kept of it is decided, the kit goes into the store and the core after it, the manifest
// last.
import { admit, type Admission } from '../budget/admission.ts'
import type { Config } from '../config/table.ts'
import { planCore } from '../core/plan.ts'
import type { CrashFacts, Outcome, RefusalReason, Workload } from '../crash.ts'
import { CoreliftError, EXIT, type ExitCode } from '../errors.ts'
import { LOG_LEVEL } from '../kernel/kmsg.ts'
import type { Os } from '../os/os.ts'
import { coreKey, crashPrefix, indexKey, kitKey, manifestKey } from '../store/keys.ts'
import { encodeManifest, type ManifestCore, type ManifestMini } from '../store/manifest.ts'
import type { ObjectStore } from '../store/multipart.ts'
import type { Store } from '../store/store.ts'
import { begin, type Beginning, type HandleDeps } from './begin.ts'
import { finishKit, Kit, type KitOutcome } from './kit.ts'
import { readSmallerMini } from './mini.ts'
import { commOf, type CrashRecord, describeCrash, describePlace, manifestOf } from './record.ts'
import { log, report } from './report.ts'
import { describeStacks } from './stacks.ts'
import { type CoreSource, kernelsCore, storeAfter, storeCore, trimmedCore } from './stream.ts'

/**
 * Takes one crash, from the reading of /proc to the manifest.
 * @throws CoreliftError for whatever leaves the crash without a manifest.
 */
export async function capture(crash: CrashFacts, config: Config, deps: HandleDeps): Promise<ExitCode> {
  const beginning = await begin(crash, config, deps)
  if (beginning.policy.capture === 'off') return keepNothing(beginning, deps.os)
  return await keep(beginning, deps)
}

/** `capture = "off"`: the log is all that hears of the crash. */
function keepNothing(beginning: Beginning, os: Os): ExitCode {
  const { crash, reading, place, policy, store } = beginning
  release(beginning)
  store.close()
  const who = `${describeCrash(crash, commOf(reading))} in ${describePlace(place)}`
  log(os, LOG_LEVEL.notice, `${who}: nothing kept, as ${policy.from.capture} says`)
  return EXIT.ok
}

/** Lets the process go. */
function release({ input, examination }: Beginning): void {
  input.close()
  examination?.memory.close()
}

async function keep(beginning: Beginning, deps: HandleDeps): Promise<ExitCode> {
  const { id, place, describing, store, done } = beginning
  const admission = await admitCore(beginning, deps.os)
  const packed = beginning.isSpent ? undefined : await kitWithin(beginning, admission)
  const source = sourceOf(beginning, admission)
  if (source === undefined) release(beginning)
  done('admitted')

  const prefix = crashPrefix({ namespace: place.namespace, pod: place.pod, id })
  if (source) deps.os.dropUnused()
  const workload = describing.then(resolved => resolved.workload)
  const storing = storeKit(beginning, packed?.kit, workload, kitKey(prefix))
  const streamed = await storeSource(
    beginning,
    admission,
    source,
    storeAfter(store, storing),
    coreKey(prefix),
  )
  const stored = await storing
  done('stored')

  const keptMini = stored.kit === null ? null : (packed?.mini ?? null)
  const record: CrashRecord = {
    ...beginning,
    workload: await workload,
    outcome: outcomeOf(admission, streamed.core, keptMini),
    core: streamed.core,
    mini: keptMini,
    reduction: streamed.reduction,
    kit: stored.kit,
    stacks: describeStacks(beginning.examination),
    warnings: [...beginning.warnings, ...admission.warnings, ...stored.warnings],
    version: deps.version,
  }
  const unindexed = await commit(record, store, prefix)
  store.close()
  return report(deps.os, record, unindexed)
}

async function storeKit(
  { reading, config, store, done }: Beginning,
  kit: Kit | undefined,
  workload: Promise<Workload>,
  key: string,
): Promise<KitOutcome> {
  if (kit === undefined) return { kit: null, warnings: [] }
  const outcome = await finishKit(kit, reading, workload, config.capture.logLines, { store, key })
  done('kitStored')
  return outcome
}

/** Why a crash has less than its full core. */
interface Reduction {
  readonly reason: RefusalReason
  readonly text: string
}

async function admitCore(beginning: Beginning, os: Os): Promise<Admission> {
  const { crash, head, place, policy, signature, config } = beginning
  if (head.scan.state === 'refused')
    return { rung: 'record', reason: head.scan.reason, text: head.scan.detail, warnings: [] }
  const { bytesExpected } = head.scan.head
  return await admit({ bytesExpected, crash, place, policy, signature, config, os })
}

/** The kit with the mini core, where that may be kept as it was read; else one with a smaller one, or none. */
async function kitWithin(
  { crash, config, zstd, head: { scan }, examination, mini }: Beginning,
  admission: Admission,
): Promise<{ kit: Kit; mini?: ManifestMini }> {
  const compressor = () => zstd().compressor(config.capture.zstdLevel, 'one')
  const nothing = () => ({ kit: new Kit(crash, compressor()) })
  if (mini === undefined || admission.rung === 'record') return nothing()
  const { miniBytesMax } = admission
  if (mini.mini.bytes <= miniBytesMax) return mini
  if (examination === undefined || scan.state !== 'core') return nothing()
  const options = { crash, head: scan.head, examination, limits: config.mini, compressor }
  return (await readSmallerMini(miniBytesMax, options)) ?? nothing()
}

/** @returns undefined where no core is to be stored beside the kit. */
function sourceOf({ head, input, examination }: Beginning, admission: Admission): CoreSource | undefined {
  if (head.scan.state !== 'core') return undefined
  if (admission.rung === 'full') return kernelsCore(input, head.scan.head, head)
  if (admission.rung !== 'trimmed' || examination === undefined) return undefined
  const { memory, files } = examination
  const { bytesMax } = admission
  return trimmedCore(planCore({ kind: 'trimmed', head: head.scan.head, memory, files, bytesMax }), memory)
}

/** The core, where it was admitted and the store takes it; else the reason. */
async function storeSource(
  beginning: Beginning,
  admission: Admission,
  source: CoreSource | undefined,
  store: ObjectStore,
  key: string,
): Promise<{ core: ManifestCore | null; reduction: Reduction | undefined }> {
  const { head, zstd, config, done } = beginning
  const reduction = admission.rung === 'full' ? undefined : admission
  let bytesKept = 0
  try {
    if (source === undefined || head.scan.state !== 'core') return { core: null, reduction }
    const compressor = zstd().compressor(config.capture.zstdLevel, 'many')
    const onRead = () => {
      release(beginning)
      done('bodyRead')
    }
    const core = await storeCore({ source, head: head.scan.head, store, key, compressor, onRead })
    bytesKept = core.bytesReceived
    return { core, reduction }
  } catch (error) {
    return { core: null, reduction: failureOf(error) }
  } finally {
    if (admission.rung === 'full' || admission.rung === 'trimmed') {
      admission.slot.release()
      await admission.settle(bytesKept)
    }
  }
}

function failureOf(error: unknown): Reduction {
  if (error instanceof CoreliftError) return { reason: 'store', text: `${error.message} [${error.code}]` }
  return { reason: 'failed', text: String(error) }
}

function outcomeOf({ rung }: Admission, core: ManifestCore | null, mini: ManifestMini | null): Outcome {
  if (core !== null) return rung
  return mini === null ? 'record' : 'mini'
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
    outcome: record.core?.complete === false ? 'incomplete' : record.outcome,
  })
  try {
    await store.put(index, new Uint8Array(0))
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}
