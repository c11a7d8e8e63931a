// What each command does with its options: opens the store, asks the command, prints what it says.

import { SYSTEM_CONFIG_FILE } from '../config/settings.ts'
import type { Config, ConfigKeyName } from '../config/table.ts'
import { CoreliftError, EXIT } from '../errors.ts'
import { printable } from '../printable.ts'
import { signalNumber } from '../signals.ts'
import type { Store } from '../store/store.ts'
import { nodePattern } from '../sweep/drift.ts'
import { sweep, type SweepDeps } from '../sweep/sweep.ts'
import { budgetReport } from './budget.ts'
import {
  configCheck,
  configCheckExit,
  configDefaults,
  configShow,
  renderConfigCheck,
  renderConfigShow,
} from './config.ts'
import { copyCore, defaultFile, fetchCore, findRetrievable, type Retrievable } from './get.ts'
import { crashInfo } from './info.ts'
import { listCrashes, type LsEntry, type LsQuery } from './ls.ts'
import { progressBar } from './progress.ts'
import { renderBudget } from './render-budget.ts'
import { renderInfo } from './render-info.ts'
import { renderStatus } from './render-status.ts'
import { renderSweep } from './render-sweep.ts'
import { renderWhose } from './render-workload.ts'
import { renderBytes, renderJson, renderList } from './render.ts'
import { storeFlags, type CliDeps, type GlobalOptions, type Session } from './session.ts'
import { statusReport } from './status.ts'
import { colorsFor, write } from './terminal.ts'
import { parseTime } from './time.ts'
import { whose } from './whose.ts'

export interface TargetOptions extends GlobalOptions {
  readonly namespace?: string
}

export interface LsOptions extends TargetOptions {
  readonly container?: string
  readonly node?: string
  readonly signal?: string
  readonly comm?: string
  readonly since?: string
  readonly until?: string
  readonly 1?: boolean
}

export interface GetOptions extends TargetOptions {
  readonly output?: string
  readonly force?: boolean
  readonly full?: boolean
  readonly mini?: boolean
}

export function note(session: Session, text: string): Promise<void> {
  return write(session.io.stderr, `corelift: ${printable(text)}\n`)
}

export function configSources(session: Session, options: GlobalOptions, required: readonly ConfigKeyName[]) {
  const { env } = session.io
  return { file: options.config, env, flags: storeFlags(options), required }
}

export async function withStore(
  session: Session,
  options: GlobalOptions,
  use: (store: Store) => Promise<void>,
): Promise<void> {
  const { config } = session.deps.loadConfig(configSources(session, options, ['store.url']))
  let retries = 0
  const onRetry = (failure: CoreliftError) => {
    // Once: a store that stays away is told by the error in the end.
    if (retries++ === 0) void note(session, `${failure.message}; trying again`).catch(() => undefined)
  }
  const store = await session.deps.openStore(config.store, { onRetry })
  try {
    await use(store)
  } finally {
    store.close()
  }
}

function parseSignal(text: string): number {
  const number = signalNumber(text)
  if (number !== undefined) return number
  throw new CoreliftError('E_USAGE', `not a signal: ${text}`, { hint: 'SIGSEGV, SEGV and 11 are understood' })
}

function lsQuery(pod: string | undefined, options: LsOptions, now: Date): LsQuery {
  const { signal, since, until } = options
  return {
    pod,
    namespace: options.namespace,
    container: options.container,
    node: options.node,
    signal: signal === undefined ? undefined : parseSignal(signal),
    comm: options.comm,
    since: since === undefined ? undefined : parseTime(since, now),
    until: until === undefined ? undefined : parseTime(until, now),
    first: options[1] ?? false,
    detailed: options.json ?? false,
  }
}

export async function runLs(session: Session, pod: string | undefined, options: LsOptions): Promise<void> {
  const { io, deps } = session
  const now = deps.now()
  const query = lsQuery(pod, options, now)
  await withStore(session, options, async store => {
    const entries: LsEntry[] = []
    for await (const entry of listCrashes(store, query, now)) entries.push(entry)
    const colors = colorsFor(io.stdout, io.env, options.color)
    await write(io.stdout, options.json ? renderJson(entries) : renderList(entries, colors))
    if (entries.length === 0) await note(session, `no crash in ${store.url} matches`)
  })
}

export async function runInfo(session: Session, target: string, options: TargetOptions): Promise<void> {
  const { io } = session
  await withStore(session, options, async store => {
    const info = await crashInfo(store, target, options.namespace)
    const colors = colorsFor(io.stdout, io.env, options.color)
    if (info.older > 0)
      await note(session, `the newest of the pod's ${info.older + 1} crashes: ${info.crash.id}`)
    await write(
      io.stdout,
      options.json ? renderJson(info.record) : renderInfo(info, colors, session.deps.demangle),
    )
  })
}

