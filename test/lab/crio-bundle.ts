// Containers as CRI-O leaves them on disk and in cgroups, run by the real runc: CRI-O itself is in no Debian. What is
// CRI-O's is written here by hand, after its internal/factory: `userdata/config.json`
// with its annotations, for container and sandbox, and the `pidfile` and the log that its monitor conmon writes.
import { execFile, spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream, existsSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { ancestry, rememberCgroups } from './cgroups.ts'
import { labDirectory, whyNoLab } from './daemon.ts'
import type { Test } from './daemon.ts'
import type { Container } from './pods.ts'

const run = promisify(execFile)

export interface CrioRequest {
  readonly namespace: string
  readonly pod: string
  /** Default: a fresh one. */
  readonly uid?: string
  /** Of a container that is in the same pod. Default: a fresh one. */
  readonly sandboxId?: string
  readonly container: string
  readonly image: string
  /** The container's one file, a static executable, as `/bin/program`. */
  readonly program: Uint8Array
  readonly args: readonly string[]
  /** How often it was started before; default 0. */
  readonly attempt?: number
  /** The pod's. */
  readonly labels?: Readonly<Record<string, string>>
  /** The pod's. */
  readonly annotations?: Readonly<Record<string, string>>
}

export interface CrioContainer extends Omit<Container, 'waitExit'> {
  readonly uid: string
  readonly sandboxId: string
  waitExit(): Promise<{ exitCode: number }>
}

export interface CrioStorage {
  /** One of `workload.containers_storage_dirs`. */
  readonly storageDir: string
  runContainer(request: CrioRequest): Promise<CrioContainer>
}

/** Why there can be none here, or undefined. */
export function whyNoCrioBundle(): string | undefined {
  return whyNoLab(['runc', 'gcc', 'prlimit'])
}

/** Prepares a storage directory; the test's end kills its containers and removes it. */
export async function makeCrioStorage(t: Test): Promise<CrioStorage> {
  const directory = await labDirectory(t)
  const storageDir = path.join(directory, 'storage')
  return { storageDir, runContainer: request => runContainer(t, directory, storageDir, request) }
}

async function runContainer(
  t: Test,
  directory: string,
  storageDir: string,
  request: CrioRequest,
): Promise<CrioContainer> {
  const { uid = randomUUID(), sandboxId = hexId(), attempt = 0 } = request
  const [id, imageId] = [hexId(), hexId()]
  const pod = { ...request, uid, attempt, id, sandboxId, imageId }
  const logDirectory = path.join(directory, 'pods', `${request.namespace}_${request.pod}_${uid}`)
  const logPath = path.join(logDirectory, request.container, `${attempt}.log`)
  const bundle = userdata(storageDir, id)
  const rootfs = path.join(bundle, 'rootfs')
  for (const folder of [path.dirname(logPath), path.join(rootfs, 'bin'), path.join(rootfs, 'proc')])
    await mkdir(folder, { recursive: true })
  await writeFile(path.join(rootfs, 'bin/program'), request.program, { mode: 0o755 })
  const cgroup = `/kubepods/burstable/pod${uid}/crio-${id}`
  const annotations = containerAnnotations(pod, logPath)
  await writeFile(path.join(bundle, 'config.json'), JSON.stringify(ociConfig(pod, cgroup, annotations)))
  await mkdir(userdata(storageDir, sandboxId), { recursive: true })
  await writeFile(
    path.join(userdata(storageDir, sandboxId), 'config.json'),
    JSON.stringify({ ociVersion: '1.0.2', annotations: sandboxAnnotations(pod, logDirectory) }),
  )

  t.teardown(rememberCgroups(ancestry(cgroup)))
  const pidFile = path.join(bundle, 'pidfile')
  const runcRoot = ['--root', path.join(directory, 'runc')]
  const runc = ['runc', ...runcRoot, 'run', '--bundle', bundle, '--pid-file', pidFile, id]
  const child = spawn('prlimit', ['--core=unlimited', ...runc], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit') as Promise<[number | null]>
  t.teardown(async () => {
    if (child.exitCode === null) await run('runc', [...runcRoot, 'delete', '--force', id])
    await exited
  })
  writeLog(child.stdout, logPath)
  while (!existsSync(pidFile) || readFileSync(pidFile).length === 0) {
    if (child.exitCode !== null) throw new Error(`runc ended with ${child.exitCode}`)
    await sleep(POLL_MS)
  }
  return {
    containerId: id,
    pid: Number(readFileSync(pidFile, 'utf8')),
    logPath,
    uid,
    sandboxId,
    waitExit: async () => ({ exitCode: (await exited)[0] ?? -1 }),
  }
}

const POLL_MS = 20

const hexId = (): string => randomBytes(32).toString('hex')

const userdata = (storageDir: string, id: string): string =>
  path.join(storageDir, 'overlay-containers', id, 'userdata')

/** As conmon does: a time, the stream, `F` for a full line, the line. */
function writeLog(stdout: NodeJS.ReadableStream, logPath: string): void {
  const log = createWriteStream(logPath)
  const lines = createInterface(stdout)
  lines.on('line', line => log.write(`${new Date().toISOString()} stdout F ${line}\n`))
  lines.on('close', () => log.end())
}

type PodIds = CrioRequest & {
  readonly uid: string
  readonly sandboxId: string
  readonly attempt: number
  readonly id: string
  readonly imageId: string
}

function podLabels(pod: PodIds): Record<string, string> {
  return {
    'io.kubernetes.pod.name': pod.pod,
    'io.kubernetes.pod.namespace': pod.namespace,
    'io.kubernetes.pod.uid': pod.uid,
  }
}

/** What CRI-O writes for containers and sandboxes alike. */
function commonAnnotations(pod: PodIds): Record<string, string> {
  return {
    ...podLabels(pod),
    'io.container.manager': 'cri-o',
    'io.kubernetes.cri-o.Created': '2026-01-02T03:04:05.678901234Z',
    'io.kubernetes.cri-o.SandboxID': pod.sandboxId,
    'io.kubernetes.cri-o.SandboxName': `k8s_${pod.pod}_${pod.namespace}_${pod.uid}_0`,
  }
}

/** CRI-O puts the pod's own annotations first, as they are; its Labels and Annotations are the container's. */
function containerAnnotations(pod: PodIds, logPath: string): Record<string, string> {
  const { container, attempt } = pod
  const name = `k8s_${container}_${pod.pod}_${pod.namespace}_${pod.uid}_${attempt}`
  const labels = { ...podLabels(pod), 'io.kubernetes.container.name': container }
  const annotations = { 'io.kubernetes.container.restartCount': String(attempt) }
  return {
    ...pod.annotations,
    ...commonAnnotations(pod),
    ...annotations,
    'io.kubernetes.container.name': container,
    'io.kubernetes.cri-o.ContainerID': pod.id,
    'io.kubernetes.cri-o.ContainerType': 'container',
    'io.kubernetes.cri-o.Name': name,
    'io.kubernetes.cri-o.Metadata': JSON.stringify({ name: container, ...(attempt > 0 ? { attempt } : {}) }),
    'io.kubernetes.cri-o.Labels': JSON.stringify(labels),
    'io.kubernetes.cri-o.Annotations': JSON.stringify(annotations),
    'io.kubernetes.cri-o.Image': pod.image,
    'io.kubernetes.cri-o.ImageName': pod.image,
    'io.kubernetes.cri-o.ImageRef': pod.imageId,
    'io.kubernetes.cri-o.LogPath': logPath,
  }
}

/** CRI-O adds the pod's own annotations as they are. */
function sandboxAnnotations(pod: PodIds, logDirectory: string): Record<string, string> {
  const { pod: name, namespace, uid } = pod
  return {
    ...pod.annotations,
    ...commonAnnotations(pod),
    'io.kubernetes.container.name': 'POD',
    'io.kubernetes.cri-o.ContainerID': pod.sandboxId,
    'io.kubernetes.cri-o.ContainerType': 'sandbox',
    'io.kubernetes.cri-o.ContainerName': `k8s_POD_${name}_${namespace}_${uid}_0`,
    'io.kubernetes.cri-o.KubeName': name,
    'io.kubernetes.cri-o.Namespace': namespace,
    'io.kubernetes.cri-o.Metadata': JSON.stringify({ name, uid, namespace }),
    'io.kubernetes.cri-o.Labels': JSON.stringify({
      ...pod.labels,
      ...podLabels(pod),
      'io.kubernetes.container.name': 'POD',
    }),
    'io.kubernetes.cri-o.Annotations': JSON.stringify({ ...pod.annotations }),
    'io.kubernetes.cri-o.LogPath': path.join(logDirectory, `${pod.sandboxId}.log`),
  }
}

/** OCI runtime specification 1.0.2. */
function ociConfig(pod: PodIds, cgroupsPath: string, annotations: Record<string, string>): object {
  const namespaces = ['pid', 'ipc', 'uts', 'mount', 'network'].map(type => ({ type }))
  return {
    ociVersion: '1.0.2',
    process: {
      user: { uid: 0, gid: 0 },
      args: ['/bin/program', ...pod.args],
      env: ['PATH=/bin'],
      cwd: '/',
      noNewPrivileges: true,
    },
    root: { path: 'rootfs' },
    hostname: pod.pod,
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
    annotations,
    linux: { cgroupsPath, namespaces },
  }
}
