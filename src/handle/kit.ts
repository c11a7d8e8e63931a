// The kit: what /proc said of the crashed process, as a tar that any tool opens. docs/format.md lists its entries.
import { pack } from 'tar-stream'
import type { CrashFacts } from '../crash.ts'
import type { ProcessFacts } from '../kernel/procfs.ts'
import type { FrameCompressor } from '../zstd/codec.ts'
import { SeekableWriter } from '../zstd/seekable-writer.ts'

/**
 * Packs the kit.
 * @returns A zstd-compressed tar, a few kilobytes, at most a few megabytes with 70,000 mappings.
 */
export async function packKit(
  process: ProcessFacts,
  { timeSeconds }: Pick<CrashFacts, 'timeSeconds'>,
  compressor: FrameCompressor,
): Promise<Uint8Array> {
  const tar = pack()
  const mtime = new Date(timeSeconds * 1000)
  for (const [name, content] of kitEntries(process))
    tar.entry({ name, mode: 0o600, mtime }, Buffer.from(content.buffer, content.byteOffset, content.length))
  tar.finalize()
  const chunks: Uint8Array[] = []
  const writer = new SeekableWriter(compressor, bytes => void chunks.push(bytes.slice()))
  for await (const chunk of tar as AsyncIterable<Uint8Array>) await writer.write(chunk)
  await writer.finish()
  return Buffer.concat(chunks)
}

function* kitEntries(process: ProcessFacts): Generator<[name: string, content: Uint8Array]> {
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
