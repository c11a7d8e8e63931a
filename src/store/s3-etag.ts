// What S3 calls contents.

import { createHash } from 'node:crypto'
import type { ETag, PartReceipt } from './store.ts'

/** @returns The ETag with its quotes, which Ceph leaves out when it is asked to complete an upload again. */
export function quoted(etag: string): ETag {
  return /^(?:W\/)?"/.test(etag) ? etag : `"${etag}"`
}

/**
 * What S3 calls an object made of parts: the MD5 of their MD5s, and their number.
 * @returns undefined where the parts' ETags are no MD5s.
 */
export function compositeETag(receipts: readonly PartReceipt[]): ETag | undefined {
  const digests = receipts.map(({ etag }) => /^"?([0-9a-f]{32})"?$/.exec(etag)?.[1])
  if (digests.includes(undefined)) return undefined
  const md5 = createHash('md5')
    .update(Buffer.from(digests.join(''), 'hex'))
    .digest('hex')
  return `"${md5}-${receipts.length}"`
}
