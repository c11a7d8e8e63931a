// corelift ls: crashes, newest first. A pod's are one listing on its prefix; a time's come from the index, whose names
// tell enough for a table without reading a manifest.

import type { Place } from '../crash.ts'
import { CoreliftError } from '../errors.ts'
import {
  INDEX_PREFIX,
  dayPrefix,
  hourPrefix,
  idTime,
  parseDayPrefix,
  parseIndexKey,
  type IndexedCrash,
} from '../store/keys.ts'
import type { Manifest } from '../store/manifest.ts'
import { signalName } from '../signals.ts'
import type { Store } from '../store/store.ts'
import { NO_CONTAINER, placeOf } from '../workload/place.ts'
import { mapConcurrent } from './concurrent.ts'
import { LISTS_IN_FLIGHT_MAX, findCrashes, isFinished, readManifest } from './find.ts'

const HOUR_MS = 3_600_000
/** Longer spans are listed by day: fewer requests, each with more pages. */
const HOURLY_SPAN_MS_MAX = 48 * HOUR_MS
/** A node's clock may be ahead of this machine's. */
const CLOCK_SKEW_MS = HOUR_MS
const GETS_IN_FLIGHT_MAX = 32
/** For -1, which needs one result and must not fetch dozens. */
const FIRST_IN_FLIGHT_MAX = 4

/** What to list. */
export interface LsQuery {
  readonly pod: string | undefined
  readonly namespace: string | undefined
  readonly container: string | undefined
  readonly node: string | undefined
  readonly signal: number | undefined
  readonly comm: string | undefined
  readonly since: Date | undefined
  readonly until: Date | undefined
  /** The newest only. */
  readonly first: boolean
  /** Whether fields that only a manifest has are wanted; for a pod or a node manifests are read anyway. */
  readonly detailed: boolean
}

/** A crash as `ls --json` prints it. null: not known, or not looked up. */
export interface LsEntry {
  readonly id: string
  /** ISO 8601, UTC. */
  readonly time: string
  readonly namespace: string
  readonly pod: string
  readonly container: string | null
  readonly node: string | null
  /** `SIGSEGV`. */
  readonly signal: string | null
  readonly signalNumber: number | null
  readonly comm: string | null
  readonly exe: string | null
  /** unfinished: no manifest (yet); unreadable: one that this version cannot read, `reason` says why. */
  readonly outcome: Manifest['outcome'] | 'unfinished' | 'unreadable'
  /** Whether a core is stored, with all that was to be in it. */
  readonly complete: boolean
  /** Of the best core there is, uncompressed. */
  readonly bytes: number | null
  readonly bytesStored: number | null
  readonly reason: string | null
}

/** Where an entry's manifest is, and what is known of the crash without it. */
interface Candidate {
  readonly prefix: string
  readonly isFinished: boolean
  readonly known: LsEntry
}

const UNFINISHED = {
  container: null,
  node: null,
  signal: null,
  signalNumber: null,
  comm: null,
  exe: null,
  outcome: 'unfinished',
  complete: false,
  bytes: null,
  bytesStored: null,
  reason: null,
} as const

function isoTime(id: string): string {
  return idTime(id)?.toISOString() ?? ''
}

function fromIndex(crash: IndexedCrash): LsEntry {
  return {
    id: crash.id,
    time: isoTime(crash.id),
    namespace: crash.namespace,
    pod: crash.pod,
    ...UNFINISHED,
    container: containerOf(crash),
    signal: signalName(crash.signal),
    signalNumber: crash.signal,
    comm: crash.comm,
    // Of which core an incomplete one is the beginning, its manifest says.
    outcome: crash.outcome === 'incomplete' ? 'full' : crash.outcome,
    complete: ['full', 'trimmed', 'mini'].includes(crash.outcome),
  }
}

/** null where there is none. */
function containerOf({ container }: Place): string | null {
  return container === NO_CONTAINER ? null : container
}

function fromManifest(known: LsEntry, manifest: Manifest): LsEntry {
  return {
    ...known,
    container: containerOf(placeOf(manifest.workload, manifest.node)),
    node: manifest.node,
    signal: manifest.crash.signalName,
    signalNumber: manifest.crash.signal,
    comm: manifest.process?.comm ?? known.comm,
    exe: manifest.process?.exe ?? null,
    outcome: manifest.outcome,
    complete: manifest.core?.complete ?? manifest.outcome === 'mini',
    bytes: manifest.core?.bytesReceived ?? manifest.mini?.bytes ?? null,
    bytesStored: manifest.core?.bytesStored ?? null,
    reason: manifest.reason,
  }
}

async function readEntry(store: Store, { prefix, isFinished, known }: Candidate): Promise<LsEntry> {
  try {
    const manifest = isFinished ? await readManifest(store, prefix) : undefined
    if (manifest !== undefined) return fromManifest(known, manifest)
    return { ...known, outcome: 'unfinished', complete: false }
  } catch (error) {
    // One manifest that somebody damaged must not hide the others.
    if (!(error instanceof CoreliftError) || error.code !== 'E_MANIFEST') throw error
    return { ...known, outcome: 'unreadable', complete: false, reason: error.message }
  }
}

