// A real containerd: Debian's, on directories and a socket of its own, with the cgroups that a kubelet with the
// cgroupfs driver would ask for.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { rememberCgroups } from './cgroups.ts'
import { containerdToml, runcRoot, SANDBOX_IMAGE, writeCni } from './containerd-config.ts'
import type { ContainerdPaths } from './containerd-config.ts'
import { labDirectory, startDaemon, whyNoLab } from './daemon.ts'
import type { Daemon, Test } from './daemon.ts'
import { compileStatic, imageArchive, PAUSE_SOURCE } from './image.ts'
import { connectPods } from './pods.ts'
import type { Pods } from './pods.ts'

const run = promisify(execFile)

/** A container outside of Kubernetes, in containerd's namespace `default`; its cgroup is `/default/<id>`. */
export interface PlainContainer {
  readonly containerId: string
  /** Of its first process. */
  readonly pid: number
  /** Waits until its first process has ended. */
  waitExit(): Promise<void>
  /** Kills and removes it and its cgroups. May be called twice. */
  readonly remove: () => Promise<void>
}

/** freeze() stops containerd; its shims, one for each pod, and the containers go on. */
export interface Containerd extends Daemon, Pods {
  /** What `workload.containerd_state_dir` is to be. */
  readonly stateDir: string
  readonly socketPath: string
  /** Takes a docker-archive: imageArchive(). */
  importImage(archive: Uint8Array): Promise<void>
  /** Removes an image, and all of it that no container uses. */
  removeImage(reference: string): Promise<void>
  /** Runs a container by `ctr run`, with an id of one's choice. */
  runPlain(id: string, image: string, command: readonly string[]): Promise<PlainContainer>
}

/** Why there can be no containerd here, or undefined. */
export function whyNoContainerd(): string | undefined {
  return whyNoLab(['containerd', 'ctr', 'runc', 'gcc', 'prlimit'])
}

/** Starts containerd; the test's end removes its pods, stops it by its pid and removes its directory. */
export async function startContainerd(t: Test): Promise<Containerd> {
  const directory = await labDirectory(t)
  const paths = {
    root: path.join(directory, 'root'),
    state: path.join(directory, 'state'),
    socketPath: path.join(directory, 'containerd.sock'),
    opt: path.join(directory, 'opt'),
    cniBin: path.join(directory, 'cni/bin'),
    cniConf: path.join(directory, 'cni/net.d'),
  }
  const { socketPath } = paths
  t.teardown(rememberCgroups(['kubepods', 'kubepods/burstable', 'default']))
  await writeCni(paths.cniBin, paths.cniConf)
  const configFile = path.join(directory, 'config.toml')
  await writeFile(configFile, containerdToml(paths, 'cgroupfs'))
  const command = ['containerd', '--config', configFile]
  const daemon = await startDaemon(t, command, path.join(directory, 'log'), () => answers(socketPath))

  const archiveFile = path.join(directory, 'image.tar')
  const importImage = async (archive: Uint8Array) => {
    await writeFile(archiveFile, archive)
    await importInto(socketPath, 'k8s.io', archiveFile)
    await importInto(socketPath, 'default', archiveFile)
  }
  const removeImage = async (reference: string) => {
    const ctr = ['--address', socketPath, '--namespace']
    for (const namespace of ['k8s.io', 'default'])
      await run('ctr', [...ctr, namespace, 'images', 'remove', '--sync', reference])
  }
  await importImage(await sandboxImage())
  const logs = path.join(directory, 'logs')
  const pods = connectPods(t, { socketPath, cgroupDriver: 'cgroupfs', logs: { inside: logs, outside: logs } })
  const runPlain = async (id: string, image: string, containerCommand: readonly string[]) => {
    const container = await startPlain(paths, id, image, containerCommand)
    t.teardown(container.remove)
    return container
  }
  return { ...daemon, ...pods, stateDir: paths.state, socketPath, importImage, removeImage, runPlain }
}

/** What every pod of a containerd of the lab needs first. @returns A docker-archive. */
export async function sandboxImage(): Promise<Buffer> {
  const pause = await compileStatic(PAUSE_SOURCE)
  return imageArchive({
    reference: SANDBOX_IMAGE,
    programs: { '/bin/pause': pause },
    entrypoint: ['/bin/pause'],
  })
}

/** Whether a containerd is there. */
export async function answers(socketPath: string): Promise<boolean> {
  if (!existsSync(socketPath)) return false
  return run('ctr', ['--address', socketPath, 'version']).then(
    () => true,
    () => false,
  )
}

export async function importInto(socketPath: string, namespace: string, archiveFile: string): Promise<void> {
  await run('ctr', ['--address', socketPath, '--namespace', namespace, 'images', 'import', archiveFile])
}

async function startPlain(
  paths: ContainerdPaths,
  id: string,
  image: string,
  command: readonly string[],
): Promise<PlainContainer> {
  const ctr = async (...args: string[]): Promise<string> => {
    const { stdout } = await run('ctr', ['--address', paths.socketPath, '--namespace', 'default', ...args])
    return stdout
  }
  const removeCgroup = rememberCgroups([`default/${id}`])
  const task = async () => {
    // TASK PID STATUS, under a heading.
    const lines = (await ctr('tasks', 'ls')).split('\n').map(line => line.split(/\s+/))
    const [, pid = '0', status = ''] = lines.find(([name]) => name === id) ?? []
    return { pid: Number(pid), status }
  }
  let removed = false
  const remove = async () => {
    if (removed) return
    removed = true
    await ctr('tasks', 'rm', '--force', id)
    await ctr('containers', 'rm', id)
    removeCgroup()
  }
  await ctr('run', '--detach', '--null-io', '--runc-root', runcRoot(paths), image, id, ...command)
  return {
    containerId: id,
    pid: (await task()).pid,
    waitExit: async () => {
      while ((await task()).status === 'RUNNING') await sleep(EXIT_POLL_MS)
    },
    remove,
  }
}

/** How often a container is looked at until it has ended. */
const EXIT_POLL_MS = 50
