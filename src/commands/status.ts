// corelift status: what of this node's crashes waits for the store, since when and why, and how the last sweeps went.
import { closeSync } from 'node:fs'
import { openExistingStateDir } from '../budget/state-dir.ts'
import type { Config } from '../config/table.ts'
import type { Place } from '../crash.ts'
import type { CoreliftError } from '../errors.ts'
import type { Os } from '../os/os.ts'
import { openPending, openSpoolDir } from '../spool/open.ts'
import type { Spool, SpoolUsage } from '../spool/spool.ts'
import { idTime } from '../store/keys.ts'
import type { Drift } from '../sweep/drift.ts'
import { type Backoff, readSweepState } from '../sweep/sweep-state.ts'

export interface StatusReport {
  /** null: none is configured. */
  readonly spool: SpoolStatus | null
  /** Oldest first. */
  readonly waiting: readonly WaitingCrash[]
  /** ISO 8601; null: none since boot. */
  readonly lastSweep: string | null
  /** Of the last sweep that left nothing waiting for want of a store. */
  readonly lastSuccess: string | null
  readonly backoff: Backoff | null
  /** As the last sweep found it: kernel.core_pattern is another than that of the installation. */
  readonly drift: Drift | null
}

export interface SpoolStatus {
  readonly dir: string
  /** null where it cannot be used; `problem` then says why. */
  readonly usage: SpoolUsage | null
  readonly problem?: string
}

export interface WaitingCrash {
  readonly id: string
  /** ISO 8601: when it crashed. */
  readonly since: string | null
  /** null: its note cannot be read. */
  readonly place: Place | null
  /** What is to be sent, compressed. */
  readonly bytes: number
  /** `open`: its handler is at work, or was killed. */
  readonly state: 'open' | 'sealed' | 'unreadable'
  readonly outcome: string | null
  readonly why: string
}

/**
 * Reads what waits; sends and changes nothing.
 * @param config - The handlers'.
 * @throws CoreliftError `E_CONFIG` when budget.state_dir is not one to trust, or not root's to read.
 */
export async function statusReport(config: Config, os: Pick<Os, 'tryLock'>): Promise<StatusReport> {
  const directory = openExistingStateDir(config.budget.stateDir)
  const state = directory === undefined ? {} : readSweepState(directory)
  if (directory !== undefined) closeSync(directory)
  const pending = directory === undefined ? undefined : await openPending(os, config.budget)
  const { spool, status } = await openConfigured(config, os)
  try {
    const opened = [pending, spool].filter(each => each !== undefined)
    const waiting = (await Promise.all(opened.map(waitingIn))).flat()
    return {
      spool: status,
      waiting: waiting.sort((a, b) => (a.id < b.id ? -1 : 1)),
      lastSweep: state.lastRun ?? null,
      lastSuccess: state.lastSuccess ?? null,
      backoff: state.backoff ?? null,
      drift: state.drift ?? null,
    }
  } finally {
    await pending?.close()
    await spool?.close()
  }
}

async function openConfigured(
  { spool: settings }: Config,
  os: Pick<Os, 'tryLock'>,
): Promise<{ spool: Spool | undefined; status: SpoolStatus | null }> {
  const { dir } = settings
  if (dir === undefined) return { spool: undefined, status: null }
  try {
    const spool = await openSpoolDir(os, { ...settings, dir })
    return { spool, status: { dir, usage: await spool.usage() } }
  } catch (error) {
    return { spool: undefined, status: { dir, usage: null, problem: (error as CoreliftError).message } }
  }
}

async function waitingIn(spool: Spool): Promise<WaitingCrash[]> {
  const found = await Promise.all((await spool.ids()).map(async id => ({ id, seen: await spool.peek(id) })))
  return found.flatMap(({ id, seen }): WaitingCrash[] => {
    if (seen === undefined) return []
    const { note, bytes } = seen
    const since = idTime(id)?.toISOString() ?? null
    if (note === undefined || note === 'corrupt')
      return [
        { id, since, place: null, bytes, state: 'unreadable', outcome: null, why: 'its note cannot be read' },
      ]
    const { place, state, manifest, why } = note
    return [{ id, since, place, bytes, state, outcome: manifest.outcome, why }]
  })
}
