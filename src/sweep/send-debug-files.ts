// Executables and libraries that handlers left in the spool: the last that is sent, and the first that may be lost.
import { DamagedFileError } from '../spool/debug-files.ts'
import type { DebugFileSpool, SpooledFile } from '../spool/debug-files.ts'
import type { Spool } from '../spool/spool.ts'
import { putDebugFile } from '../store/put-debug-file.ts'
import type { Store } from '../store/store.ts'

/**
 * Sends them until the store takes one no more.
 * @returns How many it has now.
 */
export async function sendDebugFiles(spools: readonly Spool[], store: Store, now: Date): Promise<number> {
  let sent = 0
  for (const { debugFiles } of spools) {
    await debugFiles.tidy(now.getTime())
    for (const file of await debugFiles.list()) {
      const outcome = await send(debugFiles, file, store)
      if (outcome === 'refused') return sent
      if (outcome === 'sent') sent++
      await debugFiles.drop(file.name)
    }
  }
  return sent
}

async function send(
  spool: DebugFileSpool,
  file: SpooledFile,
  store: Store,
): Promise<'sent' | 'damaged' | 'refused'> {
  try {
    await putDebugFile(store, file.key, async write => {
      for await (const chunk of spool.read(file)) await write(chunk)
    })
    return 'sent'
  } catch (error) {
    return error instanceof DamagedFileError ? 'damaged' : 'refused'
  }
}
