// Executables and libraries, which the whole fleet shares: each is put once, by whoever has it first, and again only before
// a lifecycle rule would take it from those who need it.
import { CoreliftError } from '../errors.ts'
import { MultipartWriter } from './multipart.ts'
import type { ObjectAbout, Store } from './store.ts'

/** Younger objects outlive the crashes of today: `bucket init` has 90 days for them, and 30 for crashes. */
const FRESH_MS = 30 * 24 * 3600 * 1000

/** debuginfod's clients take the object for the file itself. */
const ABOUT: ObjectAbout = { contentType: 'application/octet-stream', contentEncoding: 'zstd' }

type SharedStore = Pick<Store, 'stat' | 'put' | 'startUpload'>

/** What became of an object. */
export type PutDebugFile =
  /** It was there; nothing was sent. */
  | { readonly state: 'present' }
  /** Bytes of the object. */
  | { readonly state: 'sent'; readonly bytes: number }

/**
 * Puts an object in one request or, where it is large, in parts.
 * @param writeTo - Writes its content; called only where it is not there. What it throws ends the upload.
 * @throws CoreliftError `E_STORE_…`, and whatever `writeTo` throws.
 */
export async function putDebugFile(
  store: SharedStore,
  key: string,
  writeTo: (write: (bytes: Uint8Array) => Promise<void> | undefined) => Promise<void>,
  now = Date.now(),
): Promise<PutDebugFile> {
  const found = await statIfAllowed(store, key)
  if (found !== undefined && now - found.modifiedAt.getTime() < FRESH_MS) return { state: 'present' }
  const object = new MultipartWriter(store, key, found === undefined ? { ...ABOUT, ifAbsent: true } : ABOUT)
  try {
    await writeTo(bytes => object.write(bytes))
    const { bytes } = await object.finish()
    return { state: 'sent', bytes }
  } catch (error) {
    await object.abort().catch(() => undefined)
    throw error
  }
}

/** A node that may only write finds nothing, and S3 says the same of what is not there to those who may not list. */
async function statIfAllowed(store: SharedStore, key: string): ReturnType<Store['stat']> {
  try {
    return await store.stat(key)
  } catch (error) {
    if (error instanceof CoreliftError && error.code === 'E_STORE_DENIED') return undefined
    throw error
  }
}
