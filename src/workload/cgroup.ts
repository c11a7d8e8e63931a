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
      /** What may be a container of containerd's to which a person gave its id (ctr): `/<namespace>/<id>`. */
      readonly plain?: { readonly namespace: string; readonly id: string }
    }
  | {
      readonly kind: 'unclear'
      readonly podUid?: string
      readonly containerId?: string
      readonly reason: string
    }

/** What one line says. */
interface Claim {
  /** Controllers, as they stand in the line: none for cgroup v2. */
  readonly hierarchy: string
  readonly belowKubepods: boolean
  readonly podUid?: string | undefined
  readonly containerId?: string | undefined
  readonly runtime?: Runtime | undefined
  /** From the root down to the container's own component. */
  readonly containerPath?: string | undefined
}

/** One line of the file; components from the root down. */
interface HierarchyPath {
  readonly hierarchy: string
  readonly path: readonly string[]
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

  const relevant = relevantClaims(paths)
  const inPods = relevant.filter(claim => claim.belowKubepods)
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
  const hosts = paths.map(({ path }) => hostOf(path))
  return hosts.find(host => host.unit ?? host.slice) ?? hosts.find(host => host.plain) ?? { kind: 'host' }
}

/**
 * Whether a process that claims to be in a container is where the container's first process is. Whoever may make
 * cgroups below their own can give one the name of a container that is not theirs; its place then is another.
 * @param text - /proc/<pid>/cgroup of the process.
 * @param first - That of the process that the runtime noted as the container's first.
 * @returns true too where `first` is in no container of that id: the pid that was noted is one of a nested node's, or
 * was reused, and says nothing.
 */
export function sharesContainer(text: Uint8Array, first: Uint8Array): boolean {
  const claimed = relevantClaims(hierarchyPaths(text)).filter(claim => claim.containerId !== undefined)
  const actual = relevantClaims(hierarchyPaths(first))
  if (!actual.some(({ containerId }) => containerId === claimed[0]?.containerId)) return true
  return claimed.every(({ hierarchy, containerPath }) =>
    actual.some(claim => claim.hierarchy === hierarchy && claim.containerPath === containerPath),
  )
}

/**
 * A host with cgroup v1 has hierarchies that the runtime does not use, and one may itself run in a container (kind, a
 * test machine): lines that name a pod outrank lines that only name a container.
 */
function relevantClaims(paths: readonly HierarchyPath[]): Claim[] {
  const claims = paths.map(claimOf)
  const inPods = claims.filter(claim => claim.belowKubepods)
  return inPods.length > 0 ? inPods : claims
}

/**
 * Components of every hierarchy's path: cgroup v2 first, then systemd's own v1 hierarchy, then the others. Runtimes
 * and the service manager always join the first two where they exist; controllers may be left out.
 */
