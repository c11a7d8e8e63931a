// zstd itself, two ways with one frame format: zstd-napi's addon, and the runtime's own for a host on which the addon
// does not load. Nothing else in the program knows which it is; the manifest says so.
import type * as addonApi from 'zstd-napi/binding.js'
import * as zlib from 'node:zlib'

/** What is used of zstd-napi: its thin wrapper around zstd.h, without its streams. */
export type ZstdAddon = typeof addonApi

/**
 * Receives compressed bytes.
 * @returns Nothing when it has taken them, or a promise of that; the bytes are valid until then.
 */
export type Sink = (bytes: Uint8Array) => Promise<void> | undefined

/** Compresses one frame after the other. */
export interface FrameCompressor {
  readonly codec: 'zstd-napi' | 'runtime'
  /** Uncompressed bytes of each frame but the last of a stream. */
  readonly frameBytes: number
  /** Adds to the current frame; `input` may be reused afterwards. */
  write(input: Uint8Array, sink: Sink): Promise<void>
  /** Ends the current frame; the next write begins another. */
  end(sink: Sink): Promise<void>
}

export interface FrameDecompressor {
  /**
   * Decompresses one whole frame and checks its checksum.
   * @param bytes - Its size uncompressed.
   * @throws Error when the frame is corrupt or of another size.
   */
  frame(stored: Uint8Array, bytes: number): Uint8Array
}

export interface Zstd {
  /** @param threads - `many` for a stream of gigabytes, `one` for what is small: it takes a tenth of the memory. */
  compressor(level: number, threads: 'one' | 'many'): FrameCompressor
  decompressor(): FrameDecompressor
}

const MIB = 1024 * 1024
/** Long enough to cost no ratio (0.1 %), short enough to lose little when an upload is cut. */
const ADDON_FRAME_BYTES = 16 * MIB
/** The runtime compresses a frame in one call that needs all of it in memory, twice. */
const RUNTIME_FRAME_BYTES = 4 * MIB
/** The second has a job at hand whenever the main thread is busy with a part; a third is not faster. */
const WORKERS = 2
/** Input of one worker's job. The default, four windows, takes 6 MiB more memory for 3 % more speed. */
const JOB_BYTES = MIB
/** Output is handed on in pieces of this size; below zstd's own job size nothing is gained. */
const OUTPUT_BYTES = 256 * 1024
const NOTHING = new Uint8Array(0)

/**
 * Loads zstd-napi's addon.
 * @param path - Of the shared object; `/proc/self/fd/N` for one in memory.
 */
export function loadAddon(path: string): ZstdAddon {
  const module = { exports: {} }
  process.dlopen(module, path)
  return module.exports as ZstdAddon
}

export function addonZstd(addon: ZstdAddon): Zstd {
  return {
    compressor: (level, threads) => new AddonCompressor(addon, level, threads),
    decompressor() {
      const context = new addon.DCtx()
      return {
        frame(stored, bytes) {
          const output = new Uint8Array(bytes)
          const got = context.decompress(output, stored)
          if (got !== bytes) throw new Error(`frame of ${got} bytes where ${bytes} were expected`)
          return output
        },
      }
    },
  }
}

class AddonCompressor implements FrameCompressor {
  readonly codec = 'zstd-napi'
  readonly frameBytes = ADDON_FRAME_BYTES
  readonly #addon: ZstdAddon
  readonly #context: addonApi.CCtx
  readonly #output = new Uint8Array(OUTPUT_BYTES)

  constructor(addon: ZstdAddon, level: number, threads: 'one' | 'many') {
    this.#addon = addon
    this.#context = new addon.CCtx()
    this.#context.setParameter(addon.CParameter.compressionLevel, level)
    this.#context.setParameter(addon.CParameter.checksumFlag, 1)
    if (threads === 'one') return
    this.#context.setParameter(addon.CParameter.nbWorkers, WORKERS)
    this.#context.setParameter(addon.CParameter.jobSize, JOB_BYTES)
  }

  async write(input: Uint8Array, sink: Sink): Promise<void> {
    for (let rest = input; rest.length > 0;) {
      const [, produced, consumed] = this.#context.compressStream2(
        this.#output,
        rest,
        this.#addon.EndDirective.continue,
      )
      if (produced > 0) await sink(this.#output.subarray(0, produced))
      rest = rest.subarray(consumed)
    }
  }

  async end(sink: Sink): Promise<void> {
    for (let left = 1; left !== 0;) {
      const result = this.#context.compressStream2(this.#output, NOTHING, this.#addon.EndDirective.end)
      left = result[0]
      if (result[1] > 0) await sink(this.#output.subarray(0, result[1]))
    }
  }
}

/** The runtime's zlib, where it has zstd (Bun; Node from 22.15 on). */
export function runtimeZstd(): Zstd {
  const runtime = zlib as unknown as RuntimeZlib
  const { ZSTD_c_compressionLevel, ZSTD_c_checksumFlag } = runtime.constants
  return {
    compressor(level) {
      const frame = new Uint8Array(RUNTIME_FRAME_BYTES)
      let filled = 0
      return {
        codec: 'runtime',
        frameBytes: RUNTIME_FRAME_BYTES,
        async write(input) {
          frame.set(input, filled)
          filled += input.length
        },
        async end(sink) {
          const params = { [ZSTD_c_compressionLevel]: level, [ZSTD_c_checksumFlag]: 1 }
          await sink(runtime.zstdCompressSync(frame.subarray(0, filled), { params }))
          filled = 0
        },
      }
    },
    decompressor: () => ({
      frame(stored, bytes) {
        const output = runtime.zstdDecompressSync(stored)
        if (output.length !== bytes)
          throw new Error(`frame of ${output.length} bytes where ${bytes} were expected`)
        return output
      },
    }),
  }
}

/** Node 22's types of what Node 20's do not know. */
interface RuntimeZlib {
  zstdCompressSync(input: Uint8Array, options: { params: Record<number, number> }): Uint8Array
  zstdDecompressSync(input: Uint8Array): Uint8Array
  constants: { ZSTD_c_compressionLevel: number; ZSTD_c_checksumFlag: number }
}
