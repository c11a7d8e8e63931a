// The filters of the overview, from a form's query and back.
import { before, parseTime } from '../commands/time.ts'
import { CoreliftError } from '../errors.ts'
import { signalNumber } from '../signals.ts'
import { INDEX_OUTCOMES, isCrashId, type IndexedCrash } from '../store/keys.ts'
import { NO_CONTAINER } from '../workload/place.ts'
import { workloadName } from './workload-name.ts'

/** As the form has them; absent where empty. */
export const FIELDS = [
  'namespace',
  'workload',
  'pod',
  'container',
  'comm',
  'signal',
  'outcome',
  'since',
  'until',
] as const
export type FieldName = (typeof FIELDS)[number]
export type Fields = Readonly<Partial<Record<FieldName, string>>>

export const SINCE_DEFAULT = '7d'
/** A node's clock may be ahead of this machine's. */
const CLOCK_SKEW_MS = 3_600_000

/** What to show. */
export interface OverviewQuery {
  readonly fields: Fields
  readonly since: Date
  readonly until: Date
  /** A page's crashes are older than this one. */
  readonly before: string | undefined
  readonly matches: (crash: IndexedCrash) => boolean
}

/** @returns What was typed, whatever it is. */
export function fieldsOf(query: URLSearchParams): Fields {
  return Object.fromEntries(
    FIELDS.flatMap(name => {
      const value = query.get(name)?.trim()
      return value ? [[name, value]] : []
    }),
  )
}

/** @throws CoreliftError `E_USAGE` for a time, a signal or a place in the list that is none. */
export function parseQuery(query: URLSearchParams, now: Date): OverviewQuery {
  const fields = fieldsOf(query)
  const since = parseTime(fields.since ?? SINCE_DEFAULT, now)
  const until = fields.until === undefined ? before(now, -CLOCK_SKEW_MS) : parseTime(fields.until, now)
  const cursor = query.get('before') ?? undefined
  if (cursor !== undefined && !isCrashId(cursor))
    throw new CoreliftError('E_USAGE', `not a crash's id: ${cursor}`)
  if (since > until)
    throw new CoreliftError('E_USAGE', 'the end of the time is before its beginning', {
      hint: 'times are UTC; “From” is the earlier one',
    })
  return { fields, since, until, before: cursor, matches: matcher(fields) }
}

function matcher(fields: Fields): (crash: IndexedCrash) => boolean {
  const { namespace, workload, pod, container, comm, outcome } = fields
  const signal = fields.signal === undefined ? undefined : parseSignal(fields.signal)
  if (outcome !== undefined && !INDEX_OUTCOMES.includes(outcome))
    throw new CoreliftError('E_USAGE', `not an outcome: ${outcome}`)
  return crash =>
    (namespace === undefined || crash.namespace === namespace) &&
    (workload === undefined || workloadName(crash.pod) === workload) &&
    (pod === undefined || crash.pod === pod) &&
    (container === undefined || (crash.container !== NO_CONTAINER && crash.container === container)) &&
    (comm === undefined || crash.comm === comm) &&
    (signal === undefined || crash.signal === signal) &&
    (outcome === undefined || crash.outcome === outcome)
}

function parseSignal(text: string): number {
  const number = signalNumber(text)
  if (number !== undefined) return number
  throw new CoreliftError('E_USAGE', `not a signal: ${text}`, { hint: 'SIGSEGV, SEGV and 11 are understood' })
}

/** @returns Path and query of the overview with these filters. */
export function overviewHref(fields: Fields, cursor?: string): string {
  const query = new URLSearchParams()
  for (const name of FIELDS) if (fields[name]) query.set(name, fields[name])
  if (cursor !== undefined) query.set('before', cursor)
  return query.size === 0 ? '/' : `/?${query.toString()}`
}

/** @returns Path of a crash's page: by its id, or by its prefix where there may be no index entry. */
export function crashHref(crash: { readonly id: string } | { readonly prefix: string }): string {
  return 'id' in crash ? `/crash/${crash.id}` : `/crash/${crash.prefix.split('/').slice(1, 4).join('/')}`
}
