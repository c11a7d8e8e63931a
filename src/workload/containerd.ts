// A container's names from the bundle that containerd keeps of it while it runs: its config.json (OCI runtime
// specification, "annotations") carries what the CRI plugin knew, or nerdctl. One small file, no socket; it stays for as
// long as the crashed process is not reaped.
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { answerOf, CONTAINER_ID, PLAIN_ID } from './forms.ts'
import type { Values } from './kubernetes.ts'
import { isAbsent, jsonObject, objectOf, readCount, readRuntimeFile } from './runtime-file.ts'
import type { ContainerRef, Source, SourceAnswer } from './source.ts'

/** The v2 runtime plugin's directory: <state>/io.containerd.runtime.v2.task/<namespace>/<id>, in containerd 1.3 to 2. */
const TASKS = 'io.containerd.runtime.v2.task'
/** containerd's namespace of all that came through the CRI, and that of the Docker Engine. */
const CRI_NAMESPACE = 'k8s.io'
const DOCKER_NAMESPACE = 'moby'

const CRI = 'io.kubernetes.cri.'
const NERDCTL = 'nerdctl/'

/** Names a container from containerd's state directory. */
export const containerdBundle: Source = {
  name: 'containerd-bundle',
  runtimes: ['containerd'],
  async ask(container, config) {
    if (!isSound(container)) return { detail: 'no id that containerd gives' }
    const tasks = path.join(config.containerdStateDir, TASKS)
    // Nearly always it is the CRI's; others (`default`, `moby`) cost one more look.
    const likely = await askBundle(tasks, container.namespace ?? CRI_NAMESPACE, container)
    if (likely?.facts !== undefined) return likely
    const namespaces = container.namespace === undefined ? await namespacesOf(tasks) : []
    if (namespaces === undefined) return { detail: 'no containerd state directory' }

    let answer: SourceAnswer = likely ?? { detail: 'no bundle of this container' }
    for (const namespace of namespaces) {
      const inNamespace = await askBundle(tasks, namespace, container)
      if (inNamespace?.facts !== undefined) return inNamespace
      answer = inNamespace ?? answer
    }
    return answer
  },
}

/** Whether nothing of it can lead out of the state directory. */
function isSound({ containerId, namespace }: ContainerRef): boolean {
  return namespace === undefined
    ? CONTAINER_ID.test(containerId)
    : [namespace, containerId].every(name => PLAIN_ID.test(name))
}

/** All but the CRI's. */
async function namespacesOf(tasks: string): Promise<string[] | undefined> {
  try {
    const entries = await readdir(tasks, { withFileTypes: true })
    const names = entries.filter(entry => entry.isDirectory()).map(entry => entry.name)
    return names.filter(name => name !== CRI_NAMESPACE)
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

/** @returns undefined where the namespace has no such bundle. */
async function askBundle(
  tasks: string,
  namespace: string,
  { containerId, namespace: claimed }: ContainerRef,
): Promise<SourceAnswer | undefined> {
  const bundle = path.join(tasks, namespace, containerId)
  const [file, firstPid] = await Promise.all([
    readRuntimeFile(bundle, 'config.json'),
    // The shim's: the first process in the pid namespace that containerd runs in.
    readCount(bundle, 'init.pid'),
  ])
  if (file === undefined || 'detail' in file) return file
  if (namespace === DOCKER_NAMESPACE) return { detail: "the bundle is of the Docker Engine's" }
  const spec = jsonObject(file.text)
  const annotations = objectOf(spec?.['annotations'] ?? {})
  if (annotations === undefined) return { detail: "the bundle's config.json is no OCI configuration" }
  const cgroup = objectOf(spec?.['linux'])?.['cgroupsPath']
  if (claimed !== undefined && cgroup !== `/${claimed}/${containerId}`)
    return { detail: "the container's cgroup is another, this one only has its name" }

  const isOfCri = Object.keys(annotations).some(name => name.startsWith(CRI))
  const facts = isOfCri ? podFacts(annotations) : plainFacts(annotations, containerId)
  return answerOf('containerd', { ...facts, firstPid }, 'annotations')
}

function podFacts(annotations: Values) {
  const cri = (key: string) => annotations[`${CRI}${key}`]
  const isSandbox = cri('container-type') === 'sandbox'
  return {
    pod: { namespace: cri('sandbox-namespace'), pod: cri('sandbox-name'), podUid: cri('sandbox-uid') },
    container: isSandbox ? undefined : (cri('container-name') ?? ''),
    image: cri('image-name'),
    sandboxId: cri('sandbox-id'),
  }
}

/** Of a container that `nerdctl` or `ctr` made. Labels are in containerd's database alone. */
function plainFacts(annotations: Values, containerId: string) {
  const peoples = Object.entries(annotations).filter(([name]) => !name.startsWith(NERDCTL))
  return {
    container: annotations[`${NERDCTL}name`] ?? containerId,
    annotations: Object.fromEntries(peoples),
  }
}
