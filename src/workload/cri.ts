// A container's names, labels and restarts from its runtime through the Container Runtime Interface, v1 (gRPC): what the
// kubelet itself asks. A pod's labels and annotations are those of its sandbox, its own container.
import type { CriClient } from './cri-client.ts'
import { answerOf, CONTAINER_ID } from './forms.ts'
import type { RawFacts } from './forms.ts'
import { peoplesLabels, podOf } from './kubernetes.ts'
import type { Values } from './kubernetes.ts'
import { jsonObject, objectOf } from './runtime-file.ts'
import { isSocket } from './socket.ts'
import type { ContainerRef, Source, SourceAnswer } from './source.ts'

type CriRuntime = 'containerd' | 'crio'

/** Names a container by asking containerd's CRI plugin. */
export const containerdCri: Source = {
  name: 'containerd-cri',
  runtimes: ['containerd'],
  ask: (container, config, signal) => askCri('containerd', config.containerdSocket, container, signal),
}

/** Names a container by asking CRI-O. */
export const crioCri: Source = {
  name: 'crio-cri',
  runtimes: ['crio'],
  ask: (container, config, signal) => askCri('crio', config.crioSocket, container, signal),
}

async function askCri(
  runtime: CriRuntime,
  socketPath: string,
  container: ContainerRef,
  signal: AbortSignal,
): Promise<SourceAnswer> {
  if (!CONTAINER_ID.test(container.containerId)) return { detail: 'no id that a CRI runtime gives' }
  if (!(await isSocket(socketPath))) return { detail: `no ${runtime} socket` }
  // All at once: a call takes as long as loading half of gRPC.
  const { connectCri } = await import('./cri-client.ts')
  const cri = connectCri(socketPath, signal)
  try {
    return await askBoth(runtime, cri, container)
  } finally {
    cri.close()
  }
}

/** The container and its sandbox at once; neither, and the id may be that of a sandbox. */
async function askBoth(runtime: CriRuntime, cri: CriClient, container: ContainerRef): Promise<SourceAnswer> {
  const { containerId, wantsFirstPid } = container
  const asking = Promise.all([cri.ask('container', containerId, wantsFirstPid), askSandbox(cri, container)])
  const [status, sandbox] = await asking
  if (status !== undefined) return answerOf(runtime, containerFacts(status, sandbox), 'fields')
  const own = await cri.ask('sandbox', containerId, wantsFirstPid)
  if (own === undefined) return { detail: `${runtime} does not know the container` }
  return answerOf(runtime, sandboxFacts(own), 'fields')
}

/** @returns undefined where it is not to be had: the container has an answer of its own. */
async function askSandbox(cri: CriClient, container: ContainerRef): Promise<Values | undefined> {
  const { containerId, sandboxId } = container
  try {
    const id = sandboxId ?? (await cri.ask('listed', containerId))?.['podSandboxId']
    return typeof id === 'string' && CONTAINER_ID.test(id) ? await cri.ask('sandbox', id) : undefined
  } catch {
    return undefined
  }
}

/** For forms.ts: a container of the CRI is in a pod, whether or not it can be named. */
const NO_POD = { namespace: undefined, pod: undefined, podUid: undefined }

function containerFacts(status: Values, sandbox: Values | undefined): RawFacts {
  const labels = objectOf(status['labels']) ?? {}
  const metadata = objectOf(status['metadata'])
  const { pod } = podOf(labels)
  const ofPod = sandbox && sandboxFacts(sandbox)
  const isSame = pod === undefined || pod.podUid === ofPod?.pod?.podUid
  return {
    ...(isSame && ofPod ? ofPod : { pod: pod ?? NO_POD }),
    container: metadata?.['name'] ?? '',
    image: objectOf(status['image'])?.['image'],
    imageDigest: status['imageRef'],
    // In proto3 what is 0 is left out.
    restartCount: metadata?.['attempt'] ?? 0,
    logPath: status['logPath'],
    firstPid: firstPidOf(status),
  }
}

function sandboxFacts(sandbox: Values): RawFacts {
  const metadata = objectOf(sandbox['metadata'])
  return {
    pod: { namespace: metadata?.['namespace'], pod: metadata?.['name'], podUid: metadata?.['uid'] },
    container: undefined,
    labels: peoplesLabels(objectOf(sandbox['labels']) ?? {}),
    annotations: objectOf(sandbox['annotations']) ?? {},
    sandboxId: sandbox['id'],
    firstPid: firstPidOf(sandbox),
  }
}

/** containerd and CRI-O both put it into the JSON text `info` of a verbose answer. */
function firstPidOf(status: Values): unknown {
  const info = objectOf(status['info'])?.['info']
  return typeof info === 'string' ? jsonObject(info)?.['pid'] : undefined
}
