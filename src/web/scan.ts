// One pass over the index for a page: how many crashes match, of when and of whom, and those of one page of the list.
// What it holds does not grow with the number of crashes: a page, the hours, and the workloads up to a limit.
import { mapConcurrent } from '../commands/concurrent.ts'
import { LISTS_IN_FLIGHT_MAX } from '../commands/find.ts'
import { indexPrefixes, isWithin } from '../commands/ls.ts'
import { idTime, parseIndexKey, type IndexedCrash } from '../store/keys.ts'
import type { Store } from '../store/store.ts'
import type { OverviewQuery } from './query.ts'
import { workloadName } from './workload-name.ts'

export const PAGE_CRASHES = 100
export const HOUR_MS = 3_600_000
/** Of which the signatures are looked up. */
export const NEWEST_CRASHES = 200
/** More of them are counted together: only the first few are shown. */
const WORKLOADS_MAX = 10_000

/** Crashes of one workload. */
export interface WorkloadCount {
  readonly namespace: string
  readonly workload: string
  count: number
}

export interface Scan {
  /** All that match. */
  total: number
  /** By the hours since the epoch. */
  readonly hours: Map<number, number>
  readonly workloads: Map<string, WorkloadCount>
  /** Newest first. */
  readonly newest: IndexedCrash[]
  /** Of the page that was asked for, newest first. */
  readonly page: IndexedCrash[]
  /** How many are newer than the page's. */
  newer: number
  /** Ids of those before the page, oldest first: one more than a page, as it leads to the page before. */
  readonly newerIds: string[]
}

function emptyScan(): Scan {
  return {
    total: 0,
    hours: new Map(),
    workloads: new Map(),
    newest: [],
    page: [],
    newer: 0,
    newerIds: [],
  }
}

/**
 * @param onAnswer - Called as soon as the store has shown some of its index.
 * @throws CoreliftError `E_STORE_…`
 */
export async function scanIndex(
  store: Store,
  query: OverviewQuery,
  now: Date,
  onAnswer: () => void,
): Promise<Scan> {
  const scan = emptyScan()
  const prefixes = await indexPrefixes(store, query, now)
  const parts = mapConcurrent(prefixes, LISTS_IN_FLIGHT_MAX, prefix =>
    scanPrefix(store, prefix, query, onAnswer),
  )
  // Newest first, as the prefixes are.
  for await (const part of parts) addPart(scan, part)
  return scan
}

/** Keys are in byte order, and begin with the time: oldest first. */
async function scanPrefix(
  store: Store,
  prefix: string,
  query: OverviewQuery,
  onAnswer: () => void,
): Promise<Scan> {
  const part = emptyScan()
  for await (const { objects } of store.list(prefix)) {
    onAnswer()
    for (const { key } of objects) {
      const crash = parseIndexKey(key)
      if (crash !== undefined && isWithin(query, crash.id) && query.matches(crash))
        addCrash(part, crash, query)
    }
    keepNewest(part.newest, NEWEST_CRASHES)
    keepNewest(part.page, PAGE_CRASHES)
  }
  part.newest.reverse()
  part.page.reverse()
  return part
}

function keepNewest(oldestFirst: IndexedCrash[], count: number): void {
  if (oldestFirst.length > count) oldestFirst.splice(0, oldestFirst.length - count)
}

function addCrash(part: Scan, crash: IndexedCrash, { before }: OverviewQuery): void {
  part.total++
  const hour = Math.floor((idTime(crash.id)?.getTime() ?? 0) / HOUR_MS)
  part.hours.set(hour, (part.hours.get(hour) ?? 0) + 1)
  addWorkload(part, { namespace: crash.namespace, workload: workloadName(crash.pod), count: 1 })
  part.newest.push(crash)
  if (before === undefined || crash.id < before) {
    part.page.push(crash)
    return
  }
  part.newer++
  if (part.newerIds.length <= PAGE_CRASHES) part.newerIds.push(crash.id)
}

function addWorkload({ workloads }: Scan, { namespace, workload, count }: WorkloadCount): void {
  const name = `${namespace}/${workload}`
  const known = workloads.get(name)
  if (known) known.count += count
  else if (workloads.size < WORKLOADS_MAX) workloads.set(name, { namespace, workload, count })
}

/** @param part - Of older crashes than those so far. */
function addPart(scan: Scan, part: Scan): void {
  scan.total += part.total
  scan.newer += part.newer
  for (const [hour, count] of part.hours) scan.hours.set(hour, (scan.hours.get(hour) ?? 0) + count)
  for (const workload of part.workloads.values()) addWorkload(scan, workload)
  scan.newest.push(...part.newest.slice(0, NEWEST_CRASHES - scan.newest.length))
  scan.page.push(...part.page.slice(0, PAGE_CRASHES - scan.page.length))
  scan.newerIds.unshift(...part.newerIds)
  scan.newerIds.splice(PAGE_CRASHES + 1)
}
