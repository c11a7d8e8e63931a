// `corelift uninstall`: puts back what the first installation found.
import { existsSync } from 'node:fs'
import path from 'node:path'
import { CoreliftError } from '../errors.ts'
import { pathChange, removeEmptyDirectories, removeTree, setSysctl, stopChange } from './changes.ts'
import { type InstallState, readInstallState } from './install-state.ts'
import {
  CONFIG_FILE,
  HANDLER_SLICE,
  INSTALL_FILE,
  readSysctl,
  SWEEP_SERVICE,
  SWEEP_TIMER,
  type SysctlName,
  versionsDir,
} from './layout.ts'
import { refuseOutOfReach } from './machine.ts'
import { ABSENT, writePath } from './paths.ts'
import type { Systemd } from './systemctl.ts'
import { carryOut, type CarryOutOptions, type Change } from './transaction.ts'

export interface UninstallOptions extends Omit<CarryOutOptions, 'afterFailure'> {
  /** Directory that stands for `/`. */
  readonly root: string
  /** Also what belongs to the admin: configuration and credentials, and what waits for the store. */
  readonly purge: boolean
  /** `budget.state_dir`, `spool.dir`: what handlers left on the node. */
  readonly leftovers: readonly string[]
  /** Of the node's metrics, which nobody would write any more. */
  readonly metricsFile: string | undefined
  /** Sends what waits. @returns How many crashes still wait. */
  readonly sendWaiting: () => Promise<number>
  readonly systemd: Systemd
}

export interface Uninstalled {
  /** Sysctls that others have changed since: left as they are. */
  readonly notOurs: readonly string[]
  /** Crashes that still wait for the store, kept in `leftovers`. */
  readonly waiting: number
}

/** @throws CoreliftError `E_INSTALL`; running it again goes on. */
export async function uninstall(options: UninstallOptions): Promise<Uninstalled> {
  const { root } = options
  const state = readInstallState(root)
  if (state === undefined)
    throw new CoreliftError('E_INSTALL', 'corelift is not installed here', {
      hint: `there is no ${path.join(root, INSTALL_FILE)}`,
    })
  if (root === '/') refuseOutOfReach()
  const found: { waiting: number } = { waiting: 0 }
  const notOurs = root === '/' ? changedByOthers(state) : []
  const changes = [...removal(state, notOurs, found, options), ...forgetting(state, found, options)]
  await carryOut(changes.map(withoutUndo), {
    ...options,
    afterFailure: 'what was done stays done; run it again',
  })
  return { notOurs, waiting: found.waiting }
}

/** Half an installation would serve nobody: what is done is done. */
const withoutUndo = ({ title, apply, isDone }: Change): Change => ({
  title,
  ...(apply && { apply }),
  ...(isDone && { isDone }),
})

function changedByOthers({ installed }: InstallState): SysctlName[] {
  return Object.entries(installed.sysctls)
    .filter(([name, value]) => readSysctl(name as SysctlName) !== value)
    .map(([name]) => name as SysctlName)
}

function removal(
  state: InstallState,
  notOurs: readonly SysctlName[],
  found: { waiting: number },
  options: UninstallOptions,
): Change[] {
  const { root, systemd } = options
  const paths = Object.entries(state.before.paths).map(([name, former]) => pathChange(root, name, former))
  if (root !== '/') return paths
  const sysctls = Object.keys(state.installed.sysctls) as SysctlName[]
  return [
    stopChange(systemd, SWEEP_TIMER),
    stopChange(systemd, SWEEP_SERVICE),
    ...sysctls.filter(name => !notOurs.includes(name)).map(name => sysctlBack(name, state)),
    sending(found, options),
    stopChange(systemd, HANDLER_SLICE),
    ...paths,
    { title: 'systemctl daemon-reload', apply: () => systemd.reload() },
    ...state.before.activeUnits.map(unit => startFormer(systemd, unit)),
    ...(hasFormerSysctls(state) ? [] : [readSysctlFiles(systemd)]),
  ]
}

/** What the kernel begins with, for a node whose image corelift was installed into: nobody saw what it had before. */
const KERNEL_DEFAULTS: Record<SysctlName, string> = {
  'kernel.core_pattern': 'core',
  'kernel.core_pipe_limit': '0',
  'fs.suid_dumpable': '0',
}

const hasFormerSysctls = ({ before }: InstallState): boolean => Object.keys(before.sysctls).length > 0

function sysctlBack(name: SysctlName, { before }: InstallState): Change {
  const former = before.sysctls[name] ?? KERNEL_DEFAULTS[name]
  return {
    title: `set ${name}=${former}`,
    isDone: () => readSysctl(name) === former,
    apply: () => setSysctl(name, former),
  }
}

function readSysctlFiles(systemd: Systemd): Change {
  return {
    title: 'read sysctl.d again',
    apply: () => systemd.restart('systemd-sysctl.service'),
  }
}

function startFormer(systemd: Systemd, unit: string): Change {
  return {
    title: `start ${unit}`,
    isDone: () => systemd.isActive(unit),
    apply: () => systemd.start(unit),
  }
}

function sending(found: { waiting: number }, { sendWaiting }: UninstallOptions): Change {
  return {
    title: 'send what waits for the store',
    async apply() {
      found.waiting = await sendWaiting()
    },
  }
}

/** The last of it: should anything before fail, the binary and the state are still there to go on with. */
function forgetting(
  state: InstallState,
  found: { waiting: number },
  { root, purge, leftovers, metricsFile }: UninstallOptions,
): Change[] {
  const { prefix } = state
  const isKept = () => found.waiting > 0 && !purge
  return [
    ...leftovers.map(directory => removeChange(root, directory, isKept)),
    ...(metricsFile === undefined ? [] : [removeChange(root, metricsFile)]),
    ...(purge ? [removeChange(root, path.dirname(CONFIG_FILE))] : []),
    // What runs keeps its file until it ends.
    ...(prefix === undefined ? [] : [removeChange(root, versionsDir(prefix))]),
    {
      ...pathChange(root, INSTALL_FILE, ABSENT),
      apply() {
        writePath(root, INSTALL_FILE, ABSENT)
        removeEmptyDirectories(root, state.before.madeDirectories)
      },
    },
  ]
}

function removeChange(root: string, directory: string, isKept: () => boolean = () => false): Change {
  const place = path.join(root, directory)
  return {
    title: `remove ${directory}`,
    isDone: () => !existsSync(place) || isKept(),
    apply: () => removeTree(place),
  }
}
