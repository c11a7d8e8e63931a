// An executable or a library out of the store, as it was on the node.
import { createHash } from 'node:crypto'
import { readObject } from '../commands/download.ts'
import { CoreliftError } from '../errors.ts'
import { parseDebugFileKey } from '../store/keys.ts'
import type { Store } from '../store/store.ts'
import type { FrameDecompressor } from '../zstd/codec.ts'
import type { PlannedFile } from './sysroot-plan.ts'

/**
 * Reads a file in order, decompressed; each frame is verified, its size against the manifest, and its content against the
 * SHA-256 that is its name, where it has no build-id.
 * @throws CoreliftError `E_CORE_ABSENT` where it is not in the store (yet); `E_CORE_CORRUPT`, also where another file has
 *   its build-id; `E_STORE_…`
 */
export function readDebugFile(
  store: Store,
  { key, bytes }: Pick<PlannedFile, 'key' | 'bytes'>,
  decompressor: FrameDecompressor,
): AsyncGenerator<Uint8Array> {
  const content = readObject(store, key, bytes === undefined ? {} : { bytes }, decompressor)
  const identity = parseDebugFileKey(key)
  return identity && 'sha256' in identity ? verified(content, key, identity.sha256) : content
}

async function* verified(
  content: AsyncGenerator<Uint8Array>,
  key: string,
  sha256: string,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  for await (const chunk of content) {
    hash.update(chunk)
    yield chunk
  }
  if (hash.digest('hex') !== sha256)
    throw new CoreliftError('E_CORE_CORRUPT', `${key}: its content is not what its name says`, {
      hint: 'the object was damaged or replaced in the store',
    })
}
