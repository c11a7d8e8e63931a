// Asks one source on its own, in directories and on sockets of a test's.
import type { ContainerRef, Source, SourceAnswer, WorkloadConfig } from '../../src/workload/source.ts'

export const ID = '4f1c0a9e7b3d5826f0e1d2c3b4a5968778695a4b3c2d1e0f6258d3b7e9a0c1f4'
export const SANDBOX_ID = 'b'.repeat(64)
export const UID = '6f1d3a52-0c4e-4b7a-9a37-52d0b6f0a1c9'
/** The kubelet's labels of a container. */
export const KUBELET_LABELS = {
  'io.kubernetes.pod.namespace': 'shop',
  'io.kubernetes.pod.name': 'web-0',
  'io.kubernetes.pod.uid': UID,
  'io.kubernetes.container.name': 'app',
}
export const NAMES = { kind: 'pod', namespace: 'shop', pod: 'web-0', podUid: UID, container: 'app' } as const

const ABSENT = '/nonexistent'
const NOWHERE: WorkloadConfig = {
  timeoutMs: 1,
  labels: [],
  annotations: [],
  containerdStateDir: ABSENT,
  containerdSocket: ABSENT,
  containersStorageDirs: [ABSENT],
  crioSocket: ABSENT,
  podmanSocket: ABSENT,
  dockerRoot: ABSENT,
  dockerSocket: ABSENT,
}

/**
 * @param places - Where the runtime is; nothing else is anywhere.
 * @param container - Default: the container `ID`.
 */
export function askSource(
  source: Source,
  places: Partial<WorkloadConfig>,
  container: ContainerRef = { containerId: ID },
  signal: AbortSignal = new AbortController().signal,
): Promise<SourceAnswer> {
  return source.ask(container, { ...NOWHERE, ...places }, signal)
}
