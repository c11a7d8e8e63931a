// A core's way into the store: compressed in frames, hashed, sent in parts; bounded memory throughout. The full core comes
// from the kernel, a trimmed one from the process's memory.
import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { CoreHead } from '../core/head.ts'
import type { Memory } from '../core/memory.ts'
import type { CorePlan } from '../core/plan.ts'
import { MAPPINGS_MAX, type ManifestCore, type ManifestTrim, manifestText } from '../store/manifest.ts'
import { MultipartWriter, type ObjectStore } from '../store/multipart.ts'
import type { FrameCompressor } from '../zstd/codec.ts'
import { SeekableWriter } from '../zstd/seekable-writer.ts'
import type { Hold } from './hold.ts'
import type { CoreInput, HeadReading } from './input.ts'
import { countedChunks } from './kit.ts'

/** Where a core comes from. */
export interface CoreSource {
  /** Its chunks, each valid until the next. */
  readonly chunks: AsyncIterable<Uint8Array>
  readonly bytesExpected: number
  /** Number of its program headers. */
  readonly segments: number
  /** Asked once all chunks were read. */
  readonly isComplete: (bytesReceived: number) => boolean
  readonly trimmed?: ManifestTrim
}

/** The core as the kernel sends it. An early end is no error: the kernel ends the stream when the process is killed. */
export function kernelsCore(input: CoreInput, head: CoreHead, { bytes }: HeadReading): CoreSource {
  return {
    chunks: chunksOf(input, bytes),
    bytesExpected: head.bytesExpected,
    segments: head.segments,
    isComplete: bytesReceived => bytesReceived >= head.bytesExpected,
  }
}

/** What was read of a core so far, and all that is still to come. */
export async function* chunksOf(input: CoreInput, begun: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let chunk = begun; chunk.length > 0; chunk = await input.read()) yield chunk
}

/** A core cut to a budget. What the process no longer had to read is zero in it. */
export function trimmedCore(plan: CorePlan, memory: Memory, hold: Pick<Hold, 'isOver'>): CoreSource {
  const reading = countedChunks(plan, memory)
  return {
    chunks: withTurns(reading.chunks, hold),
    bytesExpected: plan.bytes,
    segments: plan.runs.length + 1, // and the notes
    isComplete: bytesReceived => bytesReceived === plan.bytes && reading.bytesUnreadable === 0,
    trimmed: trimOf(plan),
  }
}

/** Sockets get a turn after each chunk, however fast memory is. Memory that was let go reads as zeros: it ends before. */
async function* withTurns(
  chunks: Iterable<Uint8Array>,
  hold: Pick<Hold, 'isOver'>,
): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    if (hold.isOver) return
    yield chunk
    await nextTurn()
  }
}

function trimOf(plan: CorePlan): ManifestTrim {
  const lacking = [...plan.mappings()]
    .map(mapping => ({ ...mapping, bytesDropped: mapping.bytesDumped - mapping.bytesKept }))
    .filter(({ bytesDropped }) => bytesDropped > 0)
    .sort((a, b) => b.bytesDropped - a.bytesDropped)
  const mappings = lacking.slice(0, MAPPINGS_MAX).map(({ start, end, bytesKept, bytesDropped, path }) => ({
    start: start.toString(16),
    end: end.toString(16),
    bytesKept,
    bytesDropped,
    ...(path && { path: manifestText(path).text }),
  }))
  return {
    bytesDropped: plan.bytesDropped,
    mappings,
    mappingsOmitted: lacking.length - mappings.length,
  }
}

export interface StreamOptions {
  readonly source: CoreSource
  readonly head: CoreHead
  readonly store: ObjectStore
  readonly key: string
  readonly compressor: FrameCompressor
  /** Called when the last byte was read: nothing more is wanted of the crashed process. */
  readonly onRead: () => void
}

/**
 * Stores a core as it comes.
 * @returns What the manifest says of it.
 * @throws CoreliftError `E_STORE_…` when the store does not take it; nothing of it is left there then.
 */
export async function storeCore(options: StreamOptions): Promise<ManifestCore> {
  const { source, head, compressor } = options
  const sha256 = createHash('sha256')
  const object = new MultipartWriter(options.store, options.key, { contentType: 'application/zstd' })
  const seekable = new SeekableWriter(compressor, bytes => {
    sha256.update(bytes)
    return object.write(bytes)
  })
  let bytesReceived = 0
  try {
    for await (const chunk of source.chunks) {
      bytesReceived += chunk.length
      await seekable.write(chunk)
    }
    options.onRead()
    const frames = await seekable.finish()
    const { bytes: bytesStored } = await object.finish()
    return {
      key: 'core.zst',
      complete: source.isComplete(bytesReceived),
      bytesExpected: source.bytesExpected,
      bytesReceived,
      bytesStored,
      sha256Stored: sha256.digest('hex'),
      codec: compressor.codec,
      frames,
      frameBytes: compressor.frameBytes,
      segments: source.segments,
      threads: head.threads,
      machine: head.machine.name,
      ...(source.trimmed && { trimmed: source.trimmed }),
    }
  } catch (error) {
    options.onRead()
    await object.abort().catch(() => undefined) // the first failure is the one to report
    throw error
  }
}
