// What the Docker Engine knows of a container, which it says alike on disk and through its API. In a pod the kubelet's
// labels are there (cri-dockerd); the pod's own labels and annotations are on the pod's own container, its sandbox.
import type { Runtime } from '../crash.ts'
import { answerOf, CONTAINER_ID, SANDBOX_CONTAINER } from './forms.ts'
import type { RawFacts } from './forms.ts'
import { isSamePod, peoplesLabels, podOf } from './kubernetes.ts'
import type { Values } from './kubernetes.ts'
import { objectOf } from './runtime-file.ts'
import type { SourceAnswer } from './source.ts'

/** A container as the engine describes it, or why there is no description. */
export type DockerReading = { readonly container: Values } | { readonly detail: string }
export type ReadDocker = (containerId: string) => Promise<DockerReading>

/** cri-dockerd's prefix of the labels in which it keeps annotations, which docker does not have. */
const ANNOTATION = 'annotation.'
const RESTART_COUNT = `${ANNOTATION}io.kubernetes.container.restartCount`
const SANDBOX_ID = 'io.kubernetes.sandbox.id'

/**
 * Makes an answer of what the engine says of a container, and of its pod's sandbox.
 * @param runtime - podman's API is docker's; its pods are none of Kubernetes'.
 * @param read - Looks one up by its id, 64 hex digits, and checks that the description is of that one.
 */
export async function askDocker(
  runtime: Extract<Runtime, 'docker' | 'podman'>,
  containerId: string,
  read: ReadDocker,
): Promise<SourceAnswer> {
  if (!CONTAINER_ID.test(containerId)) return { detail: 'no id that the engine gives' }
  const reading = await read(containerId)
  if ('detail' in reading) return reading
  const { container } = reading
  const labels = labelsOf(container)
  const details = {
    image: objectOf(container['Config'])?.['Image'],
    imageDigest: container['Image'],
    logPath: container['LogPath'],
    firstPid: objectOf(container['State'])?.['Pid'],
  }
  const name = typeof container['Name'] === 'string' ? container['Name'].replace(/^\//, '') : undefined
  const names = podOf(labels)
  if (runtime === 'podman' || !isNamedByKubelet(name, names)) {
    const restartCount = container['RestartCount']
    return answerOf(runtime, { ...details, container: name, labels, restartCount }, 'fields')
  }
  const sandboxId = labels[SANDBOX_ID]
  const restartCount = labels[RESTART_COUNT] ?? container['RestartCount']
  const ofPod = names.container === SANDBOX_CONTAINER ? labels : await sandboxLabels(sandboxId, labels, read)
  const raw = { ...details, ...names, restartCount, sandboxId, ...(ofPod && splitLabels(ofPod)) }
  return answerOf(runtime, raw, 'labels')
}

/**
 * Whether the labels are the kubelet's. An image may carry any label, also those of a pod that it is not in; but not the
 * container's name, which cri-dockerd makes of the same names: `k8s_<container>_<pod>_<namespace>_…`.
 */
function isNamedByKubelet(name: string | undefined, { pod, container }: Pick<RawFacts, 'pod' | 'container'>) {
  if (name === undefined || pod === undefined) return false
  const names = ['k8s', container, pod.pod, pod.namespace]
  return names.every((part, index) => part === name.split('_')[index])
}

/** @returns undefined where the sandbox is not to be had: then the pod's labels are unknown, not none. */
async function sandboxLabels(
  sandboxId: unknown,
  labels: Values,
  read: ReadDocker,
): Promise<Values | undefined> {
  if (typeof sandboxId !== 'string' || !CONTAINER_ID.test(sandboxId)) return undefined
  const reading = await read(sandboxId).catch(() => undefined)
  if (reading === undefined || 'detail' in reading) return undefined
  const ofSandbox = labelsOf(reading.container)
  return isSamePod(labels, ofSandbox) ? ofSandbox : undefined
}

function labelsOf(container: Values): Values {
  return objectOf(objectOf(container['Config'])?.['Labels']) ?? {}
}

function splitLabels(all: Values): Pick<RawFacts, 'labels' | 'annotations'> {
  const entries = Object.entries(all)
  const annotations = entries.filter(([name]) => name.startsWith(ANNOTATION))
  const labels = entries.filter(([name]) => !name.startsWith(ANNOTATION))
  return {
    labels: peoplesLabels(Object.fromEntries(labels)),
    annotations: Object.fromEntries(
      annotations.map(([name, value]) => [name.slice(ANNOTATION.length), value]),
    ),
  }
}
