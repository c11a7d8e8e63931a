// The note of an entry: what is known of a crash, where its objects go, and what of its core is where. A disk may give back
// anything, so a note carries the checksum of its text; types and checks are plain, for the handler's sake.
import { createHash } from 'node:crypto'
import type { Place } from '../crash.ts'
import type { CrashKeys } from '../store/keys.ts'
import type { Manifest } from '../store/manifest.ts'

export interface EntryNote {
  readonly version: 1
  readonly id: string
  /** open: its handler is at work, or was killed. sealed: all is said, and the rest is to be sent. */
  readonly state: 'open' | 'sealed'
  readonly place: Place
  /** What the store said, for people. */
  readonly why: string
  readonly keys: CrashKeys
  /** Keys of the index entry: as the manifest is, and should it lose its core, and its kit. */
  readonly index: { readonly kept: string; readonly reduced: string; readonly record: string }
  /** The outcome should it lose its core. */
  readonly reducedOutcome: 'mini' | 'record'
  /** open: what is true should its handler be killed now. */
  readonly manifest: Manifest
  /** An upload was about to be begun in the store for `keys.core`, and perhaps was. */
  readonly beginning?: true
  /** It was. */
  readonly upload?: { readonly id: string }
  /** The store was asked to complete the upload, and may have done so. */
  readonly completing?: true
  /** Of a sealed note whose core is not in the store. */
  readonly core?: CoreNote
}

export interface CoreNote {
  readonly bytes: number
  /** In order, without gaps; none: the core is one object of its own. */
  readonly parts: readonly PartNote[]
}

export interface PartNote {
  readonly number: number
  readonly offset: number
  readonly bytes: number
  /** The store has it. Absent: its blob is in the entry. */
  readonly etag?: string
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const DIGEST_LENGTH = 64

/** @returns The checksum, a newline, JSON. */
export function encodeNote(note: EntryNote): Uint8Array {
  const json = Buffer.from(JSON.stringify(note))
  return Buffer.concat([Buffer.from(`${sha256(json)}\n`), json])
}

/** @returns 'corrupt' for whatever `encodeNote` did not write. */
export function decodeNote(bytes: Uint8Array): EntryNote | 'corrupt' {
  const text = Buffer.from(bytes)
  const json = text.subarray(DIGEST_LENGTH + 1)
  if (text.toString('latin1', 0, DIGEST_LENGTH + 1) !== `${sha256(json)}\n`) return 'corrupt'
  try {
    const note: unknown = JSON.parse(json.toString('utf8'))
    return isNote(note) ? note : 'corrupt'
  } catch {
    return 'corrupt'
  }
}

/** What is relied on by whoever sends; of the manifest, which is sent as it is, only what a loss changes. */
function isNote(value: unknown): value is EntryNote {
  if (!isObject(value)) return false
  const { version, state, reducedOutcome, beginning, upload, completing, core } = value
  return (
    version === 1 &&
    (state === 'open' || state === 'sealed') &&
    hasTexts(value, ['id', 'why']) &&
    hasTexts(value['place'], ['namespace', 'pod', 'container']) &&
    hasTexts(value['keys'], ['kit', 'core', 'manifest']) &&
    hasTexts(value['index'], ['kept', 'reduced', 'record']) &&
    (reducedOutcome === 'mini' || reducedOutcome === 'record') &&
    isManifestOf(value['id'], value['manifest']) &&
    (upload === undefined || hasTexts(upload, ['id'])) &&
    [beginning, completing].every(each => each === undefined || each === true) &&
    (core === undefined || isCoreNote(core))
  )
}

function isManifestOf(id: unknown, value: unknown): boolean {
  if (!isObject(value)) return false
  const { version, outcome, core, kit, warnings } = value
  return (
    version === 1 &&
    value['id'] === id &&
    typeof outcome === 'string' &&
    [core, kit].every(each => each === null || isObject(each)) &&
    Array.isArray(warnings)
  )
}

/** Parts are all of the core, one after the other. */
function isCoreNote(value: unknown): boolean {
  if (!isObject(value) || !isCount(value['bytes']) || !Array.isArray(value['parts'])) return false
  const parts: unknown[] = value['parts']
  let end = 0
  for (const [index, part] of parts.entries()) {
    if (!isObject(part) || part['number'] !== index + 1 || part['offset'] !== end) return false
    if (!isCount(part['bytes']) || !['string', 'undefined'].includes(typeof part['etag'])) return false
    end += part['bytes']
  }
  return parts.length === 0 || end === value['bytes']
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function hasTexts(value: unknown, names: readonly string[]): boolean {
  return isObject(value) && names.every(name => typeof value[name] === 'string')
}
