// What a check of `corelift doctor` is, and what it says.
import type { ExaminedNode } from './examined-node.ts'

/** warn: works, but not as well as it might. skipped: could not be looked at, or there is nothing to look at. */
export type Verdict = 'ok' | 'warn' | 'fail' | 'skipped'

export interface Finding {
  readonly verdict: Verdict
  /** One line; may hold text of others. */
  readonly found: string
  /** What mends it, where that is another thing than the check's own `fix`: a command, else a sentence. */
  readonly fix?: string
}

/** In the order of their output. */
export const GROUPS = ['kernel', 'installation', 'store', 'node', 'workloads'] as const
export type Group = (typeof GROUPS)[number]

export interface Check {
  /** For monitoring: does not change. */
  readonly id: string
  readonly group: Group
  /** Why it matters, in a sentence. */
  readonly why: string
  /** What mends it as a rule: a command, else a sentence. */
  readonly fix: string
  /** Whether others than root are not allowed to look. */
  readonly needsRoot: boolean
  /** Default: CHECK_SECONDS. */
  readonly secondsMax?: number
  /** What it throws counts as a failure. */
  examine(node: ExaminedNode): Finding | Promise<Finding>
}

/** Of local files and programs, on a node that is short of everything. */
export const CHECK_SECONDS = 10

export const ok = (found: string): Finding => ({ verdict: 'ok', found })
export const skipped = (found: string): Finding => ({ verdict: 'skipped', found })
export const warn = (found: string, fix?: string): Finding => ({
  verdict: 'warn',
  found,
  ...(fix !== undefined && { fix }),
})
export const fail = (found: string, fix?: string): Finding => ({
  verdict: 'fail',
  found,
  ...(fix !== undefined && { fix }),
})

/** @returns `1 crash`, `3 crashes`. */
export const counted = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`

/** Names a few of many. */
export function someOf(items: readonly string[], max = 3): string {
  const more = items.length - max
  return items.slice(0, max).join(', ') + (more > 0 ? ` and ${more} more` : '')
}