/** Whether a crash is of a query's times. */
export function isWithin(query: Pick<LsQuery, 'since' | 'until'>, id: string): boolean {
  const time = idTime(id)?.getTime() ?? Number.NaN
  return time >= (query.since?.getTime() ?? -Infinity) && time <= (query.until?.getTime() ?? Infinity)
}

function matches(query: LsQuery, entry: LsEntry): boolean {
  return (
    (query.namespace === undefined || entry.namespace === query.namespace) &&
    (query.container === undefined || entry.container === query.container) &&
    (query.signal === undefined || entry.signalNumber === query.signal) &&
    (query.comm === undefined || entry.comm === query.comm)
  )
}

async function podCandidates(store: Store, pod: string, query: LsQuery): Promise<Candidate[]> {
  const crashes = await findCrashes(store, pod, query.namespace)
  return crashes
    .filter(crash => isWithin(query, crash.id))
    .map(crash => {
      const { id, namespace, pod, prefix } = crash
      const known = { id, time: isoTime(id), namespace, pod, ...UNFINISHED }
      return { prefix, isFinished: isFinished(crash), known }
    })
}

/** @returns Index prefixes that cover a query's times, newest first. */
export async function indexPrefixes(
  store: Store,
  query: Pick<LsQuery, 'since' | 'until'>,
  now: Date,
): Promise<string[]> {
  const until = query.until ?? new Date(now.getTime() + CLOCK_SKEW_MS)
  const { since } = query
  if (since !== undefined && until.getTime() - since.getTime() <= HOURLY_SPAN_MS_MAX) {
    const prefixes: string[] = []
    const firstHour = Math.floor(since.getTime() / HOUR_MS)
    for (let hour = Math.floor(until.getTime() / HOUR_MS); hour >= firstHour; hour--) {
      prefixes.push(hourPrefix(new Date(hour * HOUR_MS)))
    }
    return prefixes
  }
  const days: string[] = []
  for await (const page of store.list(INDEX_PREFIX, { grouped: true })) days.push(...page.prefixes)
  const firstDay = since === undefined ? '' : dayPrefix(since)
  const lastDay = query.until === undefined ? '~' : dayPrefix(query.until)
  const isWanted = (day: string) => parseDayPrefix(day) !== undefined && day >= firstDay && day <= lastDay
  return days.filter(isWanted).toReversed()
}

async function listIndex(store: Store, prefix: string, query: LsQuery): Promise<Candidate[]> {
  const candidates: Candidate[] = []
  for await (const page of store.list(prefix)) {
    for (const { key } of page.objects) {
      const crash = parseIndexKey(key)
      if (crash === undefined || !isWithin(query, crash.id)) continue
      const known = fromIndex(crash)
      if (matches(query, known)) candidates.push({ prefix: crash.prefix, isFinished: true, known })
    }
  }
  // Keys are in byte order, and begin with the time.
  return candidates.reverse()
}

async function* indexCandidates(store: Store, query: LsQuery, now: Date): AsyncGenerator<Candidate> {
  const inFlightMax = query.first ? FIRST_IN_FLIGHT_MAX : LISTS_IN_FLIGHT_MAX
  const prefixes = await indexPrefixes(store, query, now)
  const listed = mapConcurrent(prefixes, inFlightMax, prefix => listIndex(store, prefix, query))
  for await (const candidates of listed) yield* candidates
}

async function* entriesOf(
  store: Store,
  candidates: Iterable<Candidate> | AsyncIterable<Candidate>,
  query: LsQuery,
): AsyncGenerator<LsEntry> {
  if (query.pod !== undefined || query.node !== undefined || query.detailed) {
    // With -1 the first candidate is the answer, unless its manifest says that it is another node's.
    const firstInFlightMax = query.node === undefined ? 1 : FIRST_IN_FLIGHT_MAX
    const inFlightMax = query.first ? firstInFlightMax : GETS_IN_FLIGHT_MAX
    yield* mapConcurrent(candidates, inFlightMax, candidate => readEntry(store, candidate))
  } else {
    for await (const { known } of candidates) yield known
  }
}

/**
 * Crashes that match, newest first; each is yielded as soon as it is known, and none is looked up that is not asked for.
 * @throws CoreliftError `E_CRASH_UNKNOWN` when a pod is named and has no crash at all.
 */
export async function* listCrashes(store: Store, query: LsQuery, now: Date): AsyncGenerator<LsEntry> {
  const { pod } = query
  const candidates =
    pod === undefined ? indexCandidates(store, query, now) : await podCandidates(store, pod, query)
  for await (const entry of entriesOf(store, candidates, query)) {
    if (!matches(query, entry) || (query.node !== undefined && entry.node !== query.node)) continue
    yield entry
    if (query.first) return
  }
}
