// What a crash's entry in the spool says: the record as it is now, where its objects go, and what of the core is where.
import { indexKey, type CrashKeys } from '../store/keys.ts'
import type { EntryNote } from '../spool/note.ts'
import type { Beginning } from './begin.ts'
import { commOf, type CrashRecord, manifestOf } from './record.ts'
import type { SpilledCore } from './spill.ts'

/** @param why - What the store said, for people. */
export function noteOf(
  record: CrashRecord,
  keys: CrashKeys,
  state: EntryNote['state'],
  { why, core }: { readonly why: string; readonly core?: SpilledCore | undefined },
): EntryNote {
  const { id, place, mini } = record
  const reducedOutcome = mini === null ? 'record' : 'mini'
  return {
    version: 1,
    id,
    state,
    place,
    why,
    keys,
    index: {
      kept: indexKeyOf(record),
      reduced: indexKeyOf({ ...record, core: null, outcome: reducedOutcome }),
      record: indexKeyOf({ ...record, core: null, outcome: 'record' }),
    },
    reducedOutcome,
    manifest: manifestOf(record),
    ...(core && { core: { bytes: core.bytes, parts: core.parts } }),
    ...(core?.completing && { completing: true as const }),
  }
}

/** The key under which a crash is found by its time. */
export function indexKeyOf(record: CrashRecord): string {
  return indexKey({
    id: record.id,
    ...record.place,
    signal: record.crash.signal,
    comm: commOf(record.reading),
    outcome: record.core?.complete === false ? 'incomplete' : record.outcome,
  })
}

/** What is true of a crash should its handler be killed now: its stacks are named at the end only. */
export function draftRecord(beginning: Beginning, version: string): CrashRecord {
  return {
    ...beginning,
    workload: beginning.named,
    outcome: 'record',
    core: null,
    mini: null,
    reduction: { reason: 'killed', text: 'the handler was killed before it was done' },
    kit: null,
    stacks: undefined,
    files: undefined,
    version,
  }
}
