// The core's way from stdin into the store: compressed in frames, hashed, sent in parts; bounded memory throughout.
import { createHash } from 'node:crypto'
import type { CoreHead } from '../core/head.ts'
import { MultipartWriter } from '../store/multipart.ts'
import type { ManifestCore } from '../store/manifest.ts'
import type { Store } from '../store/store.ts'
import type { FrameCompressor } from '../zstd/codec.ts'
import { SeekableWriter } from '../zstd/seekable-writer.ts'
import type { CoreInput } from './input.ts'

export interface StreamOptions {
  readonly input: CoreInput
  readonly head: CoreHead
  /** What of the core was read already. */
  readonly begun: Uint8Array
  readonly store: Store
  readonly key: string
  readonly compressor: FrameCompressor
  /** Called when the last byte was read and the crashed process let go. */
  readonly onBodyRead: () => void
}

/**
 * Stores the core as it comes. An early end is no error: the kernel ends the stream when the process is killed.
 * @returns What the manifest says of it.
 * @throws CoreliftError `E_STORE_…` when the store does not take it; nothing of it is left there then.
 */
export async function storeCore(options: StreamOptions): Promise<ManifestCore> {
  const { input, head, compressor } = options
  const sha256 = createHash('sha256')
  const object = new MultipartWriter(options.store, options.key, 'application/zstd')
  const seekable = new SeekableWriter(compressor, bytes => {
    sha256.update(bytes)
    return object.write(bytes)
  })
  let bytesReceived = 0
  try {
    for (let chunk = options.begun; chunk.length > 0; chunk = await input.read()) {
      bytesReceived += chunk.length
      await seekable.write(chunk)
    }
    input.close()
    options.onBodyRead()
    const frames = await seekable.finish()
    const { bytes: bytesStored } = await object.finish()
    return {
      key: 'core.zst',
      complete: bytesReceived >= head.bytesExpected,
      bytesExpected: head.bytesExpected,
      bytesReceived,
      bytesStored,
      sha256Stored: sha256.digest('hex'),
      codec: compressor.codec,
      frames,
      frameBytes: compressor.frameBytes,
      segments: head.segments,
      threads: head.threads,
      machine: head.machine.name,
    }
  } catch (error) {
    input.close()
    await object.abort().catch(() => undefined) // the first failure is the one to report
    throw error
  }
}
