// `corelift sweep`: what a timer runs every minute. It finishes what handlers had to leave, counts the crashes that the
// kernel started no handler for, and drops what became too old. A sweep that finds nothing asks the store nothing.
import { closeSync } from 'node:fs'
import { hostname } from 'node:os'
import { openStateDir } from '../budget/state-dir.ts'
import type { Config } from '../config/table.ts'
import type { DropGroup } from '../kernel/drops.ts'
import type { Os } from '../os/os.ts'
import { openPending, openSpoolDir } from '../spool/open.ts'
import type { Spool } from '../spool/spool.ts'
import type { RetryHooks } from '../store/retry.ts'
import { collecting } from '../store/collecting.ts'
import type { Store } from '../store/store.ts'
import { type Delivery, deliver } from './deliver.ts'
import { type Drift, findDrift, type PatternAccess } from './drift.ts'
import { recordDrops } from './dropped-crashes.ts'
import { expire } from './expire.ts'
import { type NodeFacts, publish } from './publish.ts'
import {
  backoffAfter,
  openSweepLock,
  readSweepState,
  type SweepState,
  writeSweepState,
} from './sweep-state.ts'

export interface SweepDeps {
  readonly os: Pick<Os, 'tryLock'>
  readonly version: string
  openStore(config: Config['store'], hooks: RetryHooks): Promise<Store>
  /** Collects garbage, at once. */
  readonly collect: () => void
  readonly now: () => Date
  readonly sleep: (milliseconds: number) => Promise<unknown>
  /** As Math.random. */
  readonly random: () => number
  readonly pattern: PatternAccess
}

export interface SweepOptions {
  /** Neither waits for the jitter nor for a store that asked to be left alone. */
  readonly atOnce: boolean
}

export type SweepReport =
  /** Another one is at work. */
  | { readonly state: 'busy' }
  | ({
      readonly state: 'swept'
      /** Crashes that the kernel started no handler for, since the last sweep. */
      readonly dropped: readonly DropGroup[]
      /** Records of the kernel log that were overwritten before anybody read them. */
      readonly kernelLogLost: number
      /** Ids of crashes that waited for too long, and lost their cores or all. */
      readonly expired: readonly string[]
      /** kernel.core_pattern was found to be another than that of the installation. */
      readonly drift?: Drift
      /** Until when the store is left alone, ISO 8601. */
      readonly leftAloneUntil?: string
      /** Why `spool.dir` could not be used. */
      readonly spoolProblem?: string
      /** What of metrics and messages failed, and why. */
      readonly untold: readonly string[]
    } & Delivery)

/**
 * One sweep. Safe at any time, also twice at once, and to be killed anywhere.
 * @throws CoreliftError `E_CONFIG` when budget.state_dir cannot be used.
 */
export async function sweep(config: Config, deps: SweepDeps, options: SweepOptions): Promise<SweepReport> {
  const directory = openStateDir(config.budget.stateDir)
  try {
    const lock = openSweepLock(directory)
    try {
      if (!deps.os.tryLock(lock)) return { state: 'busy' }
      return await sweepLocked(directory, config, deps, options)
    } finally {
      closeSync(lock)
    }
  } finally {
    closeSync(directory)
  }
}

async function sweepLocked(
  directory: number,
  config: Config,
  deps: SweepDeps,
  options: SweepOptions,
): Promise<SweepReport> {
  const state = readSweepState(directory)
  const { spools, problem } = await openSpools(config, deps)
  try {
    const pending = spools[0]!
    const node = nodeOf(config)
    const { version, now } = deps
    const { groups, lost, position } = await recordDrops(pending, state.kernelLog, {
      config,
      node,
      version,
      deps,
    })
    // Now they are safe: the log is not read again, whatever becomes of the rest.
    const { drift: known, ...others } = state
    const drift = findDrift(deps.pattern, known, config.node.enforceCorePattern, now())
    const begun: SweepState = {
      ...others,
      ...(position && { kernelLog: position }),
      ...(drift && { drift }),
      lastRun: now().toISOString(),
    }
    writeSweepState(directory, begun)
    const expired = await expire(spools, config.spool.ageMax, now())
    const found = {
      ...{ dropped: groups, kernelLogLost: lost, expired },
      ...(problem && { spoolProblem: problem }),
      ...(drift && { drift }),
    }
    const facts: NodeFacts = {
      ...{ directory, config, node, spools, spoolProblem: problem, sweep: begun },
      ...{ isPatternOurs: isPatternOurs(deps, drift), dropped: groups, kernelLogLost: lost },
    }
    const untold = await publish(facts, deps)
    const { backoff } = begun
    if (backoff && new Date(backoff.until) > now() && !options.atOnce)
      return { state: 'swept', ...found, untold, ...NOTHING_SENT, leftAloneUntil: backoff.until }
    const delivery = await deliverAll(spools, config, deps, options)
    const ended = stateAfter(begun, delivery, deps)
    writeSweepState(directory, ended)
    const later = await publish({ ...facts, sweep: ended, dropped: [], kernelLogLost: 0 }, deps)
    return { state: 'swept', ...found, untold: [...new Set([...untold, ...later])], ...delivery }
  } finally {
    await Promise.all(spools.map(spool => spool.close()))
  }
}

function isPatternOurs({ pattern }: SweepDeps, drift: Drift | undefined): boolean | undefined {
  if (pattern.installed() === undefined) return undefined
  return drift === undefined || drift.isSetBack
}

const nodeOf = ({ node }: Pick<Config, 'node'>): string => node.name ?? hostname()

const NOTHING_SENT: Delivery = { sent: [], waiting: [], busy: 0, salvaged: [], debugFiles: 0 }

/** Notes and records first: that one is always there. */
async function openSpools(
  config: Config,
  { os }: SweepDeps,
): Promise<{ spools: Spool[]; problem: string | undefined }> {
  const pending = await openPending(os, config.budget)
  if (config.spool.dir === undefined) return { spools: [pending], problem: undefined }
  try {
    return { spools: [pending, await openSpoolDir(os, config.spool)], problem: undefined }
  } catch (error) {
    return { spools: [pending], problem: (error as Error).message }
  }
}

/** A request that fails is tried again by the next sweep: a few seconds are for what passes at once. */
const RETRY_SECONDS_MAX = 5

async function deliverAll(
  spools: readonly Spool[],
  config: Config,
  deps: SweepDeps,
  { atOnce }: SweepOptions,
): Promise<Delivery> {
  const waiting = await Promise.all(
    spools.map(async spool => [await spool.ids(), await spool.debugFiles.list()]),
  )
  if (waiting.flat(2).length === 0) return NOTHING_SENT
  if (!atOnce) await deps.sleep(deps.random() * config.sweep.jitterSeconds * 1000)
  const retrySeconds = Math.min(config.store.retrySeconds, RETRY_SECONDS_MAX)
  const opened = await deps.openStore({ ...config.store, retrySeconds }, {})
  const store = collecting(opened, deps.collect)
  try {
    const { now, version, random } = deps
    const { graceSeconds } = config.sweep
    return await deliver(spools, store, { node: nodeOf(config), version, graceSeconds, now, random })
  } finally {
    store.close()
  }
}

function stateAfter(state: SweepState, { waiting }: Delivery, { now, random }: SweepDeps): SweepState {
  const { backoff, ...rest } = state
  const throttled = waiting.find(({ code }) => code === 'E_STORE_THROTTLED')
  if (throttled) return { ...rest, backoff: backoffAfter(backoff, throttled.why, now(), random) }
  return waiting.length > 0 ? rest : { ...rest, lastSuccess: now().toISOString() }
}
