// A Debian tree with systemd as PID 1 on this machine's kernel: systemd-nspawn(1).
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readdir, rmdir, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { labDirectory, startDaemon, whyNoLab } from './daemon.ts'
import type { Test } from './daemon.ts'

const run = promisify(execFile)

/** Debian's and Ubuntu's own places for their package sources. */
const APT_SOURCES = [
  '/etc/apt/sources.list.d/debian.sources',
  '/etc/apt/sources.list.d/ubuntu.sources',
  '/etc/apt/sources.list',
]

/**
 * Why no tree can be made and booted here, or undefined. Whether the package sources answer is not looked at.
 * @param programs - What else is needed.
 */
export function whyNoNspawn(programs: readonly string[] = []): string | undefined {
  const lacking = whyNoLab(['mmdebstrap', 'systemd-nspawn', 'prlimit', 'mount', 'umount', ...programs])
  if (lacking !== undefined) return lacking
  return ownHierarchies().length === 0 ? 'needs cgroup v2' : whyNoPackageSources()
}

/** Why makeTree() has nothing to take packages from, or undefined. */
export function whyNoPackageSources(): string | undefined {
  return APT_SOURCES.some(file => existsSync(file))
    ? undefined
    : 'needs the package sources of Debian or Ubuntu'
}

/**
 * Makes a tree of this machine's release, from its package sources, in about 40 s.
 * @param packages - Beside those that every booted tree needs.
 */
export async function makeTree(tree: string, packages: readonly string[]): Promise<void> {
  const release = await run('sh', ['-c', '. /etc/os-release && printf %s "$VERSION_CODENAME"'])
  const source = APT_SOURCES.find(file => existsSync(file)) ?? ''
  const include = `--include=${['systemd-sysv', 'dbus', ...packages].join(',')}`
  await run('mmdebstrap', ['--quiet', '--variant=minbase', include, release.stdout, tree, source])
  const at = (file: string) => path.join(tree, file)
  await writeFile(at('etc/machine-id'), '')
  // mmdebstrap makes neither.
  await writeFile(at('etc/hosts'), '127.0.0.1 localhost\n')
  await writeFile(at('etc/resolv.conf'), '')
  for (const timer of ['apt-daily.timer', 'apt-daily-upgrade.timer', 'dpkg-db-backup.timer'])
    await symlink('/dev/null', at(`etc/systemd/system/${timer}`))
}

export interface BootOptions {
  /** Paths of this machine, and where they are in the tree. */
  readonly binds: Readonly<Record<string, string>>
  readonly isReady: (booted: BootedTree) => Promise<boolean>
}

export interface BootedTree {
  /** What it has changed, too. */
  readonly root: string
  /** Its PID 1, as this machine sees it; another one after a reboot. undefined while it has none. */
  initPid(): number | undefined
}

/**
 * Boots a tree, in a second or two. The test's end shuts it down and removes its cgroups.
 * @param tree - It is not written to.
 */
export async function bootTree(t: Test, tree: string, { binds, isReady }: BootOptions): Promise<BootedTree> {
  const directory = await labDirectory(t)
  const at = (name: string) => path.join(directory, name)
  for (const name of ['root', 'upper', 'work']) await mkdir(at(name))
  const layers = `lowerdir=${tree},upperdir=${at('upper')},workdir=${at('work')}`
  await run('mount', ['-t', 'overlay', 'overlay', '-o', layers, at('root')])
  t.teardown(() => run('umount', [at('root')]).then(() => undefined))

  const cgroups = ownHierarchies().map(root => path.join(root, path.basename(directory)))
  for (const cgroup of cgroups) {
    await mkdir(cgroup)
    t.teardown(() => removeCgroupTree(cgroup))
  }
  const command = inCgroups(cgroups, nspawnCommand(at('root'), binds))
  const booted = { root: at('root'), initPid: () => initIn(cgroups) }
  await startDaemon(t, command, at('log'), () => isReady(booted))
  return booted
}

/** nspawn itself is in `supervisor`; what it booted has `payload`, and systemd puts itself in `init.scope` there. */
function initIn(cgroups: readonly string[]): number | undefined {
  for (const cgroup of cgroups) {
    try {
      const [pid] = readFileSync(path.join(cgroup, 'payload/init.scope/cgroup.procs'), 'utf8').split('\n')
      if (pid) return Number(pid)
    } catch {
      // not of this hierarchy, or not yet
    }
  }
  return undefined
}

function nspawnCommand(root: string, binds: Readonly<Record<string, string>>): string[] {
  return [
    'systemd-nspawn',
    '--quiet',
    '--boot',
    '--directory',
    root,
    '--register=no',
    '--keep-unit',
    '--console=pipe',
    '--capability=all',
    '--system-call-filter=@keyring bpf',
    ...Object.entries(binds).map(([outside, inside]) => `--bind=${outside}:${inside}`),
  ]
}

/**
 * A tree that reboots ends its nspawn, which says so by its exit code, for a service manager to start another one. All
 * signals are nspawn's.
 */
const RESTARTING = `
for cgroup in $CGROUPS; do echo $$ >"$cgroup/cgroup.procs" || exit 1; done
trap 'kill -TERM "$nspawn"' TERM
status=133
while [ "$status" = 133 ]; do
  "$@" &
  nspawn=$!
  wait "$nspawn"
  status=$?
  while kill -0 "$nspawn" 2>/dev/null; do
    wait "$nspawn"
    status=$?
  done
done
exit "$status"`

/**
 * @returns A command that enters cgroups and runs the given one there. SYSTEMD_NSPAWN_UNIFIED_HIERARCHY
 * lets the node see cgroup v2 alone, whatever the machine has: its runc cannot write to v1 hierarchies.
 */
function inCgroups(cgroups: readonly string[], command: readonly string[]): string[] {
  const env = [`CGROUPS=${cgroups.join(' ')}`, 'SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1']
  return ['env', ...env, 'sh', '-c', RESTARTING, 'sh', ...command]
}

/** The hierarchies that systemd keeps units in, v2 and the named one of v1: a node needs a cgroup in each. */
function ownHierarchies(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter(line => / - cgroup2 | - cgroup .*\bname=systemd\b/.test(line))
    .map(line => line.split(' ')[4] ?? '')
}

/** A cgroup is busy for a moment after its last process has gone. */
async function removeCgroupTree(root: string): Promise<void> {
  for (let tries = 0; existsSync(root); tries++) {
    try {
      await removeDirectories(root)
    } catch (error) {
      if (tries === REMOVE_TRIES_MAX) throw error
      await sleep(REMOVE_POLL_MS)
    }
  }
}

const REMOVE_TRIES_MAX = 100
const REMOVE_POLL_MS = 50

async function removeDirectories(directory: string): Promise<void> {
  const entries = await readdir(directory, { withFileTypes: true })
  for (const entry of entries)
    if (entry.isDirectory()) await removeDirectories(path.join(directory, entry.name))
  await rmdir(directory)
}
