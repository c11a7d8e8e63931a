// A node of its own on this machine's kernel: a Debian tree with systemd as PID 1, under systemd-nspawn(1), and in it
// containerd with the systemd cgroup driver. Its pods are made from outside, over its socket. A crash in one goes to
// this machine's core_pattern, which sees the container's cgroup below the node's own.
import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, readdir, rmdir, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { answers, importInto, sandboxImage } from './containerd.ts'
import { containerdToml, writeCni } from './containerd-config.ts'
import { labDirectory, startDaemon, whyNoLab } from './daemon.ts'
import type { Test } from './daemon.ts'
import { connectPods } from './pods.ts'
import type { Pods } from './pods.ts'

const run = promisify(execFile)

export interface BootedNode extends Pods {
  /** The node's /run/containerd, seen from outside: what `workload.containerd_state_dir` is to be. */
  readonly stateDir: string
  /** Of the node's containerd, seen from outside. */
  readonly socketPath: string
  /** Takes a docker-archive: imageArchive(). */
  importImage(archive: Uint8Array): Promise<void>
}

/** Debian's and Ubuntu's own places for their package sources. */
const APT_SOURCES = [
  '/etc/apt/sources.list.d/debian.sources',
  '/etc/apt/sources.list.d/ubuntu.sources',
  '/etc/apt/sources.list',
]

/** Why no node can be booted here, or undefined. Whether the package sources answer is not looked at. */
export function whyNoBootedNode(): string | undefined {
  const programs = ['mmdebstrap', 'systemd-nspawn', 'ctr', 'gcc', 'prlimit', 'mount', 'umount']
  const lacking = whyNoLab(programs)
  if (lacking !== undefined) return lacking
  if (ownHierarchies().length === 0) return 'needs cgroup v2'
  return APT_SOURCES.some(file => existsSync(file))
    ? undefined
    : 'needs the package sources of Debian or Ubuntu'
}

/**
 * Makes the tree that nodes boot from: this machine's release, from its package sources, in about 40 s. The test's end
 * removes it.
 */
export async function buildNodeTree(t: Test): Promise<string> {
  const tree = path.join(await labDirectory(t), 'tree')
  const release = await run('sh', ['-c', '. /etc/os-release && printf %s "$VERSION_CODENAME"'])
  const source = APT_SOURCES.find(file => existsSync(file)) ?? ''
  const packages = '--include=systemd-sysv,dbus,containerd,runc,jq'
  await run('mmdebstrap', ['--quiet', '--variant=minbase', packages, release.stdout, tree, source])
  const at = (file: string) => path.join(tree, file)
  await writeFile(at(CONTAINERD_TOML), containerdToml(PATHS_INSIDE, 'systemd'))
  await writeFile(at(PATHS_INSIDE.runc), RUNC_WITHOUT_LIMITS, { mode: 0o755 })
  await writeCni(at(PATHS_INSIDE.cniBin), at(PATHS_INSIDE.cniConf))
  await writeFile(at('etc/systemd/system/containerd.service'), CONTAINERD_SERVICE)
  await writeFile(at('etc/machine-id'), '')
  // containerd copies both into its sandboxes, and mmdebstrap makes neither.
  await writeFile(at('etc/hosts'), '127.0.0.1 localhost\n')
  await writeFile(at('etc/resolv.conf'), '')
  for (const timer of ['apt-daily.timer', 'apt-daily-upgrade.timer', 'dpkg-db-backup.timer'])
    await symlink('/dev/null', at(`etc/systemd/system/${timer}`))
  return tree
}

const CONTAINERD_TOML = 'etc/containerd/config.toml'

const PATHS_INSIDE = {
  root: '/var/lib/containerd',
  state: '/run/containerd',
  socketPath: '/run/containerd/containerd.sock',
  opt: '/opt/containerd',
  cniBin: '/opt/cni/bin',
  cniConf: '/etc/cni/net.d',
  runc: '/usr/local/sbin/runc-without-limits',
}

