// The grammar of the store's keys, and the only place that knows it: docs/format.md specifies it. Names that a workload
// chose become components that cannot leave their place: no `/`, no `~`, no `.` or `..`, nothing outside ASCII.

import type { Outcome, Place } from '../crash.ts'

export const MANIFEST_OBJECT = 'manifest.json'
export const KIT_OBJECT = 'kit.tar.zst'
export const CORE_OBJECT = 'core.zst'

/** Executables and libraries of all crashes, in debuginfod's layout. */
export const BUILDID_PREFIX = 'buildid/'
/** In the place of a build-id, where a file has none. */
const SHA256_MARK = 'sha256-'

/** Lists every crash by namespace and pod. */
export const CRASHES_PREFIX = 'crashes/'
/** Lists every crash by time. */
export const INDEX_PREFIX = 'index/'

// Longest encoded components. Kubernetes' names (namespaces and containers 63, pods 253) and a comm of 15 bytes, all
// escaped (45), are never cut; a directory of the file store (NAME_MAX 255) holds any of them; and a whole index key
// ends under 800 bytes, which leaves S3's 1,024 room for the store's prefix.
const NAMESPACE_LENGTH_MAX = 128
const NAME_LENGTH_MAX = 255
const COMM_LENGTH_MAX = 48

/** Whole bytes; at most the 64 that core/image.ts reads. */
const FILE_ID = /^(?:[0-9a-f]{2}){1,64}$/

/** Ends a component that was cut: an escape is never followed by `-`, so nothing else can end so. */
const CUT_MARK = '=-'
const EMPTY = '='

/** What became of a crash, as an index name tells it. incomplete: a core is stored, but not all that was to be. */
export type IndexOutcome = Outcome | 'incomplete'
export const INDEX_OUTCOMES: readonly string[] = [
  'full',
  'incomplete',
  'trimmed',
  'mini',
  'record',
] satisfies IndexOutcome[]

/** A crash as its index name tells it. */
export interface IndexEntry extends Place {
  readonly id: string
  readonly signal: number
  /** As the kernel has it: any bytes. */
  readonly comm: string | Uint8Array
  readonly outcome: IndexOutcome
}

/** An index entry read back: texts are for people, U+FFFD and `…` stand for what they cannot show. */
export interface IndexedCrash extends IndexEntry {
  readonly comm: string
  /** Where the crash's objects are, exact even where the names are not: `crashes/…/`. */
  readonly prefix: string
}

/** An object of a crash, from its key. Texts are for people, as in `IndexedCrash`. */
export interface CrashObject {
  readonly namespace: string
  readonly pod: string
  readonly id: string
  readonly prefix: string
  /** `manifest.json` and the like. */
  readonly object: string
}

/** A component read back: `cut` when its end was dropped to stay within bounds. */
export interface DecodedComponent {
  readonly bytes: Uint8Array
  readonly cut: boolean
}

