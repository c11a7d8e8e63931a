// The note of a crash nobody can say whose it was: filed under the node, beside others of its kind.
import type { EntryNote } from '../spool/note.ts'
import { crashKeys, crashPrefix, indexKey } from '../store/keys.ts'
import type { Manifest } from '../store/manifest.ts'
import { NO_CONTAINER, UNKNOWN_NAMESPACE } from '../workload/place.ts'

export function unknownNote(
  about: Pick<EntryNote, 'id' | 'state' | 'why'> & {
    readonly node: string
    readonly comm: string
    readonly manifest: Manifest
  },
): EntryNote {
  const { id, state, why, node, comm, manifest } = about
  const place = { namespace: UNKNOWN_NAMESPACE, pod: node, container: NO_CONTAINER }
  const index = indexKey({ id, ...place, signal: manifest.crash.signal, comm, outcome: 'record' })
  return {
    version: 1,
    id,
    state,
    place,
    why,
    keys: crashKeys(crashPrefix({ namespace: place.namespace, pod: place.pod, id })),
    index: { kept: index, reduced: index, record: index },
    reducedOutcome: 'record',
    manifest,
  }
}
