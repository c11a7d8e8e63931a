// Containers in a real Docker Engine: Debian's, on directories and a socket of its own, without networks.
import Docker from 'dockerode'
import path from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { ancestry, rememberCgroups } from './cgroups.ts'
import { labDirectory, startDaemon, whyNoLab } from './daemon.ts'
import type { Daemon, Test } from './daemon.ts'
import type { CommandOutput } from './pods.ts'

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
  /** Of the json-file driver: one JSON object a line. */
  readonly logPath: string
  /** Waits until its first process has ended. */
  waitExit(): Promise<{ exitCode: number }>
  /** Kills and removes it and its cgroups. May be called twice. */
  readonly remove: () => Promise<void>
}

/** freeze() stops dockerd; its containerd, a child of it, and the containers go on. */
export interface DockerEngine extends Daemon {
  /** What `workload.docker_socket` is to be. */
  readonly socketPath: string
  /** What `workload.docker_root` is to be. */
  readonly dataRoot: string
  /** Takes a docker-archive: imageArchive(). */
  importImage(archive: Uint8Array): Promise<void>
  runContainer(request: DockerRequest): Promise<DockerContainer>
  /** Runs a command in a running container, as `docker exec` does, and waits for its end. */
  exec(containerId: string, command: readonly string[]): Promise<CommandOutput>
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
  const dataRoot = path.join(directory, 'data')
  const command = dockerdCommand(directory, dataRoot)
  const daemon = await startDaemon(t, command, path.join(directory, 'log'), isReady)
  return {
    ...daemon,
    socketPath,
    dataRoot,
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
    exec: (containerId, command) => runInContainer(docker, containerId, command),
  }
}

function dockerdCommand(directory: string, dataRoot: string): string[] {
  return [
    'dockerd',
    `--host=unix://${directory}/docker.sock`,
    `--data-root=${dataRoot}`,
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
    const { State, LogPath } = await container.inspect()
    return {
      containerId: container.id,
      pid: State.Pid,
      logPath: LogPath,
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

async function runInContainer(
  docker: Docker,
  containerId: string,
  command: readonly string[],
): Promise<CommandOutput> {
  const options = { Cmd: [...command], AttachStdout: true, AttachStderr: true }
  const exec = await docker.getContainer(containerId).exec(options)
  const output = await exec.start({})
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  docker.modem.demuxStream(output, stdout, stderr)
  output.on('end', () => {
    stdout.end()
    stderr.end()
  })
  const texts = await Promise.all([text(stdout), text(stderr)])
  const { ExitCode } = await exec.inspect()
  return { exitCode: ExitCode ?? 0, stdout: texts[0], stderr: texts[1] }
}
