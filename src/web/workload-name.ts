// What pods of the same workload have in common: their names without what controllers append.

/** Kubernetes' alphabet for random names: k8s.io/apimachinery/pkg/util/rand. */
const RANDOM = '[bcdfghjklmnpqrstvwxz2456789]'
/** `-<hash of the template>-<random>` of a Deployment, `-<random>` of a DaemonSet or a Job, `-<ordinal>` of a StatefulSet. */
const APPENDED = new RegExp(`(?:-${RANDOM}{4,10})?-(?:${RANDOM}{5}|\\d{1,4})$`)

/** @returns `cart` for `cart-7d9f5c-x2x4p`; a guess, as only names are known. */
export function workloadName(pod: string): string {
  return pod.replace(APPENDED, '') || pod
}
