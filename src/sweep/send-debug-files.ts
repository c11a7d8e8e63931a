// Executables and libraries that handlers left in the spool: the last that is sent, and the first that may be lost.
import { DamagedFileError } from '../spool/debug-files.ts'
import type { DebugFileSpool, SpooledFile } from '../spool/debug-files.ts'
import type { Spool } from '../spool/spool.ts'
import { DEBUG_OBJECT } from '../store/debug-object.ts'
import { putNew } from '../store/put-new.ts'
import type { Store } from '../store/store.ts'

/**
 * Sends them until the store takes one no more.
 * @returns How many.
 */
export async function sendDebugFiles(spools: readonly Spool[], store: Store, now: Date): Promise<number> {
  let sent = 0
  for (const { debugFiles } of spools) {
    await debugFiles.tidy(now.getTime())
    for (const file of await debugFiles.list()) {
      if (!(await isDelivered(debugFiles, file, store))) return sent
      await debugFiles.drop(file.name)
      sent++
    }
  }
  return sent
}

/** @returns Whether it is not needed any more. */
async function isDelivered(spool: DebugFileSpool, file: SpooledFile, store: Store): Promise<boolean> {
  try {
    await putNew(store, file.key, DEBUG_OBJECT, async write => {
      for await (const chunk of spool.read(file)) await write(chunk)
    })
    return true
  } catch (error) {
    return error instanceof DamagedFileError
  }
}
