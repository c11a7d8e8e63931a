// What debuginfod(8) answers, for the executables and libraries that are in the store: debuggers that have this server in
// DEBUGINFOD_URLS find them by their build-ids. There is no debuginfo and no source.
import { readSeekTable } from '../commands/download.ts'
import { readDebugFile } from '../debug/debug-file.ts'
import { CoreliftError } from '../errors.ts'
import { BUILDID_PREFIX, parseDebugFileKey } from '../store/keys.ts'
import { attachment, lateByOne, paced, storedBytes, type DownloadDeps } from './downloads.ts'
import { plainReply, statusOf, type Reply } from './reply.ts'

/** @returns undefined where the path is none of debuginfod's. */
export async function debugFile(
  deps: DownloadDeps,
  path: string,
  acceptEncoding: string,
): Promise<Reply | undefined> {
  const [, id, artifact] = /^\/buildid\/([^/]+)\/(.*)$/.exec(path) ?? []
  if (id === undefined) return undefined
  const key = `${BUILDID_PREFIX}${id.toLowerCase()}/executable`
  if (artifact !== 'executable' || parseDebugFileKey(key) === undefined) return plainReply(404, 'not found')
  try {
    return await executable(deps, key, acceptEncoding)
  } catch (error) {
    if (!(error instanceof CoreliftError)) throw error
    return plainReply(statusOf(error), `${error.message} [${error.code}]`)
  }
}

async function executable(deps: DownloadDeps, key: string, acceptEncoding: string): Promise<Reply> {
  const { store, decompressor } = deps
  const stored = (await store.stat(key))?.bytes
  if (stored === undefined) return plainReply(404, 'not found')
  const { frames } = await readSeekTable(store, key, stored)
  const bytes = frames.reduce((sum, frame) => sum + frame.bytes, 0)
  const isEncoded = acceptsZstd(acceptEncoding)
  const content = isEncoded
    ? storedBytes(store, key, stored)
    : lateByOne(readDebugFile(store, { key, bytes }, decompressor()))
  const file = key.split('/')[1]!
  const reply = attachment(file, 'application/octet-stream', isEncoded ? stored : bytes, paced(deps, content))
  const headers = {
    ...reply.headers,
    Vary: 'Accept-Encoding',
    ...(isEncoded && { 'Content-Encoding': 'zstd' }),
    'X-DEBUGINFOD-FILE': file,
    'X-DEBUGINFOD-SIZE': String(bytes),
  }
  return { ...reply, headers }
}

/** RFC 9110, 12.5.3: `zstd` is named, and not with a weight of zero. */
function acceptsZstd(acceptEncoding: string): boolean {
  return acceptEncoding.split(',').some(part => {
    const [coding = '', ...parameters] = part.split(';').map(text => text.trim().toLowerCase())
    return coding === 'zstd' && !parameters.some(parameter => /^q=0(?:\.0*)?$/.test(parameter))
  })
}
