// A node of its own on this machine's kernel: a Debian tree with systemd as PID 1, under systemd-nspawn(1), and in it
// containerd with the systemd cgroup driver. Its pods are made from outside, over its socket. A crash in one goes to
// this machine's core_pattern, which sees the container's cgroup below the node's own.
import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { answers, importInto, sandboxImage } from './containerd.ts'
import { containerdToml, writeCni } from './containerd-config.ts'
import { labDirectory } from './daemon.ts'
import type { Test } from './daemon.ts'
import { bootTree, makeTree, whyNoNspawn } from './nspawn.ts'
import { connectPods } from './pods.ts'
import type { Pods } from './pods.ts'

export interface BootedNode extends Pods {
  /** The node's /run/containerd, seen from outside: what `workload.containerd_state_dir` is to be. */
  readonly stateDir: string
  /** Of the node's containerd, seen from outside. */
  readonly socketPath: string
  /** Takes a docker-archive: imageArchive(). */
  importImage(archive: Uint8Array): Promise<void>
}

/** Why no node can be booted here, or undefined. */
export const whyNoBootedNode = (): string | undefined => whyNoNspawn(['ctr', 'gcc'])

/**
 * Makes the tree that nodes boot from: this machine's release, from its package sources, in about 40 s. The test's end
 * removes it.
 */
export async function buildNodeTree(t: Test): Promise<string> {
  const tree = path.join(await labDirectory(t), 'tree')
  await makeTree(tree, ['containerd', 'runc', 'jq'])
  const at = (file: string) => path.join(tree, file)
  await writeFile(at(CONTAINERD_TOML), containerdToml(PATHS_INSIDE, 'systemd'))
  await writeFile(at(PATHS_INSIDE.runc), RUNC_WITHOUT_LIMITS, { mode: 0o755 })
  await writeCni(at(PATHS_INSIDE.cniBin), at(PATHS_INSIDE.cniConf))
  await writeFile(at('etc/systemd/system/containerd.service'), CONTAINERD_SERVICE)
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
  for (const name of ['lib', 'state', 'logs']) await mkdir(at(name))
  const socketPath = path.join(at('state'), path.basename(PATHS_INSIDE.socketPath))
  const binds = {
    // An overlay cannot be an upper layer, which the node's containers need.
    [at('lib')]: PATHS_INSIDE.root,
    [at('state')]: PATHS_INSIDE.state,
    [at('logs')]: LOGS_INSIDE,
  }
  await bootTree(t, tree, { binds, isReady: () => answers(socketPath) })

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