/** In place of the package's unit, which lowers its OOM score: without CAP_SYS_RESOURCE that keeps it from starting. */
const CONTAINERD_SERVICE = `[Unit]
Description=containerd container runtime
[Service]
Type=notify
ExecStart=/usr/bin/containerd
Delegate=yes
KillMode=process
LimitCORE=infinity
[Install]
WantedBy=multi-user.target
`

/** A node within a node has no cgroup controllers where the machine keeps them in v1 hierarchies. */
const RUNC_WITHOUT_LIMITS = `#!/bin/sh
# runc, less the limits that a bundle asks for.
previous=
for argument; do
  if [ "$previous" = --bundle ]; then
    config=$argument/config.json
    jq 'del(.linux.resources)' "$config" >"$config.new" && mv "$config.new" "$config"
  fi
  previous=$argument
done
exec runc "$@"
`

/**
 * Boots a node, in a second or two. The test's end removes its pods, shuts it down and removes its cgroups.
 * @param tree - From buildNodeTree(); it is not written to.
 */
export async function bootNode(t: Test, tree: string): Promise<BootedNode> {
  const directory = await labDirectory(t)
  const at = (name: string) => path.join(directory, name)
  for (const name of ['root', 'upper', 'work', 'lib', 'state', 'logs']) await mkdir(at(name))
  const layers = `lowerdir=${tree},upperdir=${at('upper')},workdir=${at('work')}`
  await run('mount', ['-t', 'overlay', 'overlay', '-o', layers, at('root')])
  t.teardown(() => run('umount', [at('root')]).then(() => undefined))

  const cgroups = ownHierarchies().map(root => path.join(root, path.basename(directory)))
  for (const cgroup of cgroups) {
    await mkdir(cgroup)
    t.teardown(() => removeCgroupTree(cgroup))
  }
  const socketPath = path.join(at('state'), path.basename(PATHS_INSIDE.socketPath))
  const binds = {
    // An overlay cannot be an upper layer, which the node's containers need.
    [at('lib')]: PATHS_INSIDE.root,
    [at('state')]: PATHS_INSIDE.state,
    [at('logs')]: LOGS_INSIDE,
  }
  const command = inCgroups(cgroups, nspawnCommand(at('root'), binds))
  await startDaemon(t, command, at('log'), () => answers(socketPath))

  const archiveFile = at('image.tar')
  const importImage = async (archive: Uint8Array) => {
    await writeFile(archiveFile, archive)
    await importInto(socketPath, 'k8s.io', archiveFile)
  }
  await importImage(await sandboxImage())
  const pods = connectPods(t, {
    socketPath,
    cgroupDriver: 'systemd',
    logs: { inside: LOGS_INSIDE, outside: at('logs') },
    pidOnHost,
  })
  return { ...pods, stateDir: at('state'), socketPath, importImage }
}

const LOGS_INSIDE = '/var/log/pods'

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
 * @returns A command that enters cgroups and becomes the given one, its pid staying. SYSTEMD_NSPAWN_UNIFIED_HIERARCHY
 * lets the node see cgroup v2 alone, whatever the machine has: its runc cannot write to v1 hierarchies.
 */
function inCgroups(cgroups: readonly string[], command: readonly string[]): string[] {
  const script = 'for cgroup in $CGROUPS; do echo $$ >"$cgroup/cgroup.procs" || exit 1; done; exec "$@"'
  const env = [`CGROUPS=${cgroups.join(' ')}`, 'SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1']
  return ['env', ...env, 'sh', '-c', script, 'sh', ...command]
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

/** The node has a pid namespace of its own. NSpid: a process's pid in each, this machine's first. proc_pid_status(5) */
function pidOnHost(pid: number, containerId: string): number {
  const pids = readdirSync('/proc').filter(name => /^\d+$/.test(name))
  const found = pids.find(name => {
    try {
      const [, , inside] =
        /^NSpid:.*$/m.exec(readFileSync(`/proc/${name}/status`, 'utf8'))?.[0].split('\t') ?? []
      return Number(inside) === pid && readFileSync(`/proc/${name}/cgroup`, 'utf8').includes(containerId)
    } catch {
      return false // it has ended meanwhile
    }
  })
  return Number(found ?? 0)
}
