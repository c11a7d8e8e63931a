// Crashes of the same kind, for messages to people: a crash loop is one line with a number. Pure.
import { signalName } from '../signals.ts'
import type { CrashEvent, Fate } from './crash-event.ts'

/** Texts are printable, and of bounded length: a message of all groups stays below the 64 KiB of CloudEvents. */
export interface CrashGroup {
  /** Of a crash without one, its signal and program. */
  readonly signature: string
  readonly signal: string
  readonly comm: string
  readonly count: number
  /** ISO 8601. */
  readonly first: string
  readonly last: string
  readonly outcomes: Readonly<Partial<Record<Fate, number>>>
  /** Some of them, `namespace/pod`. */
  readonly pods: readonly string[]
  /** Of the one that has most of its memory: what to look at. Absent where none is kept. */
  readonly best?: { readonly id: string; readonly outcome: Fate }
}

export interface CrashGroups {
  readonly groups: readonly CrashGroup[]
  /** Crashes of more kinds than are told apart. */
  readonly others: number
}

export const NO_GROUPS: CrashGroups = { groups: [], others: 0 }

const GROUPS_MAX = 20
const PODS_MAX = 3
const SIGNATURE_LENGTH_MAX = 400
/** Nobody is to be told of what was asked not to be kept, nor of what another handler tells of. */
const UNTOLD: readonly Fate[] = ['off', 'chained']
/** From what has most of the memory. */
const BY_WORTH: readonly Fate[] = ['full', 'trimmed', 'mini', 'record']

export function groupCrashes(before: CrashGroups, events: readonly CrashEvent[]): CrashGroups {
  return events.filter(({ fate }) => !UNTOLD.includes(fate)).reduce(addCrash, before)
}

function addCrash({ groups, others }: CrashGroups, event: CrashEvent): CrashGroups {
  const signal = signalName(event.signal)
  const signature = (event.signature ?? `${signal} ${event.comm}`).slice(0, SIGNATURE_LENGTH_MAX)
  const known = groups.find(group => group.signature === signature)
  if (known) return { groups: groups.map(group => (group === known ? grown(group, event) : group)), others }
  if (groups.length === GROUPS_MAX) return { groups, others: others + 1 }
  const { comm, time } = event
  const empty = { signature, signal, comm, count: 0, first: time, last: time, outcomes: {}, pods: [] }
  return { groups: [...groups, grown(empty, event)], others }
}

function grown(group: CrashGroup, { id, time, fate, place }: CrashEvent): CrashGroup {
  const pod = `${place.namespace}/${place.pod}`
  const isKnown = group.pods.includes(pod) || group.pods.length === PODS_MAX
  const worth = BY_WORTH.indexOf(fate)
  const isBetter = worth !== -1 && (!group.best || worth <= BY_WORTH.indexOf(group.best.outcome))
  return {
    ...group,
    count: group.count + 1,
    first: time < group.first ? time : group.first,
    last: time > group.last ? time : group.last,
    outcomes: { ...group.outcomes, [fate]: (group.outcomes[fate] ?? 0) + 1 },
    pods: isKnown ? group.pods : [...group.pods, pod],
    ...(isBetter && { best: { id, outcome: fate } }),
  }
}

/** What somebody may do about it, as a command line; ids have no other characters than digits, letters and a hyphen. */
export function adviceFor({ best }: CrashGroup): string | undefined {
  return best && `corelift ${best.outcome === 'record' ? 'info' : 'debug'} ${best.id}`
}
