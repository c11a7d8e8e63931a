// `corelift handle`: the kernel's entry. From the arguments to the manifest, once per crash; whatever goes wrong, a
// line in the kernel log says which crash it was and what became of it.
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { admit } from '../budget/admission.ts'
import type { Slot } from '../budget/slots.ts'
import type { Config } from '../config/table.ts'
import type { CrashFacts, RefusalReason } from '../crash.ts'
import { CoreliftError, EXIT, type ExitCode } from '../errors.ts'
import { journalSend } from '../kernel/journal.ts'
import { parseSpecifiers } from '../kernel/core-pattern.ts'
import { kernelLog, LOG_LEVEL, type LogLevel } from '../kernel/kmsg.ts'
import { type ProcessReading, readProcess } from '../kernel/procfs.ts'
import type { Os } from '../os/os.ts'
import { printable } from '../printable.ts'
import { coreKey, crashId, crashPrefix, indexKey, kitKey, manifestKey } from '../store/keys.ts'
import { encodeManifest, type ManifestCore } from '../store/manifest.ts'
import type { Store } from '../store/store.ts'
import { placeOf } from '../workload/place.ts'
import { resolveWorkload } from '../workload/resolve.ts'
import type { Zstd } from '../zstd/codec.ts'
import { CoreInput, type HeadReading } from './input.ts'
import { packKit } from './kit.ts'
import { lowerPriority } from './priority.ts'
import { commOf, type CrashRecord, describeCrash, logLine, manifestOf } from './record.ts'
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

/**
 * Takes one crash.
 * @param args - `[--config FILE]` and the specifiers of CORE_PATTERN.
 * @returns The exit code; nothing is thrown.
 */
export async function handle(args: readonly string[], deps: HandleDeps): Promise<ExitCode> {
  let crash: CrashFacts | undefined
  try {
    const call = parseCall(args)
    crash = call.crash
    return await capture(crash, deps.loadConfig(call.configFile), deps)
  } catch (error) {
    return reportLoss(crash, error, deps)
  }
}

function parseCall(args: readonly string[]): { configFile: string | undefined; crash: CrashFacts } {
  if (args[0] !== '--config') return { configFile: undefined, crash: parseSpecifiers(args) }
  return { configFile: args[1], crash: parseSpecifiers(args.slice(2)) }
}

async function capture(crash: CrashFacts, config: Config, deps: HandleDeps): Promise<ExitCode> {
  const durations: Record<string, number> = {}
  const done = (step: string): void => void (durations[step] = Math.round(performance.now()))
  const id = crashId(crash.timeSeconds, Date.now() % 1000, randomBytes(5))
  const node = config.node.name ?? hostname()
  const warnings = lowerPriority(config.handler)
  const zstd = deps.zstd(config.capture.zstd)

  const reading = readProcess(crash, config.capture.environ)
  done('procRead')
  const resolving = resolveWorkload({ cgroup: cgroupOf(reading) }, config.workload)
  const input = new CoreInput(deps.os)
  const headReading = await input.readHead()
  done('headRead')
  const admission = await admitCore(headReading, crash, config, deps.os)
  if (admission.refusal) input.close()
  done('admitted')

  const workload = await resolving
  const place = placeOf(workload, node)
  const prefix = crashPrefix({ namespace: place.namespace, pod: place.pod, id })
  const store = await deps.openStore(config.store)
  deps.os.dropCodePages()
  const compressor = zstd.compressor(config.capture.zstdLevel)
  const kitBytes = reading.state === 'read' ? await packKit(reading.process, crash, compressor) : undefined
  const storing = storeKit(kitBytes, store, prefix)
  const stored = await storeAdmitted(admission, headReading, {
    input,
    store,
    key: coreKey(prefix),
    compressor,
    onBodyRead: () => done('bodyRead'),
  })
  const kit = await storing
  done('stored')

  const record: CrashRecord = {
    id,
    node,
    crash,
    reading,
    workload,
    place,
    head: headReading.scan.state === 'core' ? headReading.scan.head : undefined,
    core: stored.core,
    refusal: stored.refusal,
    kitBytes: kit.bytes,
    durations,
    warnings: [...warnings, ...kit.warnings],
    version: deps.version,
  }
  const unindexed = await commit(record, store, prefix)
  store.close()
  return report(record, unindexed, deps)
}

interface Refusal {
  readonly reason: RefusalReason
  readonly text: string
}
type Admitted = { readonly refusal: Refusal } | { readonly refusal: undefined; readonly slot: Slot }

async function admitCore(
  { scan }: HeadReading,
  crash: CrashFacts,
  config: Config,
  os: Os,
): Promise<Admitted> {
  if (scan.state === 'refused') return { refusal: { reason: scan.reason, text: scan.detail } }
  try {
    const admission = await admit({ bytesExpected: scan.head.bytesExpected, crash, config, os })
    return admission.verdict === 'full'
      ? { refusal: undefined, slot: admission.slot }
      : { refusal: admission }
  } catch (error) {
    // Without slots nothing bounds the node's load: the record is kept, the core is not.
    return { refusal: { reason: 'slots', text: (error as Error).message } }
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

/** Beside the core's upload; a kit that does not arrive is a warning in the manifest. */
async function storeKit(
  kit: Uint8Array | undefined,
  store: Store,
  prefix: string,
): Promise<{ bytes: number | undefined; warnings: string[] }> {
  try {
    if (kit) await store.put(kitKey(prefix), kit, 'application/zstd')
    return { bytes: kit?.length, warnings: [] }
  } catch (error) {
    return { bytes: undefined, warnings: [`no kit: ${(error as Error).message}`] }
  }
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

function report(record: CrashRecord, unindexed: string | undefined, deps: HandleDeps): ExitCode {
  const { level, line } = logLine(record)
  const missing = unindexed === undefined ? '' : `, found by its pod only (${printable(unindexed)})`
  log(deps.os, level, line + missing, {
    CORELIFT_ID: record.id,
    CORELIFT_NAMESPACE: record.place.namespace,
    CORELIFT_POD: record.place.pod,
    CORELIFT_CONTAINER: record.place.container,
  })
  if (record.core === null) return EXIT.recordOnly
  return record.core.complete ? EXIT.ok : EXIT.incomplete
}

/** The last resort: the crash left nothing in the store, or not all of it. */
function reportLoss(crash: CrashFacts | undefined, error: unknown, deps: HandleDeps): ExitCode {
  const known = error instanceof CoreliftError
  const why = known ? `${error.message} [${error.code}]` : `unexpected: ${String(error)}`
  const who = crash ? describeCrash(crash, commOf(readProcess(crash, []))) : 'a crash'
  const line = `${who} lost: ${why.replaceAll('\n', '; ')}`
  log(deps.os, LOG_LEVEL.error, line)
  process.stderr.write(`corelift: ${line}\n${known && error.hint ? `  hint: ${error.hint}\n` : ''}`)
  return known ? error.exitCode : EXIT.failure
}

function log(os: Os, level: LogLevel, line: string, fields: Record<string, string> = {}): void {
  kernelLog(level, line)
  journalSend(os, { MESSAGE: line, PRIORITY: level, SYSLOG_IDENTIFIER: 'corelift', ...fields })
}

const cgroupOf = (reading: ProcessReading): Uint8Array =>
  (reading.state === 'read' ? reading.process.files.cgroup : undefined) ?? new Uint8Array(0)