/** Says on stderr what is fetched, and what is missing of it. */
async function announce(session: Session, { crash, core, others }: Retrievable): Promise<void> {
  if (others > 0) await note(session, `the newest of the pod's ${others + 1} crashes: ${crash.id}`)
  const { kind, bytes, bytesMissing, bytesDropped, reason } = core
  const why = reason === undefined ? '' : ` (${reason})`
  if (kind === 'mini')
    await note(session, `the mini core: every thread's stack, without most of the memory${why}`)
  if (kind === 'trimmed')
    await note(session, `a trimmed core: ${renderBytes(bytesDropped)} of the memory were left out${why}`)
  if (bytesMissing > 0)
    await note(
      session,
      `this core is incomplete: ${bytesMissing} of ${bytesMissing + (bytes ?? 0)} bytes are missing at its end`,
    )
}

export async function runGet(session: Session, target: string, options: GetOptions): Promise<void> {
  const { io, deps } = session
  const isToStdout = options.output === '-'
  if (isToStdout && options.json) throw new CoreliftError('E_USAGE', '-o - and --json both write to stdout')
  if (options.full && options.mini) throw new CoreliftError('E_USAGE', '--full and --mini exclude each other')
  const wanted = options.full ? 'full' : options.mini ? 'mini' : 'best'
  await withStore(session, options, async store => {
    const found = await findRetrievable(store, target, options.namespace, wanted)
    const { crash, core } = found
    await announce(session, found)
    const path = options.output ?? defaultFile(found)
    const progress = await progressBar(session, core.bytes)
    let bytes = 0
    const onProgress = (soFar: number) => progress.update((bytes = soFar))
    try {
      if (isToStdout) {
        const sink = { write: (bytes: Uint8Array) => write(io.stdout, bytes) }
        await copyCore(found, deps.decompressor(), sink, onProgress, io.interrupted)
        return
      }
      const file = { path, force: options.force ?? false }
      await fetchCore(found, deps.decompressor(), file, onProgress, io.interrupted)
    } finally {
      progress.stop()
    }
    const { kind } = core
    const result = { id: crash.id, file: path, kind, bytes, complete: core.bytesMissing === 0 }
    await write(io.stdout, options.json ? renderJson(result) : `${path}\n`)
  })
}

/** The handler's file, not a person's: what that makes of a crash is the question. */
export function handlerConfig(
  { deps }: Session,
  options: GlobalOptions,
  required: readonly ConfigKeyName[] = [],
): Config {
  const file = options.config === undefined ? { searched: [SYSTEM_CONFIG_FILE] } : { file: options.config }
  return deps.loadConfig({ ...file, env: {}, required }).config
}

export async function runWhose(session: Session, pid: string, options: GlobalOptions): Promise<void> {
  const { io } = session
  const answer = await whose(pid, handlerConfig(session, options))
  const colors = colorsFor(io.stdout, io.env, options.color)
  await write(io.stdout, options.json ? renderJson(answer) : renderWhose(answer, colors))
}

export async function runBudget(session: Session, options: GlobalOptions): Promise<void> {
  const { io, deps } = session
  const report = budgetReport(handlerConfig(session, options), deps.now())
  const colors = colorsFor(io.stdout, io.env, options.color)
  await write(io.stdout, options.json ? renderJson(report) : renderBudget(report, colors))
}

export interface SweepCliOptions extends GlobalOptions {
  readonly now?: boolean
}

export async function runSweep(session: Session, options: SweepCliOptions): Promise<void> {
  const { io, deps } = session
  const config = handlerConfig(session, options, ['store.url'])
  const report = await sweep(config, sweepDeps(deps), { atOnce: options.now ?? false })
  await write(io.stdout, options.json ? renderJson(report) : renderSweep(report))
  if (report.state === 'swept' && report.waiting.length > 0) session.exitCode = EXIT.store
}

export function sweepDeps({ os, version, openStore, collect, now }: CliDeps): SweepDeps {
  const sleep = (milliseconds: number) => new Promise(resolve => setTimeout(resolve, milliseconds))
  return { os, version, openStore, collect, now, sleep, random: Math.random, pattern: nodePattern }
}

export async function runStatus(session: Session, options: GlobalOptions): Promise<void> {
  const { io, deps } = session
  const report = await statusReport(handlerConfig(session, options), deps.os)
  const colors = colorsFor(io.stdout, io.env, options.color)
  await write(io.stdout, options.json ? renderJson(report) : renderStatus(report, colors))
}

export async function runConfigCheck(
  session: Session,
  file: string | undefined,
  options: GlobalOptions,
): Promise<void> {
  const check = configCheck(file ?? options.config)
  session.exitCode = configCheckExit(check)
  await write(session.io.stdout, options.json ? renderJson(check) : renderConfigCheck(check))
}

export async function runConfigShow(session: Session, options: GlobalOptions): Promise<void> {
  const shown = configShow(configSources(session, options, []))
  await write(session.io.stdout, options.json ? renderJson(shown) : renderConfigShow(shown))
}

export async function runConfigDefaults(session: Session): Promise<void> {
  await write(session.io.stdout, configDefaults())
}
