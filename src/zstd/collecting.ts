// Bun collects by its own heap, beside which the bytes of buffers lie: whoever reads gigabytes frame by frame collects by
// what was read, or holds as much as the core is large.
import type { FrameDecompressor } from './codec.ts'

const BYTES_BETWEEN = 32 * 1024 * 1024

/** @param collect - Collects garbage, at once. */
export function collectingDecompressor(
  decompressor: FrameDecompressor,
  collect: () => void,
): FrameDecompressor {
  let read = 0
  return {
    frame(stored, bytes) {
      read += bytes
      if (read >= BYTES_BETWEEN) {
        read = 0
        collect()
      }
      return decompressor.frame(stored, bytes)
    },
  }
}
