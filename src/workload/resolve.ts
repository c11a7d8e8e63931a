// Who crashed: from a cgroup to a container's id, from there to names and to what else is known. Files first: they
// answer in a millisecond, also when the runtime hangs. Sockets then tell labels, digest and restarts, beside whatever
// the caller does meanwhile, and within one deadline for all. A core under the wrong pod's name is worse than one
// under none, so doubt ends as `unknown`.
import { readFile } from 'node:fs/promises'
import type { ContainerDetails, Runtime, SourceReport, Workload } from '../crash.ts'
import { parseCgroup, sharesContainer } from './cgroup.ts'
import type { CgroupOwner } from './cgroup.ts'
import { containerdBundle } from './containerd.ts'
import { containersStorage } from './containers-storage.ts'
import { containerdCri, crioCri } from './cri.ts'
import { dockerApi, podmanApi } from './docker-api.ts'
import { dockerConfig } from './docker-config.ts'
import { selectNames } from './select.ts'
import type { ContainerFacts, ContainerRef, Source, SourceAnswer, WorkloadConfig } from './source.ts'
import { userName } from './user.ts'

/** Whom to ask, in order: files until one knows the container, sockets all at once. */
export interface Sources {
  readonly files: readonly Source[]
  readonly sockets: readonly Source[]
}

const SOURCES: Sources = {
  files: [containerdBundle, dockerConfig, containersStorage],
  sockets: [containerdCri, crioCri, dockerApi, podmanApi],
}

/** What resolving needs of the system; tests give other things. */
export interface ResolveDeps {
  readonly sources: Sources
  /** @returns /proc/<pid>/cgroup, or undefined where there is no such process. */
  readonly readCgroup: (pid: number) => Promise<Uint8Array | undefined>
  readonly userName: (uid: number) => string | undefined
}

const DEPS: ResolveDeps = {
  sources: SOURCES,
  readCgroup: pid => readFile(`/proc/${pid}/cgroup`).catch(() => undefined),
  userName: uid => userName(uid),
}

/** The process that is asked about. */
export interface Subject {
  /** /proc/<pid>/cgroup as it was read, empty if it could not be. */
  readonly cgroup: Uint8Array
  /** Real user id in the initial user namespace. */
  readonly uid: number
}

/** A workload with all that is known of it. */
export interface Resolved {
  /** With the configured selection of labels and annotations. */
  readonly workload: Workload
  /** All of them; undefined where nobody who knows them answered. */
  readonly labels: Readonly<Record<string, string>> | undefined
  readonly annotations: Readonly<Record<string, string>> | undefined
}

/** Both never reject, and are settled within `timeout_ms`. */
export interface Resolution {
  /** The names that the crash is stored under: they stay as they are. */
  readonly identified: Promise<Workload>
  /** The same names, and what sockets add to them. */
  readonly described: Promise<Resolved>
}

/** Starts to find out who a process belongs to. */
export function resolveWorkload(
  subject: Subject,
  config: WorkloadConfig,
  deps: ResolveDeps = DEPS,
): Resolution {
  const deadline = new AbortController()
  const timer = setTimeout(() => deadline.abort(), config.timeoutMs)
  const inquiry: Inquiry = { subject, config, deps, signal: deadline.signal }
  const found = findNames(inquiry)
  return {
    identified: found.then(findings => workloadOf(findings, inquiry)),
    described: found.then(findings => describe(findings, inquiry)).finally(() => clearTimeout(timer)),
  }
}

interface Inquiry {
  readonly subject: Subject
  readonly config: WorkloadConfig
  readonly deps: ResolveDeps
  readonly signal: AbortSignal
}

interface Findings {
  readonly owner: CgroupOwner
  /** Whose names are taken. */
  readonly known?: ContainerFacts | undefined
  readonly reports: readonly SourceReport[]
  /** Sockets that were asked, and may not have answered yet. */
  readonly asked?: Promise<Asked[]>
  /** The process is not in the container whose name its cgroup has. */
  readonly isForged?: boolean
}

/** What is known already, and a source must agree with. */
interface Expected {
  readonly podUid?: string | undefined
  readonly runtime?: Runtime | undefined
}

