// What becomes of a crash whose core, or kit, is lost: the record stays and says so. Pure.
import type { EntryNote } from './note.ts'

/**
 * @param text - Why there is no core any more; a crash that has none anyway keeps its reason.
 * @returns The same where the store has the core already, and blobs are what was not yet removed.
 */
export function withoutCore(note: EntryNote, text: string): EntryNote {
  if (note.state === 'sealed' && note.core === undefined) return note
  const { core: _core, completing: _completing, ...rest } = note
  if (note.manifest.core === null) return rest
  const { manifest, index, reducedOutcome: outcome } = note
  return {
    ...rest,
    index: { ...index, kept: index.reduced },
    manifest: { ...manifest, core: null, outcome, reason: 'spool', reasonText: text },
  }
}

/** @param text - Why there is no kit any more, and no mini core. */
export function withoutKit(note: EntryNote, text: string): EntryNote {
  const { manifest, index } = note
  if (manifest.kit === null) return note
  const warnings = [...manifest.warnings, `no kit: ${text}`]
  const lost = { kit: null, mini: null, warnings }
  // `reduced` was the key of a crash with a mini core.
  const keys = { ...index, reduced: index.record }
  if (manifest.core !== null)
    return { ...note, reducedOutcome: 'record', index: keys, manifest: { ...manifest, ...lost } }
  const reason = manifest.mini ? ({ reason: 'spool', reasonText: text } as const) : {}
  return {
    ...note,
    reducedOutcome: 'record',
    index: { ...keys, kept: index.record },
    manifest: { ...manifest, ...lost, outcome: 'record', ...reason },
  }
}
