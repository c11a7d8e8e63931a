// A stream of bytes into a seekable zstd file: cuts frames, keeps their sizes, ends with the seek table.
import type { FrameCompressor, Sink } from './codec.ts'
import { encodeSeekTable, type Frame } from './seekable.ts'

export class SeekableWriter {
  readonly #compressor: FrameCompressor
  readonly #sink: Sink
  readonly #frames: Frame[] = []
  #frameBytes = 0
  #frameStoredBytes = 0

  /** @param sink - Receives the file in order. */
  constructor(compressor: FrameCompressor, sink: Sink) {
    this.#compressor = compressor
    this.#sink = bytes => {
      this.#frameStoredBytes += bytes.length
      return sink(bytes)
    }
  }

  /** `input` may be reused once the promise is fulfilled. */
  async write(input: Uint8Array): Promise<void> {
    for (let rest = input; rest.length > 0;) {
      const taken = rest.subarray(0, this.#compressor.frameBytes - this.#frameBytes)
      await this.#compressor.write(taken, this.#sink)
      this.#frameBytes += taken.length
      if (this.#frameBytes === this.#compressor.frameBytes) await this.#endFrame()
      rest = rest.subarray(taken.length)
    }
  }

  /** Ends the last frame and writes the seek table. @returns The number of frames. */
  async finish(): Promise<number> {
    if (this.#frameBytes > 0) await this.#endFrame()
    await this.#sink(encodeSeekTable(this.#frames))
    return this.#frames.length
  }

  async #endFrame(): Promise<void> {
    await this.#compressor.end(this.#sink)
    this.#frames.push({ storedBytes: this.#frameStoredBytes, bytes: this.#frameBytes })
    this.#frameBytes = 0
    this.#frameStoredBytes = 0
  }
}
