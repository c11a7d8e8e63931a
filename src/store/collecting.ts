// Bun keeps the bodies of requests until its next collection: whoever sends gigabytes in small pieces, and makes little
// garbage of its own, collects by what was sent.
import type { Store, Upload } from './store.ts'

const BYTES_BETWEEN = 8 * 1024 * 1024

/** @param collect - Collects garbage, at once. */
export function collecting(store: Store, collect: () => void): Store {
  let sent = 0
  const count = (bytes: number) => {
    sent += bytes
    if (sent < BYTES_BETWEEN) return
    sent = 0
    collect()
  }
  const counted = (upload: Upload): Upload => ({
    id: upload.id,
    async putPart(number, offset, body) {
      count(body.length)
      return await upload.putPart(number, offset, body)
    },
    complete: receipts => upload.complete(receipts),
    abort: () => upload.abort(),
  })
  return {
    url: store.url,
    async put(key, body, about) {
      count(body.length)
      return await store.put(key, body, about)
    },
    get: key => store.get(key),
    getRange: (key, offset, length) => store.getRange(key, offset, length),
    stat: key => store.stat(key),
    list: (prefix, options) => store.list(prefix, options),
    startUpload: async (key, about) => counted(await store.startUpload(key, about)),
    resumeUpload: (key, id) => counted(store.resumeUpload(key, id)),
    listUploads: prefix => store.listUploads(prefix),
    remove: key => store.remove(key),
    close: () => store.close(),
  }
}
