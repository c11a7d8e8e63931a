// The path of a crash: what may be kept of it is decided, the kit goes into the store and the core after it, the manifest
// last.
import { admit, type Admission } from '../budget/admission.ts'
import type { Config } from '../config/table.ts'
import { planCore } from '../core/plan.ts'
import type { CrashFacts, Outcome, RefusalReason, Workload } from '../crash.ts'
import { CoreliftError, EXIT, type ExitCode } from '../errors.ts'
import { LOG_LEVEL } from '../kernel/kmsg.ts'
import type { Os } from '../os/os.ts'
import { crashKeys, crashPrefix } from '../store/keys.ts'
import type { ManifestCore, ManifestMini } from '../store/manifest.ts'
import type { ObjectStore } from '../store/multipart.ts'
import { begin, type Beginning, type HandleDeps } from './begin.ts'
import { commit } from './commit.ts'
import type { Hold } from './hold.ts'
import { Journal } from './journal.ts'
import { finishKit, Kit, type KitOutcome } from './kit.ts'
import { readSmallerMini } from './mini.ts'
import { draftRecord, noteOf } from './notes.ts'
import { commOf, type CrashRecord, describeCrash, describePlace } from './record.ts'
import { log, report } from './report.ts'
import { Patience, SpillingStore } from './spill.ts'
import { describeStacks } from './stacks.ts'
import { type CoreSource, kernelsCore, storeCore, type StreamOptions, trimmedCore } from './stream.ts'

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
  const { crash, reading, place, policy, store, hold } = beginning
  hold.release()
  store.close()
  const who = `${describeCrash(crash, commOf(reading))} in ${describePlace(place)}`
  log(os, LOG_LEVEL.notice, `${who}: nothing kept, as ${policy.from.capture} says`)
  return EXIT.ok
}

async function keep(beginning: Beginning, deps: HandleDeps): Promise<ExitCode> {
  const { id, place, describing, config, hold, done } = beginning
  const admission = await admitCore(beginning, deps.os)
  const packed = beginning.isSpent ? undefined : await kitWithin(beginning, admission)
  const source = sourceOf(beginning, admission)
  if (source === undefined) hold.release()
  done('admitted')

  const journal = new Journal(deps.os, config, id)
  const keys = crashKeys(crashPrefix({ namespace: place.namespace, pod: place.pod, id }))
  const draft = draftRecord(beginning, deps.version)
  const noted = beginning.isSpent ? undefined : journal.begin(noteOf(draft, keys, 'open', { why: KILLED }))
  const patience = new Patience(hold.whenOver)
  const spilling = new SpillingStore(beginning.store, journal, patience)

  if (source) deps.os.dropUnused()
  else patience.processGone()
  const workload = describing.then(resolved => resolved.workload)
  const storing = storeKit(beginning, packed?.kit, workload, {
    store: noted ? spilling.after(noted) : spilling,
    key: keys.kit,
  }).then(async stored => {
    const { kit } = stored
    const mini = kit === null ? null : (packed?.mini ?? null)
    const sofar: CrashRecord = { ...draft, kit, mini, outcome: mini === null ? 'record' : 'mini' }
    if (source) await journal.amend(noteOf(sofar, keys, 'open', { why: KILLED }))
    return { ...stored, mini }
  })
  const onRead = () => {
    hold.release()
    patience.processGone()
    done('bodyRead')
  }
  const target = { store: spilling.after(storing), key: keys.core, onRead }
  const streamed = await storeSource(beginning, admission, source, target)
  const stored = await storing
  done('stored')

  const record: CrashRecord = {
    ...beginning,
    workload: await workload,
    outcome: outcomeOf(admission, streamed.core, stored.mini),
    core: streamed.core,
    mini: stored.mini,
    reduction: streamed.reduction,
    kit: stored.kit,
    stacks: describeStacks(beginning.examination),
    warnings: [...beginning.warnings, ...admission.warnings, ...stored.warnings, ...journal.warnings],
    version: deps.version,
  }
  const committed = await commit({ record, keys, beginning, spilling, journal })
  beginning.store.close()
  return report(deps.os, record, committed)
}

/** Of an entry that its handler left open. */
const KILLED = 'the handler was killed'

async function storeKit(
  { reading, config, done }: Beginning,
  kit: Kit | undefined,
  workload: Promise<Workload>,
  target: { readonly store: ObjectStore; readonly key: string },
): Promise<KitOutcome> {
  if (kit === undefined) return { kit: null, warnings: [] }
  const outcome = await finishKit(kit, reading, workload, config.capture.logLines, target)
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
function sourceOf(
  { head, input, examination, hold }: Beginning,
  admission: Admission,
): CoreSource | undefined {
  if (head.scan.state !== 'core') return undefined
  if (admission.rung === 'full') return kernelsCore(input, head.scan.head, head)
  if (admission.rung !== 'trimmed' || examination === undefined) return undefined
  const { memory, files } = examination
  const { bytesMax } = admission
  return trimmedCore(
    planCore({ kind: 'trimmed', head: head.scan.head, memory, files, bytesMax }),
    memory,
    hold,
  )
}

/** The core, where it was admitted and the store takes it; else the reason. */
async function storeSource(
  beginning: Beginning,
  admission: Admission,
  source: CoreSource | undefined,
  target: Pick<StreamOptions, 'store' | 'key' | 'onRead'>,
): Promise<{ core: ManifestCore | null; reduction: Reduction | undefined }> {
  const { head, zstd, config, hold } = beginning
  const reduction = admission.rung === 'full' ? undefined : admission
  let bytesKept = 0
  try {
    if (source === undefined || head.scan.state !== 'core') return { core: null, reduction }
    const compressor = zstd().compressor(config.capture.zstdLevel, 'many')
    const core = await storeCore({ source, head: head.scan.head, compressor, ...target })
    bytesKept = core.bytesReceived
    return { core, reduction: hold.isOver && !core.complete ? tooLate(core, hold) : reduction }
  } catch (error) {
    return { core: null, reduction: failureOf(error) }
  } finally {
    if (admission.rung === 'full' || admission.rung === 'trimmed') {
      admission.slot.release()
      await admission.settle(bytesKept)
    }
  }
}

function tooLate({ bytesReceived, bytesExpected }: ManifestCore, { secondsMax }: Hold): Reduction {
  const came = `${bytesReceived} of ${bytesExpected} bytes were read by then`
  return { reason: 'deadline', text: `the process was held for hold.seconds_max = ${secondsMax} s: ${came}` }
}

function failureOf(error: unknown): Reduction {
  if (error instanceof CoreliftError) return { reason: 'store', text: `${error.message} [${error.code}]` }
  return { reason: 'failed', text: String(error) }
}

function outcomeOf({ rung }: Admission, core: ManifestCore | null, mini: ManifestMini | null): Outcome {
  if (core !== null) return rung
  return mini === null ? 'record' : 'mini'
}
