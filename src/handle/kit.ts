// The kit: the mini core, what /proc said of the crashed process and the end of its container's log, as a tar that any
// tool opens. docs/format.md lists its entries. It grows in memory, compressed, and is stored before the core is: what
// is in it survives a handler that is killed while it streams.
import { createHash } from 'node:crypto'
import { coreChunks } from '../core/core-writer.ts'
import type { Memory } from '../core/memory.ts'
import type { CorePlan } from '../core/plan.ts'
import type { CrashFacts, Workload } from '../crash.ts'
import type { ProcessFacts, ProcessReading } from '../kernel/procfs.ts'
import { MINI_ENTRY, TarWriter } from '../kit/tar.ts'
import type { ManifestKit, ManifestMini } from '../store/manifest.ts'
import type { Store } from '../store/store.ts'
import { readLogTail } from '../workload/log-tail.ts'
import type { FrameCompressor } from '../zstd/codec.ts'
import { SeekableWriter } from '../zstd/seekable-writer.ts'

/** The kit of one crash: entries are added one after the other, then it is stored. */
export class Kit {
  readonly #chunks: Uint8Array[] = []
  readonly #seekable: SeekableWriter
  readonly #tar: TarWriter

  constructor({ timeSeconds }: Pick<CrashFacts, 'timeSeconds'>, compressor: FrameCompressor) {
    this.#seekable = new SeekableWriter(compressor, bytes => void this.#chunks.push(bytes.slice()))
    this.#tar = new TarWriter(new Date(timeSeconds * 1000), bytes => this.#seekable.write(bytes))
  }

  /** Reads the mini core from the process, which may be let go afterwards. */
  async addMini(plan: CorePlan, memory: Memory): Promise<ManifestMini> {
    const reading = countedChunks(plan, memory)
    await this.#tar.add(MINI_ENTRY, plan.bytes, reading.chunks)
    const { bytes, bytesDropped } = plan
    return { entry: MINI_ENTRY, bytes, bytesDropped, bytesUnreadable: reading.bytesUnreadable }
  }

  /** @param log - The end of the container's log, as its runtime writes it. */
  async addFacts(process: ProcessFacts, log: Uint8Array | undefined): Promise<void> {
    for (const [name, content] of factEntries(process, log))
      await this.#tar.add(name, content.length, content.length > 0 ? [content] : [])
  }

  /** Stores it; nothing can be added then. */
  async store(store: Pick<Store, 'put'>, key: string): Promise<ManifestKit> {
    await this.#tar.finish()
    await this.#seekable.finish()
    const object = Buffer.concat(this.#chunks)
    await store.put(key, object, { contentType: 'application/zstd' })
    const sha256Stored = createHash('sha256').update(object).digest('hex')
    return { key: 'kit.tar.zst', bytes: object.length, sha256Stored }
  }
}

/** A core's chunks, and what their generator says at its end. */
export interface CountedChunks {
  readonly chunks: Iterable<Uint8Array>
  /** So far. */
  bytesUnreadable: number
}

export function countedChunks(plan: CorePlan, memory: Memory): CountedChunks {
  const counted = { chunks: read(), bytesUnreadable: 0 }
  function* read(): Generator<Uint8Array> {
    const { bytesUnreadable } = yield* coreChunks(plan, memory)
    counted.bytesUnreadable = bytesUnreadable
  }
  return counted
}

/** What became of a kit. */
export interface KitOutcome {
  readonly kit: ManifestKit | null
  readonly warnings: readonly string[]
}

/**
 * Adds what is known of the process and stores the kit.
 * @param log - Tells where the container's log is.
 * @returns null, and why, where the store did not take it; a log that cannot be read is a warning as well.
 */
export async function finishKit(
  kit: Kit,
  reading: ProcessReading,
  workload: Promise<Workload>,
  linesMax: number,
  target: { readonly store: Pick<Store, 'put'>; readonly key: string },
): Promise<KitOutcome> {
  const log = await readLog(await workload, linesMax)
  try {
    if (reading.state === 'read') await kit.addFacts(reading.process, log.bytes)
    return { kit: await kit.store(target.store, target.key), warnings: log.warnings }
  } catch (error) {
    return { kit: null, warnings: [...log.warnings, `no kit: ${(error as Error).message}`] }
  }
}

async function readLog(
  workload: Workload,
  linesMax: number,
): Promise<{ bytes?: Uint8Array; warnings: string[] }> {
  const path = 'logPath' in workload ? workload.logPath : undefined
  if (path === undefined || linesMax === 0) return { warnings: [] }
  const tail = await readLogTail(path, linesMax)
  return tail.state === 'read'
    ? { bytes: tail.bytes, warnings: [] }
    : { warnings: [`no log in the kit: ${tail.detail}`] }
}

function* factEntries(
  process: ProcessFacts,
  log: Uint8Array | undefined,
): Generator<[name: string, content: Uint8Array]> {
  for (const [name, content] of Object.entries(process.files)) yield [`proc/${name}`, content]
  for (const [name, target] of Object.entries(process.links)) yield [`proc/${name}`, target]
  if (process.threadComm) yield ['proc/thread-comm', process.threadComm]
  if (process.containerCmdline) yield ['proc/container-cmdline', process.containerCmdline]
  if (process.openFiles.length > 0) yield ['proc/open-files', openFilesText(process)]
  if (process.environ.length > 0)
    yield [
      'proc/environ',
      joinNul(process.environ.map(([name, value]) => Buffer.concat([Buffer.from(`${name}=`), value]))),
    ]
  if (log) yield ['log', log]
  if (process.cut.length > 0) yield ['cut', Buffer.from(process.cut.map(name => `${name}\n`).join(''))]
}

/** As systemd-coredump's COREDUMP_OPEN_FDS: `fd:target`, the lines of fdinfo, an empty line. */
function openFilesText(process: ProcessFacts): Uint8Array {
  return Buffer.concat(
    process.openFiles.flatMap(({ fd, target, info }) => [
      Buffer.from(`${fd}:`),
      target,
      Buffer.from('\n'),
      info,
      Buffer.from('\n'),
    ]),
  )
}

const joinNul = (parts: readonly Uint8Array[]): Uint8Array =>
  Buffer.concat(parts.flatMap(part => [part, Buffer.of(0)]))
