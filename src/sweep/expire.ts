// What waits for too long: first its core and kit are dropped, and the record says so; a record that could not be sent either
// goes when that is as old again.
import { isCore } from '../spool/blobs.ts'
import { withoutCore, withoutKit } from '../spool/reduce.ts'
import type { Entry, Spool } from '../spool/spool.ts'
import { idTime } from '../store/keys.ts'
import { formatDuration } from '../units.ts'

/** @returns Ids of the crashes that lost something. */
export async function expire(
  spools: readonly Spool[],
  ageSecondsMax: number,
  now: Date,
): Promise<readonly string[]> {
  const expired: string[] = []
  for (const spool of spools)
    for (const id of await spool.ids()) {
      const age = (now.getTime() - (idTime(id)?.getTime() ?? now.getTime())) / 1000
      if (age <= ageSecondsMax) continue
      const entry = await spool.claim(id)
      if (entry === undefined || entry === 'busy') continue
      if (age > 2 * ageSecondsMax) {
        await spool.countLost()
        await entry.remove()
        expired.push(id)
      } else if (await dropBlobs(entry, ageSecondsMax)) expired.push(id)
      await entry.release()
    }
  return expired
}

/** @returns Whether there was anything to drop. */
async function dropBlobs(entry: Entry, ageSecondsMax: number): Promise<boolean> {
  if ((await entry.blobs()).size === 0) return false
  const { note } = entry
  const why = `it waited in the spool for longer than spool.age_max = ${formatDuration(ageSecondsMax)}`
  if (typeof note === 'object') {
    const kept = (await entry.blobs()).has('kit.tar.zst') ? withoutKit(note, why) : note
    await entry.save(kept.core === undefined ? kept : withoutCore(kept, why))
  }
  await entry.drop(name => isCore(name) || name === 'kit.tar.zst')
  return true
}