interface Asked {
  readonly report: SourceReport
  /** Absent where the source had none, or none that can be used. */
  readonly facts: ContainerFacts | undefined
  /** Facts of the container, which the process is not in: what others say of it is true, and not of the process. */
  readonly isForged: boolean
}

/** Why an answer is not used. */
interface Objection {
  readonly detail: string
  readonly isForged?: boolean
}

async function findNames(inquiry: Inquiry): Promise<Findings> {
  const start = performance.now()
  const owner = parseCgroup(inquiry.subject.cgroup)
  const reports = [cgroupReport(owner, start)]
  const container = containerRef(owner)
  if (container === undefined) return { owner, reports }

  // An id of somebody's choice is containerd's: the others give ids themselves.
  const expected: Expected = owner.kind === 'container' ? owner : { runtime: 'containerd' }
  const { runtime } = expected
  const { files, sockets } = inquiry.deps.sources
  for (const source of sourcesOf(files, runtime)) {
    const { report, facts, isForged } = await ask(source, container, expected, inquiry)
    reports.push(report)
    if (isForged) return { owner, reports, isForged }
    if (facts === undefined) continue
    return { owner, known: facts, reports, asked: askForMore(container, facts, inquiry) }
  }
  // A process that only may be in a container is one of the host where no file says otherwise.
  if (owner.kind !== 'container') return { owner, reports }
  const unnamed = { ...container, wantsFirstPid: true }
  const asked = await Promise.all(
    sourcesOf(sockets, runtime).map(source => ask(source, unnamed, expected, inquiry)),
  )
  const isForged = asked.some(answer => answer.isForged)
  const known = isForged ? undefined : asked.find(({ facts }) => facts)?.facts
  return { owner, known, reports, asked: Promise.resolve(asked), isForged }
}

/** What files do not tell: labels, and with them all the rest. Nobody's socket has those of containerd's plain ones. */
function askForMore(container: ContainerRef, facts: ContainerFacts, inquiry: Inquiry): Promise<Asked[]> {
  const { names, runtime, labels, sandboxId } = facts
  const isPlain = names.kind === 'container' && runtime === 'containerd'
  if (isPlain || labels !== undefined) return Promise.resolve([])
  const ref = sandboxId === undefined ? container : { ...container, sandboxId }
  const expected = { podUid: names.kind === 'pod' ? names.podUid : undefined, runtime }
  const sources = sourcesOf(inquiry.deps.sources.sockets, runtime)
  return Promise.all(sources.map(source => ask(source, ref, expected, inquiry)))
}

async function describe(findings: Findings, inquiry: Inquiry): Promise<Resolved> {
  const asked = (await findings.asked) ?? []
  const reports = [...findings.reports, ...asked.map(({ report }) => report)]
  const known =
    findings.known &&
    asked.reduce((known, { facts }) => ({ ...known, ...facts, names: known.names }), findings.known)
  return {
    workload: workloadOf({ ...findings, known, reports }, inquiry),
    labels: known?.labels,
    annotations: known?.annotations,
  }
}

/** Asks one source; a failure, an answer past the deadline and one that contradicts the kernel are none. */
async function ask(
  source: Source,
  container: ContainerRef,
  expected: Expected,
  inquiry: Inquiry,
): Promise<Asked> {
  const start = performance.now()
  const answer = await answerInTime(source, container, inquiry)
  const objection = answer.facts && (await objectionTo(answer.facts, expected, inquiry))
  const detail = objection?.detail ?? answer.detail
  const report: SourceReport = {
    source: source.name,
    answered: answer.facts !== undefined,
    milliseconds: since(start),
    ...(detail === undefined ? {} : { detail }),
  }
  return {
    report,
    facts: objection === undefined ? answer.facts : undefined,
    isForged: objection?.isForged ?? false,
  }
}

