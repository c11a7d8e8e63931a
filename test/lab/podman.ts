// Containers in a real podman: Debian's, as root, with runc, the cgroupfs manager and directories of its own.
// There is no daemon but the API service, which containers outlive. containers.conf(5)
import { execFile } from 'node:child_process'
import { existsSync, readFileSync, rmdirSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { rememberCgroups } from './cgroups.ts'
import { labDirectory, startDaemon, whyNoLab } from './daemon.ts'
import type { Daemon, Test } from './daemon.ts'
import type { CommandOutput } from './pods.ts'

const run = promisify(execFile)

export interface PodmanRequest {
  readonly name: string
  readonly image: string
  readonly command: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

export interface PodmanContainer {
  readonly containerId: string
  /** Of its first process. */
  readonly pid: number
  /** Of the k8s-file driver; lines are in the CRI's log format. */
  readonly logPath: string
  /** Waits until its first process has ended. */
  waitExit(): Promise<{ exitCode: number }>
  /** Kills and removes it and its cgroups. May be called twice. */
  readonly remove: () => Promise<void>
}

export interface Podman {
  /** Its run root, with pid files, and its graph root, with config.json: `workload.containers_storage_dirs`. */
  readonly storageDirs: readonly [string, string]
  /** Takes a docker-archive: imageArchive(). */
  importImage(archive: Uint8Array): Promise<void>
  runContainer(request: PodmanRequest): Promise<PodmanContainer>
  /** Runs a command in a running container and waits for its end. */
  exec(containerId: string, command: readonly string[]): Promise<CommandOutput>
  /** Starts the API service; the test's end stops it. Its socket is what `workload.podman_socket` is to be. */
  startService(): Promise<Daemon & { readonly socketPath: string }>
}

/** Why there can be no podman here, or undefined. */
export function whyNoPodman(): string | undefined {
  return whyNoLab(['podman', 'conmon', 'runc', 'gcc', 'prlimit'])
}

/** Prepares a podman; the test's end removes its containers and its directories. */
export async function startPodman(t: Test): Promise<Podman> {
  const directory = await labDirectory(t)
  t.teardown(forgetBlobCache())
  t.teardown(rememberCgroups(['libpod_parent', 'libpod_parent/conmon']))
  const [runRoot, graphRoot] = [path.join(directory, 'run'), path.join(directory, 'graph')]
  const configFile = path.join(directory, 'containers.conf')
  await writeFile(configFile, containersConf(directory))
  const command = [
    'env',
    `CONTAINERS_CONF=${configFile}`,
    'podman',
    '--root',
    graphRoot,
    '--runroot',
    runRoot,
  ]
  const podman = async (...args: string[]): Promise<string> => {
    const [program = '', ...options] = [...command, ...args]
    return (await run(program, options)).stdout.trimEnd()
  }
  // podman binds it to itself, and leaves that to whichever of its processes comes last.
  t.teardown(() => unmount(path.join(graphRoot, 'overlay')))
  return {
    storageDirs: [runRoot, graphRoot],
    importImage: async archive => {
      const file = path.join(directory, 'image.tar')
      await writeFile(file, archive)
      await podman('load', '--quiet', '--input', file)
    },
    runContainer: async request => {
      const container = await startContainer(podman, request)
      t.teardown(container.remove)
      return container
    },
    exec: (containerId, args) =>
      podman('exec', containerId, ...args).then(
        stdout => ({ exitCode: 0, stdout, stderr: '' }),
        (error: { code: number; stdout: string; stderr: string }) => ({
          exitCode: error.code,
          stdout: error.stdout,
          stderr: error.stderr,
        }),
      ),
    startService: async () => {
      const socketPath = path.join(directory, 'podman.sock')
      const service = [...command, 'system', 'service', '--time', '0', `unix://${socketPath}`]
      const isReady = async () => existsSync(socketPath)
      return { ...(await startDaemon(t, service, path.join(directory, 'log'), isReady)), socketPath }
    },
  }
}

function containersConf(directory: string): string {
  // Ulimits: podman asks for 1048576 open files, which a root without CAP_SYS_RESOURCE cannot grant. The default lock
  // is one shared memory object for the whole machine. netns none: there is no network plugin.
  return `[containers]
default_ulimits = ["core=-1:-1", "nofile=20000:20000", "nproc=32768:32768"]
log_driver = "k8s-file"
netns = "none"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "${directory}/tmp"
`
}

async function startContainer(
  podman: (...args: string[]) => Promise<string>,
  request: PodmanRequest,
): Promise<PodmanContainer> {
  const pairs = (option: string, values: Readonly<Record<string, string>> = {}) =>
    Object.entries(values).flatMap(([key, value]) => [option, `${key}=${value}`])
  const labels = [...pairs('--label', request.labels), ...pairs('--annotation', request.annotations)]
  const entrypoint = ['--entrypoint', JSON.stringify(request.command)]
  const id = await podman('create', '--name', request.name, ...labels, ...entrypoint, request.image)
  const removeCgroup = rememberCgroups([`libpod_parent/libpod-${id}`])
  let conmon = 0
  let removed = false
  const remove = async () => {
    if (removed) return
    removed = true
    await podman('rm', '--force', '--time', '0', id)
    while (isRunning(conmon)) await sleep(POLL_MS)
    removeCgroup()
  }
  try {
    await podman('start', id)
    const format = '{{.State.Pid}} {{.State.ConmonPid}} {{.HostConfig.LogConfig.Path}}'
    const [pid, conmonPid, logPath = ''] = (await podman('inspect', '--format', format, id)).split(' ')
    conmon = Number(conmonPid)
    return {
      containerId: id,
      pid: Number(pid),
      logPath,
      waitExit: async () => ({ exitCode: Number(await podman('wait', id)) }),
      remove,
    }
  } catch (error) {
    await remove()
    throw error
  }
}

const POLL_MS = 20

/** conmon, a container's monitor, becomes `podman container cleanup` at the end: it goes last. Nobody may reap it. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

async function unmount(directory: string): Promise<void> {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
  if (mounts.some(line => line.split(' ')[4] === directory)) await run('umount', [directory])
}

/** Where an import by root notes what it has seen, whatever directories are configured. */
const BLOB_CACHE = '/var/lib/containers/cache/blob-info-cache-v1.boltdb'

/** @returns A function that removes the cache where there was none before. */
function forgetBlobCache(): () => void {
  if (existsSync(BLOB_CACHE)) return () => undefined
  const directories = [path.dirname(BLOB_CACHE), '/var/lib/containers'].filter(dir => !existsSync(dir))
  return () => {
    rmSync(BLOB_CACHE, { force: true })
    for (const directory of directories) {
      try {
        rmdirSync(directory)
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code
        if (code !== 'ENOENT' && code !== 'ENOTEMPTY') throw error
      }
    }
  }
}
