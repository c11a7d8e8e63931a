// What became of a crash, in one line: for the node's metrics, its messages to people, and the canary. No record: that is
// the manifest, in the store.
import type { Outcome, Place, RefusalReason, Workload } from '../crash.ts'

/** What became of a crash: an outcome of the store, or what else the node did with it. */
export type Fate =
  | Outcome
  /** Given to the handler that was there before (`node.chain_host_processes`). */
  | 'chained'
  /** A policy says that nothing is kept. */
  | 'off'
  /** It left nothing but a line in the kernel log. */
  | 'lost'

/** Where its objects are: `unindexed` found by its pod only, `spooled` waits for a sweep, `nowhere` nothing is kept. */
export type Whereabouts = 'stored' | 'unindexed' | 'spooled' | 'nowhere'

/** Every text is printable. */
export interface CrashEvent {
  readonly id: string
  /** ISO 8601: when it crashed. */
  readonly time: string
  readonly pid: number
  readonly comm: string
  readonly signal: number
  readonly place: Place
  readonly workload: Workload['kind']
  readonly fate: Fate
  readonly reason?: RefusalReason
  readonly whereabouts: Whereabouts
  /** Why it is less, or not in the store. */
  readonly why?: string
  /** Of the core: as the kernel wrote it, and as it was stored. */
  readonly coreBytes: number
  readonly storedBytes: number
  /** How long the handler kept the process from being reaped, and how long it took in all. */
  readonly holdMilliseconds: number
  readonly tookMilliseconds: number
  readonly signature?: string
}

/** Of a page, so that a write is one page of the tmpfs at most. */
const LINE_BYTES_MAX = 4096
const TEXT_CHARACTERS_MAX = 500

/** @returns A line of JSON, with its newline. */
export function encodeEvent(event: CrashEvent): string {
  const line = `${JSON.stringify(event)}\n`
  if (Buffer.byteLength(line) <= LINE_BYTES_MAX) return line
  const { why, signature, ...rest } = event
  const cut = (text: string) => text.slice(0, TEXT_CHARACTERS_MAX)
  return `${JSON.stringify({ ...rest, ...(why !== undefined && { why: cut(why) }), ...(signature !== undefined && { signature: cut(signature) }) })}\n`
}

/** @returns The events of whole lines; a line that is none is left out: its writer was killed, or the file is another's. */
export function decodeEvents(text: string): CrashEvent[] {
  return text.split('\n').flatMap(line => {
    try {
      const event: unknown = line === '' ? undefined : JSON.parse(line)
      return isEvent(event) ? [event] : []
    } catch {
      return []
    }
  })
}

/** The file is root's own: what has these has the others. */
function isEvent(value: unknown): value is CrashEvent {
  return typeof value === 'object' && value !== null && 'id' in value && 'fate' in value && 'place' in value
}
