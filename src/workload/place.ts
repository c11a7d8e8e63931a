// Where a crash goes in the bucket: the three names in its key. Kubernetes' and docker's names never begin with `_`,
// so what is no pod cannot take a pod's place.
import type { Place, Workload } from '../crash.ts'

/** Stands for a container where there is none; no container can have the name. */
export const NO_CONTAINER = '-'

/** Of crashes nobody can say whose they are. */
export const UNKNOWN_NAMESPACE = '_unknown'

/** As many digits of a container's id as docker and crictl show. */
const SHORT_ID_DIGITS = 12

/**
 * Says under which names a crash is stored and found.
 * @param workload - Who crashed.
 * @param node - This node's name: it stands in for a pod's where there is none.
 * @returns Names as they are; keys encode them.
 */
export function placeOf(workload: Workload, node: string): Place {
  switch (workload.kind) {
    case 'pod':
      return { namespace: workload.namespace, pod: workload.pod, container: workload.container }
    case 'container':
      return { namespace: '_container', pod: workload.container, container: workload.container }
    case 'host':
      return { namespace: '_host', pod: node, container: workload.unit ?? NO_CONTAINER }
  }
  return {
    namespace: UNKNOWN_NAMESPACE,
    pod: workload.podUid ?? workload.containerId?.slice(0, SHORT_ID_DIGITS) ?? node,
    container: NO_CONTAINER,
  }
}
