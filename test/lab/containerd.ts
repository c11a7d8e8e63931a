// Pods in a real containerd: Debian's, on directories and a socket of its own, with the cgroups that a kubelet with
// the cgroupfs driver would ask for. No registry, no network beyond a stub.
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { rememberCgroups } from './cgroups.ts'
import { connectCri } from './cri/client.ts'
import type { ContainerConfig, CriClient, PodSandboxConfig } from './cri/client.ts'
import { labDirectory, startDaemon, whyNoLab } from './daemon.ts'
import type { Test } from './daemon.ts'
import { compileStatic, imageArchive, PAUSE_SOURCE } from './image.ts'

const run = promisify(execFile)

export interface PodRequest {
  readonly namespace: string
  readonly pod: string
  /** Default: a fresh one. */
  readonly uid?: string
  readonly container: string
  readonly image: string
  readonly command: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

export interface Pod {
  readonly uid: string
  readonly containerId: string
  readonly sandboxId: string
  /** Of the container's first process and of the sandbox's, as the host sees them. */
  readonly pid: number
  /** Waits until the container's first process has ended. */
  waitExit(): Promise<{ exitCode: number; reason: string }>
  /** Stops and removes the pod and its cgroups. May be called twice. */
  readonly remove: () => Promise<void>
}

export interface Containerd {
  /** What `workload.containerd_state_dir` is to be. */
  readonly stateDir: string
  readonly socketPath: string
  /** Takes a docker-archive: imageArchive(). */
  importImage(archive: Uint8Array): Promise<void>
  runPod(request: PodRequest): Promise<Pod>
}

/** Why there can be no containerd here, or undefined. */
export function whyNoContainerd(): string | undefined {
  return whyNoLab(['containerd', 'ctr', 'runc', 'gcc', 'prlimit'])
}

/** Starts containerd; the test's end removes its pods, stops it by its pid and removes its directory. */
export async function startContainerd(t: Test): Promise<Containerd> {
  const directory = await labDirectory(t)
  const socketPath = path.join(directory, 'containerd.sock')
  t.teardown(rememberCgroups(['kubepods', 'kubepods/burstable']))
  await writeCni(directory)
  const configFile = path.join(directory, 'config.toml')
  await writeFile(configFile, configToml(directory))
  const command = ['containerd', '--config', configFile]
  await startDaemon(t, command, path.join(directory, 'log'), () => answers(socketPath))
  const cri = connectCri(socketPath)
  t.teardown(() => cri.close())

  const importImage = async (archive: Uint8Array) => {
    const file = path.join(directory, 'image.tar')
    await writeFile(file, archive)
    await run('ctr', ['--address', socketPath, '--namespace', 'k8s.io', 'images', 'import', file])
  }
  const pause = await compileStatic(PAUSE_SOURCE)
  await importImage(
    await imageArchive({
      reference: SANDBOX_IMAGE,
      programs: { '/bin/pause': pause },
      entrypoint: ['/bin/pause'],
    }),
  )
  const runPod = async (request: PodRequest) => {
    const pod = await startPod(cri, request, path.join(directory, 'logs'))
    t.teardown(pod.remove)
    return pod
  }
  return { stateDir: path.join(directory, 'state'), socketPath, importImage, runPod }
}

const SANDBOX_IMAGE = 'registry.k8s.io/pause:3.6'

function configToml(directory: string): string {
  // restrict_oom_score_adj and oom_score 0: without CAP_SYS_RESOURCE no process may lower its score.
  return `version = 2
root = "${directory}/root"
state = "${directory}/state"
oom_score = 0
[grpc]
  address = "${directory}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "${directory}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${SANDBOX_IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${directory}/cni/bin"
    conf_dir = "${directory}/cni/net.d"
`
}

/** Network plugins that only answer: a pod gets a network namespace, and so a host name of its own, and no interface. */
async function writeCni(directory: string): Promise<void> {
  const [bin, conf] = [path.join(directory, 'cni/bin'), path.join(directory, 'cni/net.d')]
  await mkdir(bin, { recursive: true })
  await mkdir(conf, { recursive: true })
  const plugin = (device: string, address: string) => `#!/bin/sh
cat >/dev/null
case "$CNI_COMMAND" in
ADD) echo '{"cniVersion":"0.4.0","interfaces":[{"name":"${device}","sandbox":"'"$CNI_NETNS"'"}],"ips":[{"version":"4","address":"${address}","interface":0}]}' ;;
VERSION) echo '{"cniVersion":"0.4.0","supportedVersions":["0.3.1","0.4.0"]}' ;;
esac
`
  await writeFile(path.join(bin, 'loopback'), plugin('lo', '127.0.0.1/8'), { mode: 0o755 })
  await writeFile(path.join(bin, 'stub'), plugin('eth0', '192.0.2.5/24'), { mode: 0o755 })
  const network = { cniVersion: '0.4.0', name: 'stub', plugins: [{ type: 'stub' }] }
  await writeFile(path.join(conf, '10-stub.conflist'), JSON.stringify(network))
}

async function answers(socketPath: string): Promise<boolean> {
  if (!existsSync(socketPath)) return false
  return run('ctr', ['--address', socketPath, 'version']).then(
    () => true,
    () => false,
  )
}

async function startPod(cri: CriClient, request: PodRequest, logs: string): Promise<Pod> {
  const { namespace, pod, container } = request
  const uid = request.uid ?? randomUUID()
  const cgroup = `/kubepods/burstable/pod${uid}`
  const removeCgroup = rememberCgroups([cgroup])
  const labels = {
    ...request.labels,
    'io.kubernetes.pod.name': pod,
    'io.kubernetes.pod.namespace': namespace,
    'io.kubernetes.pod.uid': uid,
  }
  const namespaces = { namespace_options: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' } }
  const sandbox: PodSandboxConfig = {
    metadata: { name: pod, uid, namespace, attempt: 0 },
    hostname: pod,
    log_directory: path.join(logs, `${namespace}_${pod}_${uid}`),
    labels,
    annotations: { ...request.annotations },
    linux: { cgroup_parent: cgroup, security_context: namespaces },
  }
  const config: ContainerConfig = {
    metadata: { name: container, attempt: 0 },
    image: { image: request.image },
    command: request.command,
    labels: { ...labels, 'io.kubernetes.container.name': container },
    annotations: {},
    log_path: `${container}/0.log`,
    linux: { security_context: namespaces },
  }

  await mkdir(path.join(sandbox.log_directory, container), { recursive: true })
  const { pod_sandbox_id } = await cri.call('RunPodSandbox', { config: sandbox })
  let removed = false
  const remove = async () => {
    if (removed) return
    removed = true
    await cri.call('StopPodSandbox', { pod_sandbox_id })
    await cri.call('RemovePodSandbox', { pod_sandbox_id })
    removeCgroup()
  }
  try {
    const { container_id } = await cri.call('CreateContainer', {
      pod_sandbox_id,
      config,
      sandbox_config: sandbox,
    })
    await cri.call('StartContainer', { container_id })
    const pid = await pidOf(cri, container_id)
    return {
      uid,
      containerId: container_id,
      sandboxId: pod_sandbox_id,
      pid,
      waitExit: () => waitExit(cri, container_id),
      remove,
    }
  } catch (error) {
    await remove()
    throw error
  }
}

/** containerd puts the pid into the verbose status only: `info.info`, JSON of its own making. */
async function pidOf(cri: CriClient, container_id: string): Promise<number> {
  const { info } = await cri.call('ContainerStatus', { container_id, verbose: true })
  return (JSON.parse(info['info'] ?? '{}') as { pid?: number }).pid ?? 0
}

/** How often a container is looked at until it has ended. */
const EXIT_POLL_MS = 50

async function waitExit(cri: CriClient, container_id: string): Promise<{ exitCode: number; reason: string }> {
  for (;;) {
    const { status } = await cri.call('ContainerStatus', { container_id, verbose: false })
    if (status.state === 'CONTAINER_EXITED')
      return { exitCode: status.exit_code ?? 0, reason: status.reason ?? '' }
    await sleep(EXIT_POLL_MS)
  }
}
