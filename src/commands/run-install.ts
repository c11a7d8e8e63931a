// corelift install, uninstall and canary: from options to the node.
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import path from 'node:path'
import { SYSTEM_CONFIG_FILE } from '../config/settings.ts'
import type { Config } from '../config/table.ts'
import { CoreliftError } from '../errors.ts'
import { sha256OfFile } from '../node/binary.ts'
import { type CanaryReport, flyCanary } from '../node/canary.ts'
import { install } from '../node/install.ts'
import { conflictWords, refuseOthers } from '../node/machine.ts'
import { systemd } from '../node/systemctl.ts'
import type { Step } from '../node/transaction.ts'
import { uninstall } from '../node/uninstall.ts'
import { sweep } from '../sweep/sweep.ts'
import { textfileIn } from '../sweep/textfile.ts'
import { nodeEvents } from './node-events.ts'
import { readCanaryBack } from './canary-back.ts'
import { renderCanary, renderStep, renderUninstalled } from './render-install.ts'
import { renderJson } from './render.ts'
import { handlerConfig, note, sweepDeps } from './run.ts'
import type { GlobalOptions, Session } from './session.ts'
import { statusReport } from './status.ts'
import { colorsFor, write } from './terminal.ts'

interface NodeOptions extends GlobalOptions {
  readonly dryRun?: boolean
  readonly root?: string
}

export interface InstallCliOptions extends NodeOptions {
  readonly replaceConfig?: boolean
  readonly prefix: string
  readonly inPlace?: boolean
  readonly canary: boolean
}

export interface UninstallCliOptions extends NodeOptions {
  readonly purge?: boolean
}

export type CanaryCliOptions = GlobalOptions

/** Units start and stop: an interrupted installation is undone before the program ends. */
const UNDO_MS_MAX = 120_000

export async function runInstall(session: Session, options: InstallCliOptions): Promise<void> {
  const { io, deps } = session
  refuseOthers('install')
  session.cleanupMilliseconds = UNDO_MS_MAX
  const root = rootOf(options)
  const { config, text } = await configToInstall(session, root, options)
  const source = realpathSync('/proc/self/exe')
  let canary: CanaryReport | undefined
  const prove = async () => {
    canary = await fly(session, config)
  }
  const { steps, onStep } = stepPrinter(session, options)
  const { binary, conflicts } = await install({
    ...{ root, onStep, systemd, config, configText: text },
    dryRun: options.dryRun ?? false,
    prefix: options.inPlace ? undefined : prefixOf(options),
    source: { path: source, sha256: await sha256OfFile(source) },
    version: deps.version,
    now: deps.now(),
    interrupted: io.interrupted,
    prove: options.canary ? prove : undefined,
  })
  for (const conflict of conflicts) await note(session, conflictWords(conflict))
  if (options.json) return await write(io.stdout, renderJson({ binary, steps, canary: canary ?? null }))
  if (canary) await write(io.stdout, renderCanary(canary))
  if (options.dryRun) await note(session, 'nothing was changed (--dry-run)')
}

export async function runUninstall(session: Session, options: UninstallCliOptions): Promise<void> {
  const { io } = session
  refuseOthers('uninstall')
  session.cleanupMilliseconds = UNDO_MS_MAX
  const root = rootOf(options)
  const config = root === '/' ? usableConfig(session) : undefined
  const { steps, onStep } = stepPrinter(session, options)
  const done = await uninstall({
    ...{ root, onStep, systemd },
    dryRun: options.dryRun ?? false,
    purge: options.purge ?? false,
    leftovers: config === undefined ? [] : [config.budget.stateDir, config.spool.dir ?? []].flat(),
    metricsFile: config?.metrics.textfileDir && textfileIn(config.metrics.textfileDir),
    sendWaiting: () => (config === undefined ? Promise.resolve(0) : sendWaiting(session, config)),
    interrupted: io.interrupted,
  })
  await write(io.stdout, options.json ? renderJson({ ...done, steps }) : renderUninstalled(done, options))
}

export async function runCanary(session: Session, options: CanaryCliOptions): Promise<void> {
  const { io } = session
  refuseOthers('canary')
  const report = await fly(session, handlerConfig(session, options, ['store.url']))
  await write(io.stdout, options.json ? renderJson(report) : renderCanary(report))
}

function rootOf({ root = '/' }: NodeOptions): string {
  const directory = path.resolve(root)
  if (existsSync(directory)) return directory
  throw new CoreliftError('E_USAGE', `--root ${directory} is not there`)
}

function prefixOf({ prefix }: InstallCliOptions): string {
  if (path.isAbsolute(prefix)) return path.normalize(prefix)
  throw new CoreliftError('E_USAGE', `--prefix ${prefix} is no absolute path`)
}

/**
 * The configuration that the handlers will have, checked as they will read it.
 * @returns `text` where it is to be written.
 */
async function configToInstall(
  session: Session,
  root: string,
  { config: given, replaceConfig, inPlace }: InstallCliOptions,
): Promise<{ config: Config; text: string | undefined }> {
  const existing = path.join(root, SYSTEM_CONFIG_FILE)
  const isKept = existsSync(existing) && !replaceConfig
  if (given === undefined && !existsSync(existing))
    throw new CoreliftError('E_CONFIG', `there is no ${existing}, and nothing says where crashes are to go`, {
      hint: `${inPlace ? `write ${SYSTEM_CONFIG_FILE}` : 'corelift install --config FILE'}; corelift config defaults prints one to begin with`,
    })
  const file = isKept || given === undefined ? existing : given
  const { config } = session.deps.loadConfig({ file, env: {}, required: ['store.url'] })
  const text = file === existing ? undefined : readFileSync(file, 'utf8')
  if (isKept && given !== undefined && readFileSync(given, 'utf8') !== readFileSync(existing, 'utf8'))
    await note(
      session,
      `${existing} stays as it is, which is not as ${given}: --replace-config puts that there`,
    )
  return { config, text }
}

/** One that cannot be used must not keep anybody from uninstalling. */
function usableConfig(session: Session): Config | undefined {
  try {
    return handlerConfig(session, { color: false })
  } catch {
    return undefined
  }
}

async function sendWaiting(session: Session, config: Config): Promise<number> {
  const { deps } = session
  // Why it did not go is told by what still waits.
  if (config.store.url !== undefined)
    await sweep(config, sweepDeps(deps), { atOnce: true }).catch(() => undefined)
  return (await statusReport(config, deps.os)).waiting.length
}

function stepPrinter(session: Session, options: NodeOptions) {
  const { stdout, env } = session.io
  const colors = colorsFor(stdout, env, options.color)
  const steps: Step[] = []
  const onStep = async (step: Step): Promise<void> => {
    steps.push(step)
    if (!options.json) await write(stdout, renderStep(step, colors))
  }
  return { steps, onStep }
}

/** The dump, its retries, and a moment for what comes between. */
const secondsMaxOf = ({ hold, store }: Config): number => hold.secondsMax + store.retrySeconds + 30

async function fly({ io, deps }: Session, config: Config): Promise<CanaryReport> {
  return await flyCanary({
    recentEvents: () => nodeEvents(config.budget.stateDir),
    readBack: event => readCanaryBack(event, config.store, deps, io.interrupted),
    secondsMax: secondsMaxOf(config),
    interrupted: io.interrupted,
  })
}
