// What an installation is to leave on a node, worked out before anything is changed.
import path from 'node:path'
import { corePattern } from '../kernel/core-pattern.ts'
import {
  binaryLink,
  HANDLER_SLICE,
  SWEEP_SERVICE,
  SWEEP_TIMER,
  SYSCTL_FILE,
  SYSCTL_OVERRIDE,
  type SysctlName,
  UNIT_DIR,
  versionedBinary,
} from './layout.ts'
import { fileOf, linkTo, type PathContent } from './paths.ts'
import { pipeLimit, sysctlFile, SYSCTL_OVERRIDE_TEXT } from './sysctl-files.ts'
import { handlerSlice, SWEEP_TIMER_TEXT, sweepService } from './units.ts'

export interface PlanOptions {
  /** undefined: the running binary stays where it is, a package's. */
  readonly prefix: string | undefined
  /** The running binary: where it is, and its sha256 in hex. */
  readonly source: { readonly path: string; readonly sha256: string }
  readonly version: string
  readonly node: { readonly memoryBytes: number; readonly processors: number }
  /** Units that would take kernel.core_pattern. */
  readonly rivals: readonly string[]
}

export interface Plan {
  /** What core_pattern names. */
  readonly binary: string
  /** Where the binary is copied to; undefined: nowhere. */
  readonly copy: string | undefined
  readonly sysctls: Readonly<Record<SysctlName, string>>
  /** By path, in the order in which they are written. */
  readonly paths: ReadonlyMap<string, PathContent>
  readonly rivals: readonly string[]
}

/** @throws CoreliftError `E_USAGE` where the binary's path is too long for the kernel. */
export function planInstallation({ prefix, source, version, node, rivals }: PlanOptions): Plan {
  const copy = prefix === undefined ? undefined : versionedBinary(prefix, version, source.sha256)
  const binary = prefix === undefined ? source.path : binaryLink(prefix)
  const sysctls = {
    'kernel.core_pattern': corePattern([binary, 'handle']),
    'kernel.core_pipe_limit': String(pipeLimit(node.memoryBytes)),
    'fs.suid_dumpable': '2',
  }
  const unit = (name: string) => path.join(UNIT_DIR, name)
  const paths: [string, PathContent][] = [
    ...(copy === undefined ? [] : [[binary, linkFrom(binary, copy)] as [string, PathContent]]),
    [SYSCTL_FILE, fileOf(sysctlFile(sysctls))],
    [SYSCTL_OVERRIDE, fileOf(SYSCTL_OVERRIDE_TEXT)],
    [unit(SWEEP_SERVICE), fileOf(sweepService(binary))],
    [unit(SWEEP_TIMER), fileOf(SWEEP_TIMER_TEXT)],
    [unit(HANDLER_SLICE), fileOf(handlerSlice(node.processors))],
    // As `systemctl enable` and `mask` would; files also do for an image that is not booted.
    [unit(`timers.target.wants/${SWEEP_TIMER}`), linkTo(`../${SWEEP_TIMER}`)],
    [unit(`multi-user.target.wants/${HANDLER_SLICE}`), linkTo(`../${HANDLER_SLICE}`)],
    ...rivals.map((rival): [string, PathContent] => [unit(rival), linkTo('/dev/null')]),
  ]
  return { binary, copy, sysctls, paths: new Map(paths), rivals }
}

const linkFrom = (link: string, target: string): PathContent =>
  linkTo(path.relative(path.dirname(link), target))
