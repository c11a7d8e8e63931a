// Containers in a real Docker Engine: Debian's, on directories and a socket of its own, without networks.
import Docker from 'dockerode'
import path from 'node:path'
import { Readable } from 'node:stream'
import { rememberCgroups } from './cgroups.ts'
import { labDirectory, startDaemon, whyNoLab } from './daemon.ts'
import type { Test } from './daemon.ts'

export interface DockerRequest {
  readonly name: string
  readonly image: string
  readonly command: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  /** Default: `none`. */
  readonly network?: 'none' | 'host'
  /** Default: docker's own, `/docker`. */
  readonly cgroupParent?: string
}

export interface DockerContainer {
  readonly containerId: string
  /** Of its first process, as the host sees it. */
  readonly pid: number
  /** Waits until its first process has ended. */
  waitExit(): Promise<{ exitCode: number }>
  /** Kills and removes it and its cgroups. May be called twice. */
  readonly remove: () => Promise<void>
}

export interface DockerEngine {
  /** What `workload.docker_socket` is to be. */
  readonly socketPath: string
  /** Takes a docker-archive: imageArchive(). */
  importImage(archive: Uint8Array): Promise<void>
  runContainer(request: DockerRequest): Promise<DockerContainer>
}

/** Why there can be no Docker Engine here, or undefined. */
export function whyNoDocker(): string | undefined {
  return whyNoLab(['dockerd', 'containerd', 'runc', 'gcc', 'prlimit'])
}

/** Starts dockerd; the test's end removes its containers, stops it by its pid and removes its directory. */
export async function startDocker(t: Test): Promise<DockerEngine> {
  const directory = await labDirectory(t)
  const socketPath = path.join(directory, 'docker.sock')
  t.teardown(rememberCgroups(['docker']))
  const docker = new Docker({ socketPath })
  const isReady = () =>
    docker.ping().then(
      () => true,
      () => false,
    )
  await startDaemon(t, dockerdCommand(directory), path.join(directory, 'log'), isReady)
  return {
    socketPath,
    importImage: async archive => {
      const progress = await docker.loadImage(Readable.from([Buffer.from(archive)]))
      // The image is there once the engine has said all it has to say.
      for await (const _ of progress);
    },
    runContainer: async request => {
      const container = await startContainer(docker, request)
      t.teardown(container.remove)
      return container
    },
  }
}

function dockerdCommand(directory: string): string[] {
  return [
    'dockerd',
    `--host=unix://${directory}/docker.sock`,
    `--data-root=${directory}/data`,
    `--exec-root=${directory}/exec`,
    `--pidfile=${directory}/pid`,
    '--bridge=none',
    '--iptables=false',
    '--ip6tables=false',
    '--ip-forward=false',
    '--default-ulimit=core=-1',
  ]
}

async function startContainer(docker: Docker, request: DockerRequest): Promise<DockerContainer> {
  const removeCgroup = rememberCgroups(
    request.cgroupParent === undefined ? [] : ancestry(request.cgroupParent),
  )
  const container = await docker.createContainer({
    name: request.name,
    Image: request.image,
    Entrypoint: [...request.command],
    Labels: { ...request.labels },
    HostConfig: {
      NetworkMode: request.network ?? 'none',
      ...(request.cgroupParent === undefined ? {} : { CgroupParent: request.cgroupParent }),
    },
  })
  let removed = false
  const remove = async () => {
    if (removed) return
    removed = true
    await container.remove({ force: true })
    removeCgroup()
  }
  try {
    await container.start()
    const { State } = await container.inspect()
    return {
      containerId: container.id,
      pid: State.Pid,
      waitExit: async () => {
        const { StatusCode } = (await container.wait()) as { StatusCode: number }
        return { exitCode: StatusCode }
      },
      remove,
    }
  } catch (error) {
    await remove()
    throw error
  }
}

/** `/a/b` as `/a`, `/a/b`. */
function ancestry(cgroup: string): string[] {
  const names = cgroup.split('/').filter(name => name !== '')
  return names.map((_, index) => `/${names.slice(0, index + 1).join('/')}`)
}
