// `corelift install`: checks the node, changes it step by step, and proves by a crash that it works; or puts everything back.
import { existsSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import path from 'node:path'
import type { Config } from '../config/table.ts'
import { copyChange, linkedVersion, pruneVersions } from './binary.ts'
import {
  pathChange,
  removeEmptyDirectories,
  removeTree,
  setSysctl,
  startChange,
  sysctlChange,
} from './changes.ts'
import { encodeInstallState, type InstallState, readInstallState } from './install-state.ts'
import {
  CONFIG_FILE,
  HANDLER_SLICE,
  INSTALL_FILE,
  readSysctl,
  SWEEP_TIMER,
  type SysctlName,
  UNIT_DIR,
} from './layout.ts'
import { refuseUnfit } from './machine.ts'
import { fileOf, type PathContent } from './paths.ts'
import { type Plan, planInstallation } from './plan.ts'
import { rivalsOf } from './rivals.ts'
import { stateAfter } from './state-after.ts'
import { type SysctlConflict, sysctlConflicts } from './sysctl-conflicts.ts'
import type { Systemd } from './systemctl.ts'
import { carryOut, type CarryOutOptions, type Change } from './transaction.ts'

export interface InstallOptions extends Omit<CarryOutOptions, 'afterFailure'> {
  /** Directory that stands for `/`: an image's, where it is not `/` itself. */
  readonly root: string
  /** undefined: the running binary stays where it is, a package's. */
  readonly prefix: string | undefined
  readonly source: { readonly path: string; readonly sha256: string }
  readonly version: string
  /** As it will be. */
  readonly config: Config
  /** To be written to CONFIG_FILE; undefined: what is there stays. */
  readonly configText: string | undefined
  readonly systemd: Systemd
  readonly now: Date
  /** Proves that a crash reaches the store; undefined: that is not asked for. */
  readonly prove: (() => Promise<void>) | undefined
}

export interface Installed {
  /** What core_pattern names. */
  readonly binary: string
  /** Sysctls that files of others set to another value at the next boot; never the pattern, which is refused. */
  readonly conflicts: readonly SysctlConflict[]
}

/** @throws CoreliftError `E_INSTALL` or `E_CANARY`; the node is as it was before then, or the hint says what is not. */
export async function install(options: InstallOptions): Promise<Installed> {
  const { root, prefix } = options
  const previous = readInstallState(root)
  const plan = await planFor(options, previous)
  const state = await stateAfter(previous, plan, options)
  const directories = [...new Set(Object.keys(state.before.paths).map(name => path.dirname(name)))]
  const conflicts = sysctlConflicts(plan.sysctls, root)
  refuseUnfit({
    ...{ root, conflicts },
    directories: [...directories, path.dirname(INSTALL_FILE), path.dirname(plan.copy ?? plan.binary)],
    binaryDirectory: path.dirname(plan.copy ?? plan.binary),
  })
  const formerVersion = prefix === undefined ? undefined : linkedVersion(root, prefix)
  await carryOut(changesFor(plan, previous, state, options), {
    ...options,
    afterFailure: 'the node is as it was before',
  })
  if (!options.dryRun && prefix !== undefined && plan.copy !== undefined)
    pruneVersions(root, prefix, [path.basename(path.dirname(plan.copy)), formerVersion])
  return { binary: plan.binary, conflicts }
}

async function planFor(options: InstallOptions, previous: InstallState | undefined): Promise<Plan> {
  const { root, config, systemd } = options
  const isLive = root === '/'
  const formerPattern =
    previous?.before.sysctls['kernel.core_pattern'] ?? (isLive ? readSysctl('kernel.core_pattern') : '')
  const rivals = rivalsOf({
    root,
    systemdVersion: isLive ? await systemd.version() : undefined,
    chainedTo: config.node.chainHostProcesses ? formerPattern : undefined,
  })
  const node = isLive ? { memoryBytes: totalmem(), processors: cpus().length } : SMALLEST_NODE
  return planInstallation({ ...options, node, rivals })
}

/** Of an image nobody knows what it will run on; an installation on the node itself takes what that has. */
const SMALLEST_NODE = { memoryBytes: 0, processors: 1 }

/** In the order in which they are applied; undone from the last to the first. */
function changesFor(
  plan: Plan,
  previous: InstallState | undefined,
  state: InstallState,
  options: InstallOptions,
): Change[] {
  const { root, source, configText } = options
  let unitsChanged = false
  const onChange = () => void (unitsChanged = true)
  const change = (name: string, content: PathContent) =>
    pathChange(root, name, content, name.startsWith(UNIT_DIR) ? onChange : undefined)
  const files = [...plan.paths].map(([name, content]) => change(name, content))
  const obsolete = Object.entries(previous?.before.paths ?? {})
    .filter(([name]) => !plan.paths.has(name))
    .map(([name, former]) => change(name, former))
  const written = [
    stateChange(root, state),
    ...(configText === undefined ? [] : [pathChange(root, CONFIG_FILE, fileOf(configText))]),
    ...(plan.copy === undefined ? [] : [copyChange(root, source, plan.copy)]),
  ]
  if (root !== '/') return [...written, ...files, ...obsolete]
  return [
    ...written,
    ...liveChanges([...files, ...obsolete], () => unitsChanged, plan, state, options),
    ...proof(options),
  ]
}

/** Notes what was there before anything is changed: an installation that is killed can still be undone. */
function stateChange(root: string, state: InstallState): Change {
  const change = pathChange(root, INSTALL_FILE, fileOf(encodeInstallState(state), 0o600))
  return {
    ...change,
    title: `note what was there before in ${INSTALL_FILE}`,
    async undo() {
      await change.undo?.()
      removeEmptyDirectories(root, state.before.madeDirectories)
    },
  }
}

/** Of a booted node: files, and what systemd and the kernel are to make of them. */
function liveChanges(
  files: readonly Change[],
  areChanged: () => boolean,
  plan: Plan,
  state: InstallState,
  { root, systemd, config }: InstallOptions,
): Change[] {
  const reload = () => (areChanged() ? systemd.reload() : undefined)
  const { activeUnits } = state.before
  const rivals = activeUnits.filter(unit => plan.rivals.includes(unit))
  // Whom an earlier installation stopped, and this one hands crashes on to.
  const wantedAgain = activeUnits.filter(unit => !plan.rivals.includes(unit))
  const stopped: string[] = []
  return [
    ...leftByCrashes(root, config.budget.stateDir),
    { title: 'start what was stopped', undo: () => startAgain(systemd, stopped) },
    { title: 'systemctl daemon-reload', undo: reload },
    ...files,
    { title: 'systemctl daemon-reload', isDone: () => !areChanged(), apply: reload },
    startChange(systemd, HANDLER_SLICE),
    ...wantedAgain.map(unit => startChange(systemd, unit)),
    // The pattern last: from then on crashes come here.
    ...SYSCTL_ORDER.map(name => sysctlChange(name, plan.sysctls[name])),
    ...rivals.map(unit => stopRival(systemd, unit, plan, () => void stopped.push(unit))),
    startChange(systemd, SWEEP_TIMER),
  ]
}

const SYSCTL_ORDER: readonly SysctlName[] = [
  'fs.suid_dumpable',
  'kernel.core_pipe_limit',
  'kernel.core_pattern',
]

/** What handlers keep on the node: nobody would ever send what waits there, the canary's crash for one. */
function leftByCrashes(root: string, stateDir: string): Change[] {
  const directory = path.join(root, stateDir)
  return existsSync(directory) ? [] : [{ title: `remove ${stateDir}`, undo: () => removeTree(directory) }]
}

async function startAgain(systemd: Systemd, units: readonly string[]): Promise<void> {
  for (const unit of units) await systemd.start(unit)
}

/** Some set a core_pattern of their own when they stop. What started them again is `startAgain`. */
function stopRival(systemd: Systemd, unit: string, plan: Plan, onStop: () => void): Change {
  return {
    title: `stop ${unit}`,
    isDone: async () => !(await systemd.isActive(unit)),
    async apply() {
      onStop()
      await systemd.stop(unit)
      setSysctl('kernel.core_pattern', plan.sysctls['kernel.core_pattern'])
    },
  }
}

function proof({ prove }: InstallOptions): Change[] {
  return prove === undefined ? [] : [{ title: 'crash a process and find it in the store', apply: prove }]
}
