// What an installation notes: what was there before the first one, and what this one leaves.
import { createHash } from 'node:crypto'
import type { InstallState } from './install-state.ts'
import { CONFIG_FILE, INSTALL_FILE, readSysctl, SYSCTLS, type SysctlName } from './layout.ts'
import { isSame, missingDirectories, type PathContent, readPath } from './paths.ts'
import type { Plan } from './plan.ts'
import type { Systemd } from './systemctl.ts'

export interface StateOptions {
  /** Directory that stands for `/`. */
  readonly root: string
  readonly prefix: string | undefined
  readonly version: string
  readonly systemd: Systemd
  readonly now: Date
}

/**
 * @param previous - Of the installation that is there already: what it found was before corelift, what it left was not.
 * @returns `previous` itself where nothing is new.
 */
export async function stateAfter(
  previous: InstallState | undefined,
  plan: Plan,
  options: StateOptions,
): Promise<InstallState> {
  const { root, prefix, version, now } = options
  const written = [...plan.paths.keys(), CONFIG_FILE, INSTALL_FILE, ...(plan.copy ? [plan.copy] : [])]
  const before = previous?.before
  const state: InstallState = {
    format: 1,
    version,
    time: previous?.time ?? now.toISOString(),
    binary: plan.binary,
    ...(prefix !== undefined && { prefix }),
    before: {
      sysctls: before?.sysctls ?? (root === '/' ? currentSysctls() : {}),
      paths: { ...formerPaths(root, plan), ...pathsStillDue(root, plan, previous) },
      madeDirectories: [
        ...new Set([...(before?.madeDirectories ?? []), ...missingDirectories(root, written)]),
      ],
      activeUnits: [...new Set([...(before?.activeUnits ?? []), ...(await activeRivals(plan, options))])],
    },
    installed: {
      sysctls: plan.sysctls,
      paths: Object.fromEntries([...plan.paths].map(([name, content]) => [name, digestOf(content)])),
    },
  }
  const isNews = JSON.stringify(state) !== JSON.stringify(previous)
  return isNews ? { ...state, time: now.toISOString() } : state
}

function currentSysctls(): Record<string, string> {
  return Object.fromEntries((Object.keys(SYSCTLS) as SysctlName[]).map(name => [name, readSysctl(name)]))
}

function formerPaths(root: string, plan: Plan): Record<string, PathContent> {
  return Object.fromEntries([...plan.paths.keys()].map(name => [name, readPath(root, name)]))
}

/** What the first installation found holds; of paths that this one does not want any more, until they are as they were. */
function pathsStillDue(
  root: string,
  plan: Plan,
  previous: InstallState | undefined,
): Record<string, PathContent> {
  const known = Object.entries(previous?.before.paths ?? {})
  return Object.fromEntries(
    known.filter(([name, former]) => plan.paths.has(name) || !isSame(readPath(root, name), former)),
  )
}

async function activeRivals({ rivals }: Plan, { root, systemd }: StateOptions): Promise<string[]> {
  if (root !== '/') return []
  const active: string[] = []
  for (const unit of rivals) if (await systemd.isActive(unit)) active.push(unit)
  return active
}

/** As `InstallState.installed.paths` has it. */
export function digestOf(content: PathContent): string {
  if (content.kind === 'absent') return 'absent'
  if (content.kind === 'link') return `link:${content.target}`
  return createHash('sha256').update(Buffer.from(content.contentBase64, 'base64')).digest('hex')
}
