// Where an installation keeps what on a node. Nothing else names these paths.
import { readFileSync } from 'node:fs'
import path from 'node:path'

export const CONFIG_FILE = '/etc/corelift/config.toml'
export const SYSCTL_FILE = '/etc/sysctl.d/60-corelift.conf'
/** Outranks the file of the same name that systemd-coredump has in /usr/lib: sysctl.d(5). */
export const SYSCTL_OVERRIDE = '/etc/sysctl.d/50-coredump.conf'
export const UNIT_DIR = '/etc/systemd/system'
export const SWEEP_SERVICE = 'corelift-sweep.service'
export const SWEEP_TIMER = 'corelift-sweep.timer'
/** Holds the handlers: the default of `handler.cgroup` is its cgroup. */
export const HANDLER_SLICE = 'corelift.slice'
/** What was there before, and what was installed. */
export const INSTALL_FILE = '/var/lib/corelift/install.json'
export const DEFAULT_PREFIX = '/usr/local'

/** The stable name of the binary, which the kernel runs. */
export const binaryLink = (prefix: string): string => path.join(prefix, 'bin', 'corelift')

/** Directories of the versions. libexec, since SELinux's policies call what is in it bin_t, also under /usr/local. */
export const versionsDir = (prefix: string): string => path.join(prefix, 'libexec', 'corelift')

/**
 * One version's binary: builds of one version differ too.
 * @param sha256 - Of the binary, in hex.
 */
export const versionedBinary = (prefix: string, version: string, sha256: string): string =>
  path.join(versionsDir(prefix), `${version}-${sha256.slice(0, 12)}`, 'corelift')

/** Sysctls that an installation sets, and their files. */
export const SYSCTLS = {
  'kernel.core_pattern': '/proc/sys/kernel/core_pattern',
  'kernel.core_pipe_limit': '/proc/sys/kernel/core_pipe_limit',
  'fs.suid_dumpable': '/proc/sys/fs/suid_dumpable',
} as const

export type SysctlName = keyof typeof SYSCTLS

/**
 * A sysctl as the kernel shows it.
 * @returns Without its newline.
 * @throws As `readFileSync` does.
 */
export function readSysctl(name: SysctlName): string {
  return readFileSync(SYSCTLS[name], 'utf8').replace(/\n$/, '')
}
