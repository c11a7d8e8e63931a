// Reads a canary's crash back from the store, as `get` would, where this node may read at all.
import type { Config } from '../config/table.ts'
import { CoreliftError } from '../errors.ts'
import type { ReadBack } from '../node/canary.ts'
import { crashPrefix } from '../store/keys.ts'
import type { Store } from '../store/store.ts'
import type { CrashEvent } from '../telemetry/crash-event.ts'
import { readManifest } from './find.ts'
import { copyCore } from './get.ts'
import type { CliDeps } from './session.ts'
import { chooseCore } from './stored-core.ts'

/** @throws CoreliftError `E_CANARY` where the store says it has it and has not, `E_CORE_CORRUPT`, `E_STORE_…`. */
export async function readCanaryBack(
  event: CrashEvent,
  config: Config['store'],
  deps: Pick<CliDeps, 'openStore' | 'decompressor'>,
  interrupted: AbortSignal,
): Promise<ReadBack> {
  if (event.whereabouts === 'nowhere') return { state: 'not kept' }
  const store = await deps.openStore(config, {})
  try {
    return await readFrom(store, event, deps, interrupted)
  } catch (error) {
    if (error instanceof CoreliftError && error.code === 'E_STORE_DENIED') return { state: 'denied' }
    throw error
  } finally {
    store.close()
  }
}

async function readFrom(
  store: Store,
  { id, place }: CrashEvent,
  { decompressor }: Pick<CliDeps, 'decompressor'>,
  interrupted: AbortSignal,
): Promise<ReadBack> {
  const prefix = crashPrefix({ ...place, id })
  const manifest = await readManifest(store, prefix)
  if (manifest === undefined)
    throw new CoreliftError('E_CANARY', `the handler stored ${prefix}, and it is not there`, {
      hint: 'see that nothing deletes it, and that reads go to the same bucket',
    })
  const crash = { id, ...place, prefix, objects: undefined }
  const core = chooseCore(store, crash, manifest, 'best')
  if (core === undefined) return { state: 'record' }
  let bytes = 0
  const sink = { write: async (chunk: Uint8Array) => void (bytes += chunk.length) }
  await copyCore({ crash, manifest, core, others: 0 }, decompressor(), sink, () => undefined, interrupted)
  return { state: 'verified', kind: core.kind, bytes }
}
