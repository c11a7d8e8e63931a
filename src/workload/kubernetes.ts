// The kubelet's own labels, by which a runtime's container belongs to a pod: labels.go in pkg/kubelet/types of Kubernetes.
// containerd's CRI plugin, CRI-O and cri-dockerd all keep them.
import type { RawFacts } from './forms.ts'

/** Values by name, as a runtime has them; nothing says that one is a text. */
export type Values = Readonly<Record<string, unknown>>

const NAMESPACE = 'io.kubernetes.pod.namespace'
const POD = 'io.kubernetes.pod.name'
const POD_UID = 'io.kubernetes.pod.uid'
const CONTAINER = 'io.kubernetes.container.name'
const BOOKKEEPING: ReadonlySet<string> = new Set([
  ...[NAMESPACE, POD, POD_UID, CONTAINER],
  // cri-dockerd's own, beside them.
  ...['io.kubernetes.docker.type', 'io.kubernetes.sandbox.id', 'io.kubernetes.container.logpath'],
])

/** @returns What the labels call the pod and its container; `pod` is undefined where they name none. */
export function podOf(labels: Values): Pick<RawFacts, 'pod' | 'container'> {
  const pod = { namespace: labels[NAMESPACE], pod: labels[POD], podUid: labels[POD_UID] }
  return { pod: pod.pod === undefined ? undefined : pod, container: labels[CONTAINER] }
}

/** Whether two containers' labels are of the same pod. */
export function isSamePod(labels: Values, others: Values): boolean {
  return labels[POD_UID] !== undefined && labels[POD_UID] === others[POD_UID]
}

/** @returns A pod's labels as its author sees them: without the kubelet's own. */
export function peoplesLabels(labels: Values): Values {
  return Object.fromEntries(Object.entries(labels).filter(([name]) => !BOOKKEEPING.has(name)))
}
