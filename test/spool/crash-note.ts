// Notes of crashes, as handlers write them.
import type { EntryNote } from '../../src/spool/note.ts'
import { crashKeys, crashPrefix } from '../../src/store/keys.ts'
import type { Manifest } from '../../src/store/manifest.ts'
import { createHash } from 'node:crypto'

export const sha256 = (body: Uint8Array): string => createHash('sha256').update(body).digest('hex')

export interface NoteSpec {
  readonly id: string
  readonly pod?: string
  readonly kit?: Uint8Array | undefined
  /** All of it, in the store or here. */
  readonly core?: Uint8Array | undefined
  readonly state?: EntryNote['state']
}

/** @returns A note whose manifest names what the spec has. */
export function crashNote({ id, pod = 'web-0', kit, core, state = 'sealed' }: NoteSpec): EntryNote {
  const place = { namespace: 'shop', pod, container: 'app' }
  const reducedOutcome = kit ? 'mini' : 'record'
  const index = (outcome: string) => `index/2026-11-24/12/${id}~shop~${pod}~app~11~web~${outcome}`
  const manifest = {
    version: 1,
    id,
    outcome: core ? 'full' : reducedOutcome,
    reason: core ? null : 'slots',
    reasonText: core ? null : 'none was free',
    core: core ? { key: 'core.zst', bytesStored: core.length, sha256Stored: sha256(core) } : null,
    mini: kit ? { entry: 'mini.core', bytes: 1 } : null,
    kit: kit ? { key: 'kit.tar.zst', bytes: kit.length, sha256Stored: sha256(kit) } : null,
    warnings: [],
  } as unknown as Manifest
  return {
    version: 1,
    id,
    state,
    place,
    why: 'no answer [E_STORE_UNREACHABLE]',
    keys: crashKeys(crashPrefix({ namespace: 'shop', pod, id })),
    index: { kept: index(manifest.outcome), reduced: index(reducedOutcome), record: index('record') },
    reducedOutcome,
    manifest,
  }
}

/** @returns Ids that sort in the order of their numbers. */
export function idOf(number: number): string {
  return `20261124T120000Z-${number.toString(16).padStart(12, '0')}`
}