/** The cgroup is the kernel's word, and wins. */
async function objectionTo(
  { names, firstPid, runtime }: ContainerFacts,
  { podUid, runtime: known }: Expected,
  { subject, deps }: Inquiry,
): Promise<Objection | undefined> {
  if (known !== undefined && runtime !== known)
    return { detail: `not used: it is of ${runtime}, the container of ${known}` }
  if (podUid !== undefined && names.kind === 'container')
    return { detail: 'not used: it names no pod, the cgroup does' }
  if (podUid !== undefined && names.kind === 'pod' && names.podUid !== undefined && names.podUid !== podUid)
    return { detail: `not used: it names pod UID ${names.podUid}, but ${podUid} was known already` }
  const first = firstPid === undefined ? undefined : await deps.readCgroup(firstPid)
  if (first === undefined || sharesContainer(subject.cgroup, first)) return undefined
  return {
    detail: "not used: the container's first process is in another cgroup, this one only has its name",
    isForged: true,
  }
}

function workloadOf(
  { owner, known, reports, isForged }: Findings,
  { subject, config, deps }: Inquiry,
): Workload {
  const sources = [...reports]
  if (known !== undefined) {
    const details = detailsOf(containerRef(owner)!.containerId, known, config)
    if (known.names.kind === 'container') return { ...known.names, ...details, sources }
    const podUid = owner.kind === 'container' ? owner.podUid : undefined
    return { ...known.names, ...(podUid === undefined ? {} : { podUid }), ...details, sources }
  }
  if (owner.kind === 'host') {
    const { plain: _, ...host } = owner
    const user = deps.userName(subject.uid)
    return { ...host, ...(user === undefined ? {} : { user }), sources }
  }
  if (owner.kind === 'unclear') return { ...owner, kind: 'unknown', sources }
  const { containerId, podUid } = owner
  const reason = isForged
    ? 'the process is not in the container whose name its cgroup has'
    : 'no container runtime that was asked knows the container'
  return { kind: 'unknown', containerId, ...(podUid === undefined ? {} : { podUid }), reason, sources }
}

function detailsOf(containerId: string, facts: ContainerFacts, config: WorkloadConfig): ContainerDetails {
  const { runtime, image, imageDigest, restartCount, logPath, labels, annotations } = facts
  return {
    containerId,
    runtime,
    ...(image === undefined ? {} : { image }),
    ...(imageDigest === undefined ? {} : { imageDigest }),
    ...(restartCount === undefined ? {} : { restartCount }),
    ...(logPath === undefined ? {} : { logPath }),
    ...(labels === undefined ? {} : { labels: selectNames(labels, config.labels) }),
    ...(annotations === undefined ? {} : { annotations: selectNames(annotations, config.annotations) }),
  }
}

function containerRef(owner: CgroupOwner): ContainerRef | undefined {
  if (owner.kind === 'container') return { containerId: owner.containerId }
  if (owner.kind !== 'host' || owner.plain === undefined) return undefined
  return { containerId: owner.plain.id, namespace: owner.plain.namespace }
}

function sourcesOf(sources: readonly Source[], runtime: Runtime | undefined): Source[] {
  return sources.filter(source => runtime === undefined || source.runtimes.includes(runtime))
}

function cgroupReport(owner: CgroupOwner, start: number): SourceReport {
  return {
    source: owner.kind === 'host' ? 'systemd-cgroup' : 'cgroup',
    answered: owner.kind !== 'unclear',
    milliseconds: since(start),
    ...(owner.kind === 'unclear' ? { detail: owner.reason } : {}),
  }
}

function answerInTime(
  source: Source,
  container: ContainerRef,
  { config, signal }: Inquiry,
): Promise<SourceAnswer> {
  const late = { detail: `no answer within ${config.timeoutMs} ms` }
  if (signal.aborted) return Promise.resolve(late)
  const expired = new Promise<SourceAnswer>(resolve => {
    signal.addEventListener('abort', () => resolve(late), { once: true })
  })
  return Promise.race([source.ask(container, config, signal).catch(failedAnswer), expired])
}

function failedAnswer(error: unknown): SourceAnswer {
  return { detail: error instanceof Error ? error.message : String(error) }
}

/** Elapsed, to a tenth of a millisecond. */
function since(start: number): number {
  return Math.round((performance.now() - start) * 10) / 10
}