function isKept(byte: number): boolean {
  const isDigit = byte >= 0x30 && byte <= 0x39
  const isLetter = (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
  return isDigit || isLetter || byte === 0x5f || byte === 0x2e || byte === 0x2d
}

function escapeByte(byte: number): string {
  return `=${byte.toString(16).toUpperCase().padStart(2, '0')}`
}

/**
 * Encodes any bytes as one component of a key: `[A-Za-z0-9_.-]` stay, every other byte is `=XX`, as is a leading dot.
 * @param value - Bytes, or a text to be taken as UTF-8. Nothing at all is `=`.
 * @param lengthMax - Longest result. What is longer is cut before an escape or a byte, and ends in `=-`.
 */
export function encodeComponent(value: string | Uint8Array, lengthMax = Infinity): string {
  const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value
  if (bytes.length === 0) return EMPTY
  let text = ''
  let cutAt = 0
  for (const [at, byte] of bytes.entries()) {
    const isPlain = isKept(byte) && !(at === 0 && byte === 0x2e)
    text += isPlain ? String.fromCharCode(byte) : escapeByte(byte)
    if (text.length > lengthMax) return text.slice(0, cutAt) + CUT_MARK
    if (text.length <= lengthMax - CUT_MARK.length) cutAt = text.length
  }
  return text
}

/** @returns The bytes that `encodeComponent` was given, or undefined for a spelling that it does not produce. */
export function decodeComponent(text: string): DecodedComponent | undefined {
  if (text === EMPTY) return { bytes: new Uint8Array(0), cut: false }
  const cut = text.endsWith(CUT_MARK)
  const body = cut ? text.slice(0, -CUT_MARK.length) : text
  if (!/^(?!\.)(?:[A-Za-z0-9_.-]|=[0-9A-F]{2})+$/.test(body)) return undefined
  const bytes: number[] = []
  for (let at = 0; at < body.length; at++) {
    const isEscape = body[at] === '='
    const byte = isEscape ? Number.parseInt(body.slice(at + 1, at + 3), 16) : body.charCodeAt(at)
    const isLeadingDot = at === 0 && byte === 0x2e
    if (isEscape && isKept(byte) && !isLeadingDot) return undefined
    bytes.push(byte)
    if (isEscape) at += 2
  }
  return { bytes: Uint8Array.from(bytes), cut }
}

function decodeText(component: string): string | undefined {
  const decoded = decodeComponent(component)
  if (decoded === undefined) return undefined
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(decoded.bytes) + (decoded.cut ? '…' : '')
}

/**
 * Names a crash: `20261123T204008Z-2f1c0a9e33d4`. Ids sort by time; upper-case letters keep them apart from pod names.
 * @param timeSeconds - The kernel's time of the crash (%t), up to the year 9999.
 * @param milliseconds - The handler's clock within its second: it sorts the crashes of one second.
 * @param random - At least 5 bytes.
 */
export function crashId(timeSeconds: number, milliseconds: number, random: Uint8Array): string {
  const time = new Date(timeSeconds * 1000).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')
  const tail = Buffer.from(random).toString('hex').slice(0, 9)
  return `${time}Z-${milliseconds.toString(16).padStart(3, '0')}${tail}`
}

/** @returns The time of a crash by its id, or by an id's beginning from its `Z` on; undefined for anything else. */
export function idTime(id: string): Date | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z(?:-[0-9a-f]{0,12})?$/.exec(id)
  if (!parts) return undefined
  const [, year, month, day, hour, minute, second] = parts
  const iso = `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`
  const time = new Date(iso)
  // 31 February is no error to Date, it is 3 March: an id that names it is not one of ours.
  return !Number.isNaN(time.getTime()) && time.toISOString() === iso ? time : undefined
}

/** Whether a text is a whole crash id. */
export function isCrashId(text: string): boolean {
  return text.length === '20261123T204008Z-2f1c0a9e33d4'.length && idTime(text) !== undefined
}

/** `crashes/<namespace>/`. */
export function namespacePrefix(namespace: string): string {
  return `${CRASHES_PREFIX}${encodeComponent(namespace, NAMESPACE_LENGTH_MAX)}/`
}

/** `crashes/<namespace>/<pod>/`: all crashes of one pod. */
export function podPrefix(namespace: string, pod: string): string {
  return `${namespacePrefix(namespace)}${encodeComponent(pod, NAME_LENGTH_MAX)}/`
}

/** `crashes/<namespace>/<pod>/<id>/`: all objects of one crash. */
export function crashPrefix(crash: { namespace: string; pod: string; id: string }): string {
  return `${podPrefix(crash.namespace, crash.pod)}${crash.id}/`
}

/** `doctor/<node>`: what a node puts to see whether it can. */
export function doctorKey(node: string): string {
  return `doctor/${encodeComponent(node, NAME_LENGTH_MAX)}`
}

/** Where the objects of a crash go. */
export interface CrashKeys {
  readonly kit: string
  readonly core: string
  readonly manifest: string
}

/** @param prefix - A crash's, from `crashPrefix` or a listing. */
export function crashKeys(prefix: string): CrashKeys {
  return { kit: kitKey(prefix), core: coreKey(prefix), manifest: manifestKey(prefix) }
}

/** @param prefix - A crash's, from `crashPrefix` or a listing. */
export function manifestKey(prefix: string): string {
  return prefix + MANIFEST_OBJECT
}

/** @param prefix - A crash's, from `crashPrefix` or a listing. */
export function kitKey(prefix: string): string {
  return prefix + KIT_OBJECT
}

/** @param prefix - A crash's, from `crashPrefix` or a listing. */
export function coreKey(prefix: string): string {
  return prefix + CORE_OBJECT
}

/** `index/2026-11-23/`: all crashes of a day (UTC). */
export function dayPrefix(time: Date): string {
  return `${INDEX_PREFIX}${time.toISOString().slice(0, 10)}/`
}

/** `index/2026-11-23/20/`: all crashes of an hour (UTC). */
export function hourPrefix(time: Date): string {
  return `${dayPrefix(time)}${time.toISOString().slice(11, 13)}/`
}

