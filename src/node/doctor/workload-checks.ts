// Whether crashes in containers come with their names and their memory, and whether they come at all.
import { readdirSync, readFileSync } from 'node:fs'
import type { Config } from '../../config/table.ts'
import { KIB } from '../../units.ts'
import { parseCgroup } from '../../workload/cgroup.ts'
import { type Check, counted, ok, skipped, someOf, warn } from './check.ts'
import { type ExaminedNode, hasFile, placeIn } from './examined-node.ts'

type WorkloadKey = Exclude<keyof Config['workload'], 'timeoutMs' | 'labels' | 'annotations'>

/** Where a runtime keeps what corelift reads: its keys of the configuration, as they are where it comes from that package. */
interface Packaging {
  readonly name: string
  /** Spelled as in the file. */
  readonly keys: Readonly<Partial<Record<string, string>>>
}

/** https://docs.k3s.io/advanced, https://docs.rke2.io/advanced, https://docs.k0sproject.io, https://microk8s.io/docs, the docker snap. */
const ELSEWHERE: readonly Packaging[] = [
  {
    name: 'containerd of k3s or RKE2',
    keys: {
      containerd_state_dir: '/run/k3s/containerd',
      containerd_socket: '/run/k3s/containerd/containerd.sock',
    },
  },
  {
    name: 'containerd of k0s',
    keys: { containerd_state_dir: '/run/k0s/containerd', containerd_socket: '/run/k0s/containerd.sock' },
  },
  {
    name: 'containerd of MicroK8s',
    keys: {
      containerd_state_dir: '/var/snap/microk8s/common/run/containerd',
      containerd_socket: '/var/snap/microk8s/common/run/containerd.sock',
    },
  },
  { name: "the snap's Docker", keys: { docker_root: '/var/snap/docker/common/var-lib-docker' } },
]

const RUNTIME_OF_KEY: Readonly<Record<WorkloadKey, string>> = {
  containerdStateDir: 'containerd',
  containerdSocket: 'containerd',
  containersStorageDirs: 'CRI-O or podman',
  crioSocket: 'CRI-O',
  podmanSocket: 'podman',
  dockerRoot: 'Docker',
  dockerSocket: 'Docker',
}

export const runtimesCheck: Check = {
  id: 'runtimes',
  group: 'workloads',
  why: "a pod's name comes from the files of its container runtime; where they are not found, crashes are filed under nobody",
  fix: 'name its places in [workload] of the configuration',
  needsRoot: false,
  examine(node) {
    const { workload } = node.config
    const configured = (Object.keys(RUNTIME_OF_KEY) as WorkloadKey[]).flatMap(key =>
      [workload[key]].flat().map(place => ({ place, runtime: RUNTIME_OF_KEY[key] })),
    )
    const found = configured.filter(({ place }) => hasFile(node, place))
    const isConfigured = (place: string) => configured.some(each => each.place === place)
    const missed = ELSEWHERE.find(({ keys }) =>
      Object.values(keys).some(place => place !== undefined && hasFile(node, place) && !isConfigured(place)),
    )
    if (missed !== undefined) {
      const lines = Object.entries(missed.keys).map(([key, place]) => `${key} = "${place}"`)
      return warn(
        `${missed.name} is here, and the configuration does not name its places`,
        `[workload] ${lines.join('; ')} in ${node.configFile}`,
      )
    }
    if (found.length === 0)
      return warn('none where the configuration says; crashes in containers have no names')
    return ok(someOf([...new Set(found.map(({ runtime, place }) => `${runtime} (${place})`))], 4))
  },
}

/** A core below a page with its head cannot be of use: the ladder's own bound. */
const RLIMIT_BYTES_MIN = 32 * KIB
/** A node runs a few hundred containers; processes beyond this are left out. */
const PROCESSES_MAX = 20_000
const NAMED_MAX = 3

export const coreRlimitsCheck: Check = {
  id: 'core-rlimits',
  group: 'workloads',
  why: 'a process whose soft RLIMIT_CORE is below 32 KiB leaves a record without memory; at exactly 1 the kernel starts no handler',
  fix: 'systemctl edit containerd.service, with [Service] LimitCORE=infinity; or capture.honor_core_rlimit = false',
  needsRoot: true,
  async examine(node) {
    const { honorCoreRlimit } = node.config.capture
    const limited = limitedContainers(
      node,
      bytes => bytes === 1 || (honorCoreRlimit && bytes < RLIMIT_BYTES_MIN),
    )
    if (limited.containers === 0) return skipped('no container runs here')
    const pids = [...limited.pids.values()]
    if (pids.length === 0) return ok(`${counted(limited.containers, 'container')}, none of them limited`)
    const names = await Promise.all(pids.slice(0, NAMED_MAX).map(pid => nameOf(node, pid)))
    const words = `${pids.length} of ${counted(limited.containers, 'container')}: ${someOf([...names, ...pids.slice(NAMED_MAX).map(String)])}`
    return honorCoreRlimit
      ? warn(words)
      : warn(
          `${words} (of exactly 1)`,
          `prlimit --pid ${pids[0]} --core=unlimited, and the same for the others`,
        )
  },
}

/** @returns How many containers run, and of those with a process that is limited so its pid, by the container's id. */
function limitedContainers(
  node: ExaminedNode,
  isLimited: (bytes: number) => boolean,
): { containers: number; pids: ReadonlyMap<string, number> } {
  const containers = new Set<string>()
  const pids = new Map<string, number>()
  for (const pid of pidsOf(node).slice(0, PROCESSES_MAX)) {
    const owner = parseCgroup(read(node, `/proc/${pid}/cgroup`))
    if (owner.kind !== 'container') continue
    containers.add(owner.containerId)
    const soft = /^Max core file size +(\d+|unlimited) /m.exec(
      read(node, `/proc/${pid}/limits`).toString('latin1'),
    )?.[1]
    if (soft === undefined || soft === 'unlimited' || !isLimited(Number(soft))) continue
    if (!pids.has(owner.containerId)) pids.set(owner.containerId, pid)
  }
  return { containers: containers.size, pids }
}

function pidsOf(node: ExaminedNode): number[] {
  return readdirSync(placeIn(node, '/proc'))
    .filter(name => /^\d+$/.test(name))
    .map(Number)
}

/** @returns Nothing of a process that has ended meanwhile. */
function read(node: ExaminedNode, file: string): Buffer {
  try {
    return readFileSync(placeIn(node, file))
  } catch {
    return Buffer.alloc(0)
  }
}

async function nameOf(node: ExaminedNode, pid: number): Promise<string> {
  try {
    const { place, comm } = await node.whose(pid)
    return `${place.namespace}/${place.pod} (${comm.trim()})`
  } catch {
    return `pid ${pid}`
  }
}
