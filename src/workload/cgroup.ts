// Whose process it is, from the text of /proc/<pid>/cgroup: cgroups(7), "/proc files". Pure grammar.
// The handler is in the root cgroup namespace and sees whole paths. What is below a container's own cgroup was named
// by the workload wherever cgroups are delegated to it, so the outermost name that fits is taken, never a deeper one.
import type { Runtime } from '../crash.ts'

/** Whom a cgroup names. Ids have their strict form. */
export type CgroupOwner =
  | {
      readonly kind: 'container'
      /** 64 lower-case hex digits. */
      readonly containerId: string
      /** In a pod: as Kubernetes writes it, or 32 hex digits for a static pod. */
      readonly podUid?: string
      /** Whose form the name has; cgroupfs paths of pods do not tell. */
      readonly runtime?: Runtime
    }
  | {
      readonly kind: 'host'
      /** The system manager's unit and its innermost slice. */
      readonly unit?: string
      readonly slice?: string
    }
  | {
      readonly kind: 'unclear'
      readonly podUid?: string
      readonly containerId?: string
      readonly reason: string
    }

/** What one line says; the path's components from the root down. */
interface Claim {
  readonly belowKubepods: boolean
  readonly podUid?: string | undefined
  readonly containerId?: string | undefined
  readonly runtime?: Runtime | undefined
}

/**
 * Reads a process's cgroup text.
 * @param text - /proc/<pid>/cgroup as it was read. Any bytes are accepted; lines that are none are passed over.
 * @returns `unclear` when there is no line at all, when the path is below kubepods without naming a container, and
 * when lines name different containers or pods: then nobody's name can be trusted.
 */
export function parseCgroup(text: Uint8Array): CgroupOwner {
  const paths = hierarchyPaths(text)
  if (paths.length === 0) return { kind: 'unclear', reason: 'the process has no cgroup that could be read' }

  const claims = paths.map(claimOf)
  // A host with cgroup v1 has hierarchies that the runtime does not use, and one may itself run in a container
  // (kind, a test machine): lines that name a pod outrank lines that only name a container.
  const inPods = claims.filter(claim => claim.belowKubepods)
  const relevant = inPods.length > 0 ? inPods : claims
  const podUids = distinct(relevant.map(claim => claim.podUid))
  const containerIds = distinct(relevant.map(claim => claim.containerId))
  const [podUid, containerId] = [podUids[0], containerIds[0]]
  const runtime = relevant.find(claim => claim.containerId !== undefined)?.runtime

  if (podUids.length > 1) return { kind: 'unclear', reason: 'the cgroup hierarchies name different pods' }
  const pod = podUid === undefined ? {} : { podUid }
  if (containerIds.length > 1)
    return { kind: 'unclear', ...pod, reason: 'the cgroup hierarchies name different containers' }
  if (inPods.length > 0 && podUid === undefined)
    return {
      kind: 'unclear',
      ...(containerId === undefined ? {} : { containerId }),
      reason: 'the cgroup is below kubepods and names no pod',
    }
  if (containerId !== undefined)
    return { kind: 'container', containerId, ...pod, ...(runtime === undefined ? {} : { runtime }) }
  if (podUid !== undefined)
    return { kind: 'unclear', podUid, reason: 'the cgroup names a pod and no container' }
  return paths.map(hostOf).find(host => host.unit ?? host.slice) ?? { kind: 'host' }
}

/**
 * Components of every hierarchy's path: cgroup v2 first, then systemd's own v1 hierarchy, then the others. Runtimes
 * and the service manager always join the first two where they exist; controllers may be left out.
 */
function hierarchyPaths(text: Uint8Array): string[][] {
  // latin1 keeps every byte a character of its own. A cgroup's name cannot hold a newline: cgroup_mkdir() in
  // kernel/cgroup/cgroup.c refuses it, lest this file become ambiguous.
  const lines = Buffer.from(text).toString('latin1').split('\n')
  const rank = (controllers: string) => (controllers === '' ? 0 : controllers === 'name=systemd' ? 1 : 2)
  return lines
    .map(line => /^\d+:(?<controllers>[^:]*):\/(?<path>.*)$/s.exec(line)?.groups)
    .filter(groups => groups !== undefined)
    .sort((a, b) => rank(a['controllers'] ?? '') - rank(b['controllers'] ?? ''))
    .map(groups => (groups['path'] ?? '').split('/').filter(component => component !== ''))
}