function hierarchyPaths(text: Uint8Array): HierarchyPath[] {
  // latin1 keeps every byte a character of its own. A cgroup's name cannot hold a newline: cgroup_mkdir() in
  // kernel/cgroup/cgroup.c refuses it, lest this file become ambiguous.
  const lines = Buffer.from(text).toString('latin1').split('\n')
  const rank = (controllers: string) => (controllers === '' ? 0 : controllers === 'name=systemd' ? 1 : 2)
  return lines
    .map(line => /^\d+:(?<controllers>[^:]*):\/(?<path>.*)$/s.exec(line)?.groups)
    .filter(groups => groups !== undefined)
    .map(({ controllers: hierarchy = '', path = '' }) => ({
      hierarchy,
      path: path.split('/').filter(component => component !== ''),
    }))
    .sort((a, b) => rank(a.hierarchy) - rank(b.hierarchy))
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
const CONTAINER =
  /^(?:(?<form>cri-containerd|nerdctl|docker|crio|libpod(?:-payload)?)-)?(?<id>[0-9a-f]{64})(?:\.scope)?$/
/** The manager of one user's services, who owns and names all that is below: systemd's user@.service. */
const USER_MANAGER = /^user@\d+\.service$/
/** A map, not an object: `constructor` is a name that a cgroup may have. */
const RUNTIME_OF_FORM: ReadonlyMap<string, Runtime> = new Map([
  ['cri-containerd', 'containerd'],
  ['nerdctl', 'containerd'],
  ['docker', 'docker'],
  ['crio', 'crio'],
  ['libpod', 'podman'],
  ['libpod-payload', 'podman'],
])
/** Below kubepods come at most a class (burstable, besteffort) and the pod. */
const POD_DEPTH_MAX = 3

function claimOf({ hierarchy, path }: HierarchyPath): Claim {
  // An unprivileged user could make kubepods/pod<uid>/<id> below their own manager, and so put a core under the
  // name of a pod that is not theirs.
  const manager = path.findIndex(component => USER_MANAGER.test(component))
  const trusted = manager === -1 ? path : path.slice(0, manager)
  // With a systemd driver whose runtime writes cgroupfs, one component is `slice:prefix:id`: runc's
  // libcontainer/specconv, "cgroupsPath".
  const components = trusted.flatMap(component => component.split(':'))

  const kubepods = components.findIndex(component => KUBEPODS.test(component))
  if (kubepods === -1) return { hierarchy, belowKubepods: false, ...containerOf(components, 0) }
  const pod = components
    .slice(kubepods, kubepods + POD_DEPTH_MAX)
    .map(component => POD_SYSTEMD.exec(component) ?? POD_CGROUPFS.exec(component))
  const podIndex = pod.findIndex(match => match !== null)
  const podUid = pod[podIndex]?.groups?.['uid']?.replaceAll('_', '-')
  return { hierarchy, belowKubepods: true, podUid, ...containerOf(components, kubepods + podIndex + 1) }
}

/** The outermost component, from one on, that has a container's form. */
function containerOf(
  components: readonly string[],
  from: number,
): Pick<Claim, 'containerId' | 'runtime' | 'containerPath'> {
  const index = components.findIndex((component, at) => at >= from && CONTAINER.test(component))
  if (index === -1) return {}
  const { form, id } = CONTAINER.exec(components[index]!)!.groups!
  return {
    containerId: id,
    // A bare id may have its form as the component before: /docker/<id>, or <slice>:cri-containerd:<id>.
    runtime: RUNTIME_OF_FORM.get(form ?? components[index - 1] ?? ''),
    containerPath: components.slice(0, index + 1).join('/'),
  }
}

/** Unit types that have cgroups, in the characters of systemd.unit(5), up to its 255. Nothing is unescaped. */
const UNIT = /^[A-Za-z0-9:_.\\@-]{1,247}\.(?:service|scope|socket|mount|swap)$/
const SLICE = /^[A-Za-z0-9:_.\\@-]{1,249}\.slice$/

/** Names of containerd's namespaces and containers: its package identifiers. */
const CONTAINERD_NAME = /^(?=.{1,76}$)[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$/

/** As cg_path_get_unit() and cg_path_get_slice() of systemd: slices from the root down, then the unit. */
function hostOf(path: readonly string[]): CgroupOwner & { kind: 'host' } {
  const depth = path.findIndex(component => !SLICE.test(component))
  const slice = path[(depth === -1 ? path.length : depth) - 1]
  const unit = path[depth]
  if (slice !== undefined || (unit !== undefined && UNIT.test(unit)))
    return {
      kind: 'host',
      ...(unit !== undefined && UNIT.test(unit) ? { unit } : {}),
      ...(slice === undefined ? {} : { slice }),
    }
  const [namespace = '', id = ''] = path
  const isPlain = [namespace, id].every(name => CONTAINERD_NAME.test(name))
  return isPlain ? { kind: 'host', plain: { namespace, id } } : { kind: 'host' }
}

function distinct(values: readonly (string | undefined)[]): string[] {
  return [...new Set(values.filter(value => value !== undefined))]
}
