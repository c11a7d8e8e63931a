// The path of a crash: what may be kept of it is decided, the kit goes into the store and the core after it, the manifest
// last.
import { admit, type Admission } from '../budget/admission.ts'
import type { Config } from '../config/table.ts'
import { planCore } from '../core/plan.ts'
import type { CrashFacts, Outcome, RefusalReason } from '../crash.ts'
import { CoreliftError, EXIT, type ExitCode } from '../errors.ts'
import { LOG_LEVEL } from '../kernel/kmsg.ts'
import type { Os } from '../os/os.ts'
import type { ManifestCore, ManifestMini } from '../store/manifest.ts'
import { begin, type Beginning, type HandleDeps } from './begin.ts'
import { commit } from './commit.ts'
import { keptEvent, noteEvent, offEvent } from './events.ts'
import { type IdentifiedFiles, identifyFiles } from './held-files.ts'
import type { Hold } from './hold.ts'
import { finishKit, Kit, type KitOutcome } from './kit.ts'
import { readSmallerMini } from './mini.ts'
import { Outlets } from './outlets.ts'
import { commOf, type CrashRecord, describeCrash, describePlace } from './record.ts'
import { log, report } from './report.ts'
import { sendFiles } from './send-files.ts'
import { describeStacks } from './stacks.ts'
import { type CoreSource, kernelsCore, storeCore, trimmedCore } from './stream.ts'

/**
 * Takes one crash, from the reading of /proc to the manifest.
 * @throws CoreliftError for whatever leaves the crash without a manifest.
 */
export async function capture(crash: CrashFacts, config: Config, deps: HandleDeps): Promise<ExitCode> {
  const beginning = await begin(crash, config, deps)
  if (beginning.policy.capture === 'off') return keepNothing(beginning, deps.os)
  if (!isForFormerHandler(beginning)) return await keep(beginning, deps)
  const outlets = new Outlets(beginning, deps.os, deps.version)
  await outlets.noted
  const { chain } = await import('./chain.ts')
  return await keep(await chain(beginning, deps.os), deps, outlets)
}

/** Nothing of a container's ever goes to a program of the host's. */
function isForFormerHandler({ config, named }: Beginning): boolean {
  return config.node.chainHostProcesses && named.kind === 'host'
}

/** `capture = "off"`: the log is all that hears of the crash. */
function keepNothing(beginning: Beginning, os: Os): ExitCode {
  const { crash, config, reading, place, policy, store, hold } = beginning
  hold.release()
  store.close()
  const who = `${describeCrash(crash, commOf(reading))} in ${describePlace(place)}`
  log(os, LOG_LEVEL.notice, `${who}: nothing kept, as ${policy.from.capture} says`)
  noteEvent(config, offEvent(beginning))
  return EXIT.ok
}

/** @param noted - Where notes of the crash have been taken already. */
async function keep(beginning: Beginning, deps: HandleDeps, noted?: Outlets): Promise<ExitCode> {
  const { config, describing, done, hold, store } = beginning
  const admission = await admitCore(beginning, deps.os)
  const packed = beginning.isSpent ? undefined : await kitWithin(beginning, admission)
  const source = sourceOf(beginning, admission)
  if (source === undefined) hold.release()
  done('admitted')

  const outlets = noted ?? new Outlets(beginning, deps.os, deps.version)
  if (source) deps.os.dropUnused()
  else outlets.patience.processGone()
  const storing = storeKit(beginning, packed, outlets)
  const streamed = await storeSource(beginning, admission, source, outlets, storing)
  const stored = await storing
  done('stored')

  const files = await describeFiles(beginning)
  const { journal, keys } = outlets
  const record: CrashRecord = {
    ...beginning,
    workload: (await describing).workload,
    outcome: outcomeOf(admission, streamed.core, stored.mini),
    core: streamed.core,
    mini: stored.mini,
    reduction: streamed.reduction,
    kit: stored.kit,
    stacks: describeStacks(beginning.examination, beginning.held),
    files: files?.listed,
    warnings: [...beginning.warnings, ...admission.warnings, ...stored.warnings, ...journal.warnings],
    version: deps.version,
  }
  const committed = await commit(record, beginning, outlets)
  const code = report(deps.os, record, { committed, keys, storeUrl: config.store.url ?? '' }, beginning)
  noteEvent(config, keptEvent(record, committed, hold))
  // Without memory there is nothing to open in a debugger.
  const wanted = record.outcome === 'record' ? [] : (files?.stored ?? [])
  await sendFiles(wanted, beginning, deps, committed.state !== 'spooled')
  store.close()
  return code
}

/** Of a storm's crashes, of which nothing but a record is left, no files are told. */
async function describeFiles({ held, config, isSpent }: Beginning): Promise<IdentifiedFiles | undefined> {
  if (held === undefined || isSpent) return undefined
  const { enabled, fileBytesMax } = config.binaries
  return await identifyFiles(held, enabled ? fileBytesMax : undefined)
}

type PackedKit = Awaited<ReturnType<typeof kitWithin>>

/** The kit, once the first note is there; no part of the core goes into the store before a note says that the kit is. */
async function storeKit(
  { reading, config, done, describing }: Beginning,
  packed: PackedKit | undefined,
  outlets: Outlets,
): Promise<KitOutcome & { readonly mini: ManifestMini | null }> {
  if (packed === undefined) return { kit: null, mini: null, warnings: [] }
  const workload = describing.then(resolved => resolved.workload)
  const target = { store: outlets.store.after(outlets.noted), key: outlets.keys.kit }
  const stored = await finishKit(packed.kit, reading, workload, config.capture.logLines, target)
  done('kitStored')
  const mini = stored.kit === null ? null : (packed.mini ?? null)
  await outlets.noteKit(stored.kit, mini)
  return { ...stored, mini }
}

/** Why a crash has less than its full core. */
interface Reduction {
  readonly reason: RefusalReason
  readonly text: string
}

async function admitCore(beginning: Beginning, os: Os): Promise<Admission> {
  const { crash, head, place, policy, signature, config, chained } = beginning
  if (chained?.state === 'taken')
    return { rung: 'record', reason: 'chained', text: chained.text, warnings: [] }
  if (head.scan.state === 'refused')
    return { rung: 'record', reason: head.scan.reason, text: head.scan.detail, warnings: [] }
  const { bytesExpected } = head.scan.head
  const ceiling = chained && ({ rung: 'mini', reason: 'chain-failed', text: chained.text } as const)
  return await admit({ bytesExpected, crash, place, policy, signature, config, os, ceiling })
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
  outlets: Outlets,
  kit: Promise<unknown>,
): Promise<{ core: ManifestCore | null; reduction: Reduction | undefined }> {
  const { head, zstd, config, hold, done } = beginning
  const { patience, keys } = outlets
  const reduction = admission.rung === 'full' ? undefined : admission
  let bytesKept = 0
  try {
    if (source === undefined || head.scan.state !== 'core') return { core: null, reduction }
    const compressor = zstd().compressor(config.capture.zstdLevel, 'many')
    const onRead = () => {
      hold.release()
      patience.processGone()
      done('bodyRead')
    }
    const target = { store: outlets.store.after(kit), key: keys.core, onRead }
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
