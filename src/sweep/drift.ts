// Watches kernel.core_pattern: packages, other agents and containers with a writable /proc/sys change it, and from then on no
// crash is seen. Where the configuration says so it is set back.
import { setSysctl } from '../node/changes.ts'
import { readInstallState } from '../node/install-state.ts'
import { readSysctl } from '../node/layout.ts'

/** A core_pattern that is not the installation's. */
export interface Drift {
  readonly pattern: string
  /** ISO 8601: of the sweep that found it. */
  readonly since: string
  /** Why it could not be set back; absent where that was not to be done, or was. */
  readonly problem?: string
  readonly isSetBack: boolean
}

export interface PatternAccess {
  /** As `corelift install` left it; undefined: nothing is installed. */
  installed(): string | undefined
  current(): string
  /** @throws CoreliftError `E_INSTALL` */
  set(pattern: string): void
}

export const nodePattern: PatternAccess = {
  installed: () => readInstallState()?.installed.sysctls['kernel.core_pattern'],
  current: () => readSysctl('kernel.core_pattern'),
  set: pattern => setSysctl('kernel.core_pattern', pattern),
}

/**
 * @param known - What the last sweep found.
 * @param isEnforced - `node.enforce_core_pattern`.
 * @returns undefined where all is as it was installed. One that was set back is told once.
 */
export function findDrift(
  access: PatternAccess,
  known: Drift | undefined,
  isEnforced: boolean,
  now: Date,
): Drift | undefined {
  const installed = access.installed()
  if (installed === undefined) return undefined
  const pattern = access.current()
  if (pattern === installed) return undefined
  const isKnown = known?.pattern === pattern && !known.isSetBack
  const drift = { pattern, since: isKnown ? known.since : now.toISOString(), isSetBack: false }
  if (!isEnforced) return drift
  try {
    access.set(installed)
    return { ...drift, isSetBack: true }
  } catch (error) {
    return { ...drift, problem: (error as Error).message }
  }
}
