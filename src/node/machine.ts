// Whether a node is one to install on: every reason against it at once.
import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { release } from 'node:os'
import path from 'node:path'
import { CoreliftError } from '../errors.ts'
import { SYSCTLS } from './layout.ts'
import { isSameNamespace, mountOf } from './mounts.ts'
import type { SysctlConflict } from './sysctl-conflicts.ts'

/** pidfd_open(2), and patterns that are split before names are put into them. */
const KERNEL_MIN = [5, 3] as const
/** What the binary is linked against. */
const GLIBC_MIN = [2, 34] as const

export interface MachineQuestion {
  /** Directory that stands for `/`. */
  readonly root: string
  /** Directories that are written to. */
  readonly directories: readonly string[]
  /** The directory that the binary will run from. */
  readonly binaryDirectory: string
  /** What would hold against it from the next boot on. */
  readonly conflicts: readonly SysctlConflict[]
}

/** @throws CoreliftError `E_INSTALL` with a line for each reason. */
export function refuseUnfit(question: MachineQuestion): void {
  const { root } = question
  refuse('not to be installed here', [
    ...glibcReasons(root),
    ...(root === '/' ? liveReasons() : imageReasons(root)),
    ...question.directories.flatMap(directory => writableReasons(root, directory)),
    ...(root === '/' ? execReasons(question.binaryDirectory) : []),
    ...question.conflicts.filter(({ name }) => name === 'kernel.core_pattern').map(conflictWords),
  ])
}

/** @throws CoreliftError `E_INSTALL` where units and sysctls of the node are out of reach. */
export function refuseOutOfReach(): void {
  refuse('not to be uninstalled from here', reachReasons())
}

function refuse(what: string, reasons: readonly string[]): void {
  if (reasons.length === 0) return
  throw new CoreliftError('E_INSTALL', [`${what}:`, ...new Set(reasons)].join('\n- '), {
    hint: 'nothing was changed',
  })
}

/** @returns Where the other value comes from, and what to do. */
export function conflictWords({ name, value, file, line }: SysctlConflict): string {
  return `${file}:${line} sets ${name} to ${value}, which holds from the next boot on: remove the line, or give the file a name before 60-corelift.conf`
}

/** Only root may do any of it. @throws CoreliftError `E_INSTALL` */
export function refuseOthers(what: string): void {
  if (process.geteuid?.() !== 0)
    throw new CoreliftError('E_INSTALL', `${what} needs root`, { hint: `sudo corelift ${what}` })
}

const liveReasons = (): string[] => [...kernelReasons(release()), ...reachReasons()]

function reachReasons(): string[] {
  const reasons: string[] = []
  if (!existsSync('/run/systemd/system')) reasons.push('systemd does not run here; sweeps need its timer')
  if (!isSameNamespace(mountinfoOf('1'), mountinfoOf('self')))
    reasons.push(
      'this is not the mount namespace of the node: nsenter --target 1 --mount -- corelift install',
    )
  for (const [name, file] of Object.entries(SYSCTLS))
    if (!isAllowed(file, constants.W_OK)) reasons.push(`${name} cannot be set: ${file} is not writable`)
  return reasons
}

const mountinfoOf = (pid: string): string => readFileSync(`/proc/${pid}/mountinfo`, 'utf8')

function imageReasons(root: string): string[] {
  const systemd = ['usr/lib/systemd/systemd', 'lib/systemd/systemd']
  return systemd.some(file => existsSync(path.join(root, file))) ? [] : [`${root} has no systemd`]
}

/** @param kernel - As `uname -r` prints it. */
export function kernelReasons(kernel: string): string[] {
  return isBelow(kernel, KERNEL_MIN) ? [`Linux ${kernel} is older than ${KERNEL_MIN.join('.')}`] : []
}

const LIBC = ['lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu', 'lib64', 'usr/lib64', 'usr/lib', 'lib']
const ELF_MACHINE_OFFSET = 18
const EM_X86_64 = 62

/** The C library that the binary will find, which need not be the one that this process has. */
export function glibcReasons(root: string): string[] {
  const file = LIBC.map(directory => path.join(root, directory, 'libc.so.6')).find(each => existsSync(each))
  if (file === undefined) return ['no glibc (libc.so.6) was found; musl and others will not do']
  const libc = readFileSync(file)
  if (libc.length < 64 || libc.readUInt16LE(ELF_MACHINE_OFFSET) !== EM_X86_64)
    return [`${file} is not of x86-64, the only architecture there is a binary for`]
  const version = /GNU C Library [^\n]*version (\d+\.\d+)/.exec(libc.toString('latin1'))?.[1]
  if (version === undefined) return [`${file} does not say which glibc it is`]
  return isBelow(version, GLIBC_MIN) ? [`glibc ${version} is older than ${GLIBC_MIN.join('.')}`] : []
}

function isBelow(version: string, [major, minor]: readonly [number, number]): boolean {
  const [, ...parts] = /^(\d+)\.(\d+)/.exec(version) ?? []
  const [foundMajor = 0, foundMinor = 0] = parts.map(Number)
  return foundMajor < major || (foundMajor === major && foundMinor < minor)
}

function writableReasons(root: string, directory: string): string[] {
  const existing = nearestExisting(path.join(root, directory))
  return isAllowed(existing, constants.W_OK) ? [] : [`${existing} cannot be written to`]
}

function execReasons(directory: string): string[] {
  const mount = mountOf(nearestExisting(directory))
  if (!mount?.options.includes('noexec')) return []
  return [`${directory} is on ${mount.mountPoint}, which is mounted noexec: name another place by --prefix`]
}

function nearestExisting(directory: string): string {
  return existsSync(directory) ? directory : nearestExisting(path.dirname(directory))
}

/** Root's rights do not count on a read-only file system: access(2), EROFS. */
function isAllowed(file: string, mode: number): boolean {
  try {
    accessSync(file, mode)
    return true
  } catch {
    return false
  }
}
