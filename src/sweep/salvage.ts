// An entry whose note the disk lost: whose crash it was is gone with it, but that there was one is known, and the kit, should
// it be whole, has the mini core and the names.
import type { Entry } from '../spool/spool.ts'
import { idTime } from '../store/keys.ts'
import { bareManifest } from '../store/manifest.ts'
import { unknownNote } from './unknown-note.ts'

export async function salvage(entry: Entry, node: string, version: string): Promise<void> {
  const { id } = entry
  const kit = (await entry.blobs()).get('kit.tar.zst')
  const isLost = entry.note === 'corrupt' || kit !== undefined
  const whose = isLost
    ? 'its note in the spool was damaged'
    : 'its handler was killed before it had written anything down'
  const bare = bareManifest({
    ...{ id, time: (idTime(id) ?? new Date(0)).toISOString(), node, version, whose },
    reason: isLost ? 'spool' : 'killed',
    reasonText: kit ? `${whose}; the kit is whole` : whose,
  })
  const manifest = kit
    ? { ...bare, kit: { key: 'kit.tar.zst' as const, bytes: kit.bytes, sha256Stored: kit.sha256 } }
    : bare
  // Open: what is here of its core is of no use without the note.
  await entry.save(unknownNote({ id, node, comm: '', state: 'open', why: whose, manifest }))
}
