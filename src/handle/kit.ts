// The kit: what /proc said of the crashed process and the end of its container's log, as a tar that any tool opens.
// docs/format.md lists its entries.
import { pack } from 'tar-stream'
import type { Config } from '../config/table.ts'
import type { CrashFacts, Workload } from '../crash.ts'
import type { ProcessFacts, ProcessReading } from '../kernel/procfs.ts'
import { kitKey } from '../store/keys.ts'
import type { Store } from '../store/store.ts'
import { readLogTail } from '../workload/log-tail.ts'
import type { Resolved } from '../workload/resolve.ts'
import type { FrameCompressor } from '../zstd/codec.ts'
import { SeekableWriter } from '../zstd/seekable-writer.ts'

export interface KitOptions {
  readonly reading: ProcessReading
  readonly crash: CrashFacts
  /** Tells where the container's log is. */
  readonly describing: Promise<Resolved>
  readonly config: Pick<Config, 'capture'>
  /** Called once there is something to compress. */
  readonly kitCompressor: () => FrameCompressor
}

/**
 * Packs and stores the kit, beside the core's upload.
 * @returns Its stored size. A kit that does not arrive, and a log that cannot be read, are warnings in the manifest.
 */
export async function storeKit(
  { reading, crash, describing, config, kitCompressor }: KitOptions,
  store: Store,
  prefix: string,
): Promise<{ bytes: number | undefined; warnings: readonly string[] }> {
  if (reading.state !== 'read') return { bytes: undefined, warnings: [] }
  const log = await readLog((await describing).workload, config.capture.logLines)
  try {
    const kit = await packKit(reading.process, log.bytes, crash, kitCompressor())
    await store.put(kitKey(prefix), kit, 'application/zstd')
    return { bytes: kit.length, warnings: log.warnings }
  } catch (error) {
    return { bytes: undefined, warnings: [...log.warnings, `no kit: ${(error as Error).message}`] }
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

/**
 * Packs the kit.
 * @param log - The end of the container's log, as its runtime writes it.
 * @returns A zstd-compressed tar, a few kilobytes, at most a few megabytes with 70,000 mappings.
 */
async function packKit(
  process: ProcessFacts,
  log: Uint8Array | undefined,
  { timeSeconds }: Pick<CrashFacts, 'timeSeconds'>,
  compressor: FrameCompressor,
): Promise<Uint8Array> {
  const tar = pack()
  const mtime = new Date(timeSeconds * 1000)
  for (const [name, content] of kitEntries(process, log))
    tar.entry({ name, mode: 0o600, mtime }, Buffer.from(content.buffer, content.byteOffset, content.length))
  tar.finalize()
  const chunks: Uint8Array[] = []
  const writer = new SeekableWriter(compressor, bytes => void chunks.push(bytes.slice()))
  for await (const chunk of tar as AsyncIterable<Uint8Array>) await writer.write(chunk)
  await writer.finish()
  return Buffer.concat(chunks)
}

function* kitEntries(
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
