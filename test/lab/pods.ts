// Pods in any runtime that speaks the CRI, over its socket, as a kubelet would ask for them.
import { randomUUID } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ancestry, rememberCgroups } from './cgroups.ts'
import { connectCri } from './cri/client.ts'
import type { ContainerConfig, CriClient, PodSandboxConfig } from './cri/client.ts'
import type { Test } from './daemon.ts'

export interface ContainerRequest {
  readonly container: string
  readonly image: string
  readonly command: readonly string[]
  /** How often the kubelet has started it before; default 0. A pod may have two of one name with different attempts. */
  readonly attempt?: number
}

export interface PodRequest extends ContainerRequest {
  readonly namespace: string
  readonly pod: string
  /** Default: a fresh one. */
  readonly uid?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  /** Whether the containers see each other's processes (`shareProcessNamespace`); default `CONTAINER`: they do not. */
  readonly pidNamespace?: 'CONTAINER' | 'POD'
  /** Default: what a kubelet with the runtime's driver names for a burstable pod. */
  readonly cgroupParent?: string
}

export interface Container {
  readonly containerId: string
  /** Of the container's first process, as the host sees it. */
  readonly pid: number
  /** On the host; there once something was printed. Lines are in the CRI's log format. */
  readonly logPath: string
  /** Waits until the container's first process has ended. */
  waitExit(): Promise<{ exitCode: number; reason: string }>
}

/** A pod, and its first container. */
export interface Pod extends Container {
  readonly uid: string
  readonly sandboxId: string
  /** Starts one more: a sidecar, or a container again with a higher `attempt`. */
  runContainer(request: ContainerRequest): Promise<Container>
  /** Stops and removes the pod and its cgroups. May be called twice. */
  readonly remove: () => Promise<void>
}

export interface CommandOutput {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

export interface Pods {
  runPod(request: PodRequest): Promise<Pod>
  /** Runs a command in a running container, as `kubectl exec` does, and waits for its end. */
  execSync(containerId: string, command: readonly string[]): Promise<CommandOutput>
}

export interface Runtime {
  readonly socketPath: string
  readonly cgroupDriver: 'cgroupfs' | 'systemd'
  /** Where pods' log directories are to be, as the runtime sees it and as we do. */
  readonly logs: { readonly inside: string; readonly outside: string }
  /** Turns a pid that the runtime has named into the host's. Default: they are the same. */
  readonly pidOnHost?: (pid: number, containerId: string) => number
}

/** Connects to a runtime; the test's end removes its pods. */
export function connectPods(t: Test, runtime: Runtime): Pods {
  const cri = connectCri(runtime.socketPath)
  t.teardown(() => cri.close())
  return {
    runPod: async request => {
      const { pod, remove } = await startSandbox(cri, runtime, request)
      t.teardown(remove)
      const container = await pod.runContainer(request)
      return { ...pod, ...container, remove }
    },
    execSync: async (container_id, cmd) => {
      const answer = await cri.call('ExecSync', { container_id, cmd, timeout: EXEC_SECONDS_MAX })
      return {
        exitCode: answer.exit_code ?? 0,
        stdout: answer.stdout?.toString('utf8') ?? '',
        stderr: answer.stderr?.toString('utf8') ?? '',
      }
    },
  }
}

/** Far above what a command of a test takes. */
const EXEC_SECONDS_MAX = 60

async function startSandbox(cri: CriClient, runtime: Runtime, request: PodRequest) {
  const { namespace, pod: name } = request
  const uid = request.uid ?? randomUUID()
  const cgroup = request.cgroupParent ?? burstableCgroup(runtime.cgroupDriver, uid)
  // systemd removes the slices that it has made.
  const removeCgroup = rememberCgroups(runtime.cgroupDriver === 'systemd' ? [] : ancestry(cgroup))
  const directory = `${namespace}_${name}_${uid}`
  const config: PodSandboxConfig = {
    metadata: { name, uid, namespace, attempt: 0 },
    hostname: name,
    log_directory: path.join(runtime.logs.inside, directory),
    labels: { ...request.labels, ...podLabels({ name, namespace, uid }) },
    annotations: { ...request.annotations },
    linux: { cgroup_parent: cgroup, security_context: securityContext(request) },
  }
  const logs = path.join(runtime.logs.outside, directory)
  await mkdir(logs, { recursive: true })
  const { pod_sandbox_id } = await cri.call('RunPodSandbox', { config })
  let removed = false
  const remove = async () => {
    if (removed) return
    removed = true
    await cri.call('StopPodSandbox', { pod_sandbox_id })
    await cri.call('RemovePodSandbox', { pod_sandbox_id })
    removeCgroup()
  }
  const runContainer = async (container: ContainerRequest) => {
    const { pidOnHost } = runtime
    const { containerId, pid } = await startContainer(cri, pod_sandbox_id, config, container, logs)
    return {
      containerId,
      pid: pidOnHost === undefined ? pid : pidOnHost(pid, containerId),
      logPath: path.join(logs, logName(container)),
      waitExit: () => waitExit(cri, containerId),
    }
  }
  return { pod: { uid, sandboxId: pod_sandbox_id, runContainer }, remove }
}

async function startContainer(
  cri: CriClient,
  pod_sandbox_id: string,
  sandbox: PodSandboxConfig,
  request: ContainerRequest,
  logs: string,
): Promise<{ containerId: string; pid: number }> {
  const { container: name, attempt = 0 } = request
  const config: ContainerConfig = {
    metadata: { name, attempt },
    image: { image: request.image },
    command: request.command,
    labels: { ...podLabels(sandbox.metadata), 'io.kubernetes.container.name': name },
    annotations: { 'io.kubernetes.container.restartCount': String(attempt) },
    log_path: logName(request),
    linux: { security_context: sandbox.linux.security_context },
  }
  await mkdir(path.join(logs, name), { recursive: true })
  const { container_id } = await cri.call('CreateContainer', {
    pod_sandbox_id,
    config,
    sandbox_config: sandbox,
  })
  await cri.call('StartContainer', { container_id })
  return { containerId: container_id, pid: await pidOf(cri, container_id) }
}

function podLabels(pod: { name: string; namespace: string; uid: string }): Record<string, string> {
  return {
    'io.kubernetes.pod.name': pod.name,
    'io.kubernetes.pod.namespace': pod.namespace,
    'io.kubernetes.pod.uid': pod.uid,
  }
}

/** As kubelet: below the pod's log directory, a file for each attempt. */
function logName(request: ContainerRequest): string {
  return `${request.container}/${request.attempt ?? 0}.log`
}

function securityContext(request: PodRequest): object {
  return { namespace_options: { network: 'POD', pid: request.pidNamespace ?? 'CONTAINER', ipc: 'POD' } }
}

function burstableCgroup(driver: Runtime['cgroupDriver'], uid: string): string {
  if (driver === 'cgroupfs') return `/kubepods/burstable/pod${uid}`
  const slice = `kubepods-burstable-pod${uid.replaceAll('-', '_')}.slice`
  return `/kubepods.slice/kubepods-burstable.slice/${slice}`
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