const uid = (separator: string) => `[0-9a-f]{8}(?:${separator}[0-9a-f]{4}){3}${separator}[0-9a-f]{12}`
/** The kubelet gives a static pod the MD5 of its source as UID: applyDefaults() in pkg/kubelet/config/common.go. */
const STATIC_UID = '[0-9a-f]{32}'
const POD_CGROUPFS = new RegExp(`^pod(?<uid>${uid('-')}|${STATIC_UID})$`)
/**
 * Slices are named by their whole way down, with `-` between the levels and `_` for a `-` within one. With
 * --cgroup-root (kind does so), that root comes before.
 */
const POD_SYSTEMD = new RegExp(
  `^(?:.+-)?kubepods(?:-burstable|-besteffort)?-pod(?<uid>${uid('_')}|${STATIC_UID})\\.slice$`,
)
const KUBEPODS = /^(?:kubepods|(?:.+-)?kubepods(?:-.+)?\.slice)$/
/** A container's component. CRI-O's and podman's monitors (`crio-conmon-…`) fit none of these: they are no container. */
const CONTAINER = /^(?:(?<form>cri-containerd|docker|crio|libpod)-)?(?<id>[0-9a-f]{64})(?:\.scope)?$/
/** The manager of one user's services, who owns and names all that is below: systemd's user@.service. */
const USER_MANAGER = /^user@\d+\.service$/
/** A map, not an object: `constructor` is a name that a cgroup may have. */
const RUNTIME_OF_FORM: ReadonlyMap<string, Runtime> = new Map([
  ['cri-containerd', 'containerd'],
  ['docker', 'docker'],
  ['crio', 'crio'],
  ['libpod', 'podman'],
])
/** Below kubepods come at most a class (burstable, besteffort) and the pod. */
const POD_DEPTH_MAX = 3

function claimOf(path: readonly string[]): Claim {
  // An unprivileged user could make kubepods/pod<uid>/<id> below their own manager, and so put a core under the
  // name of a pod that is not theirs.
  const manager = path.findIndex(component => USER_MANAGER.test(component))
  const trusted = manager === -1 ? path : path.slice(0, manager)
  // With a systemd driver whose runtime writes cgroupfs, one component is `slice:prefix:id`: runc's
  // libcontainer/specconv, "cgroupsPath".
  const components = trusted.flatMap(component => component.split(':'))

  const kubepods = components.findIndex(component => KUBEPODS.test(component))
  if (kubepods === -1) return { belowKubepods: false, ...containerOf(components) }
  const below = components.slice(kubepods)
  const pod = below
    .slice(0, POD_DEPTH_MAX)
    .map(component => POD_SYSTEMD.exec(component) ?? POD_CGROUPFS.exec(component))
  const podIndex = pod.findIndex(match => match !== null)
  const podUid = pod[podIndex]?.groups?.['uid']?.replaceAll('_', '-')
  return { belowKubepods: true, podUid, ...containerOf(below.slice(podIndex + 1)) }
}

function containerOf(components: readonly string[]): Pick<Claim, 'containerId' | 'runtime'> {
  const index = components.findIndex(component => CONTAINER.test(component))
  const { form, id } = CONTAINER.exec(components[index] ?? '')?.groups ?? {}
  // A bare id may have its form as the component before: /docker/<id>, or <slice>:cri-containerd:<id>.
  return { containerId: id, runtime: RUNTIME_OF_FORM.get(form ?? components[index - 1] ?? '') }
}

/** Unit types that have cgroups, in the characters of systemd.unit(5), up to its 255. Nothing is unescaped. */
const UNIT = /^[A-Za-z0-9:_.\\@-]{1,247}\.(?:service|scope|socket|mount|swap)$/
const SLICE = /^[A-Za-z0-9:_.\\@-]{1,249}\.slice$/

/** As cg_path_get_unit() and cg_path_get_slice() of systemd: slices from the root down, then the unit. */
function hostOf(path: readonly string[]): CgroupOwner & { kind: 'host' } {
  const depth = path.findIndex(component => !SLICE.test(component))
  const slice = path[(depth === -1 ? path.length : depth) - 1]
  const unit = path[depth]
  return {
    kind: 'host',
    ...(unit !== undefined && UNIT.test(unit) ? { unit } : {}),
    ...(slice === undefined ? {} : { slice }),
  }
}

function distinct(values: readonly (string | undefined)[]): string[] {
  return [...new Set(values.filter(value => value !== undefined))]
}