/** @returns The first moment of the day that a prefix from a grouped listing names. */
export function parseDayPrefix(prefix: string): Date | undefined {
  const day = /^index\/(\d{4}-\d\d-\d\d)\/$/.exec(prefix)?.[1]
  const time = new Date(`${day}T00:00:00.000Z`)
  return Number.isNaN(time.getTime()) ? undefined : time
}

/** Prefix of the index entries whose id begins so: one listing finds a crash by its id. */
export function idPrefix(id: string, time: Date): string {
  return hourPrefix(time) + (isCrashId(id) ? `${id}~` : id)
}

/** The name under which a crash is found by its time, of at most 800 bytes. The object is empty. */
export function indexKey(entry: IndexEntry): string {
  const time = idTime(entry.id)
  if (time === undefined) throw new RangeError(`not a crash id: ${entry.id}`)
  const name = [
    entry.id,
    encodeComponent(entry.namespace, NAMESPACE_LENGTH_MAX),
    encodeComponent(entry.pod, NAME_LENGTH_MAX),
    encodeComponent(entry.container, NAME_LENGTH_MAX),
    String(entry.signal),
    encodeComponent(entry.comm, COMM_LENGTH_MAX),
    entry.outcome,
  ]
  return hourPrefix(time) + name.join('~')
}

/** @returns What an index key says, or undefined when it is none of ours. */
export function parseIndexKey(key: string): IndexedCrash | undefined {
  const name = key.slice(key.lastIndexOf('/') + 1)
  const parts = name.split('~')
  const [id = '', namespace = '', pod = '', container = '', signal = '', comm = '', outcome = ''] = parts
  const time = idTime(id)
  if (parts.length !== 7 || time === undefined || !isCrashId(id)) return undefined
  if (key !== hourPrefix(time) + name || !/^(?:0|[1-9]\d{0,2})$/.test(signal)) return undefined
  const names = [namespace, pod, container, comm].map(decodeText)
  if (names.includes(undefined) || !INDEX_OUTCOMES.includes(outcome)) return undefined
  const [namespaceText = '', podText = '', containerText = '', commText = ''] = names
  return {
    id,
    namespace: namespaceText,
    pod: podText,
    container: containerText,
    signal: Number(signal),
    comm: commText,
    outcome: outcome as IndexOutcome,
    prefix: `${CRASHES_PREFIX}${namespace}/${pod}/${id}/`,
  }
}

/** @returns Which crash an object under `crashes/` belongs to, or undefined when its key is none of ours. */
export function parseCrashKey(key: string): CrashObject | undefined {
  const parts = /^crashes\/([^/]+)\/([^/]+)\/([^/]+)\/([^/]+)$/.exec(key)
  if (!parts) return undefined
  const [, namespace = '', pod = '', id = '', object = ''] = parts
  const namespaceText = decodeText(namespace)
  const podText = decodeText(pod)
  if (namespaceText === undefined || podText === undefined || !isCrashId(id)) return undefined
  return { namespace: namespaceText, pod: podText, id, prefix: key.slice(0, -object.length), object }
}

/** @returns The last name of a grouped prefix: the namespace of `crashes/shop/`, the pod of `crashes/shop/cart/`. */
export function parseGroupPrefix(prefix: string): string | undefined {
  return decodeText(prefix.split('/').at(-2) ?? '')
}

/** How an executable or a library is told from every other: by its build-id, else by the SHA-256 of its content. */
export type FileIdentity = { readonly buildId: string } | { readonly sha256: string }

/**
 * `buildid/<hex>/executable`, as debuginfod(8) has it; `buildid/sha256-<hex>/executable`.
 * @throws RangeError for what is no lower-case hex.
 */
export function debugFileKey(identity: FileIdentity): string {
  const [mark, id] = 'buildId' in identity ? ['', identity.buildId] : [SHA256_MARK, identity.sha256]
  if (!FILE_ID.test(id)) throw new RangeError(`not an id of a file: ${id}`)
  return `${BUILDID_PREFIX}${mark}${id}/executable`
}

/** @returns undefined for a key that `debugFileKey` does not make. */
export function parseDebugFileKey(key: string): FileIdentity | undefined {
  const [, mark, id = ''] = /^buildid\/(sha256-)?([^/]+)\/executable$/.exec(key) ?? []
  if (!FILE_ID.test(id)) return undefined
  return mark === undefined ? { buildId: id } : { sha256: id }
}
