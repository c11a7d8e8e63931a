// Who crashed: from a cgroup to a container's id, from there to names and to what else is known. Files first: they
// answer in a millisecond, also when the runtime hangs. Sockets then tell labels, digest and restarts, beside whatever
// the caller does meanwhile, and within one deadline for all of them. A core under the wrong pod's name is worse than one
// under none, so doubt ends as `unknown`.
import { readFile } from 'node:fs/promises'
import type { ContainerDetails, SourceReport, Workload } from '../crash.ts'
import { askFiles, askSockets, since } from './ask.ts'
import type { Asked, Expected, Inquiry, Sources } from './ask.ts'
import { parseCgroup } from './cgroup.ts'
import type { CgroupOwner } from './cgroup.ts'
import { containerdBundle } from './containerd.ts'
import { containersStorage } from './containers-storage.ts'
import { containerdCri, crioCri } from './cri.ts'
import { dockerApi, podmanApi } from './docker-api.ts'
import { dockerConfig } from './docker-config.ts'
import { selectNames } from './select.ts'
import type { ContainerFacts, ContainerRef, WorkloadConfig } from './source.ts'
import { userName } from './user.ts'

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

/** Neither rejects; both are settled within `timeout_ms` after files have answered. */
export interface Resolution {
  /** The names that the crash is stored under: they stay as they are. */
  readonly identified: Promise<Workload>
  /** The same, as soon as files have been asked; undefined where these do not know the container. */
  readonly namedByFiles: Promise<Workload | undefined>
  /** Asks sockets for what they add to the names. */
  describe(): Promise<Resolved>
}

/** Starts to find out who a process belongs to. */
export function resolveWorkload(
  subject: Subject,
  config: WorkloadConfig,
  deps: ResolveDeps = DEPS,
): Resolution {
  const { cgroup, uid } = subject
  const { sources, readCgroup } = deps
  const inquiry = { cgroup, config, sources, readCgroup, user: () => deps.userName(uid) }
  const read = readNames(inquiry)
  const found = read.then(findings => askNames(findings, inquiry))
  return {
    namedByFiles: read.then(findings => (findings.unnamed ? undefined : workloadOf(findings, inquiry))),
    identified: found.then(findings => workloadOf(findings, inquiry)),
    describe: async () => describe(await found, inquiry),
  }
}

interface ProcessInquiry extends Inquiry {
  readonly user: () => string | undefined
}

interface Findings {
  readonly owner: CgroupOwner
  /** Whose names are taken. */
  readonly known?: ContainerFacts | undefined
  readonly reports: readonly SourceReport[]
  /** What sockets say beside the names; they are asked by the call. */
  readonly askForMore?: () => Promise<readonly Asked[]>
  /** The process is not in the container whose name its cgroup has. */
  readonly isForged?: boolean
  /** No file knows it: sockets may. */
  readonly unnamed?: { readonly container: ContainerRef; readonly expected: Expected }
}

/** From the cgroup and files. */
async function readNames(inquiry: ProcessInquiry): Promise<Findings> {
  const start = performance.now()
  const owner = parseCgroup(inquiry.cgroup)
  const reports = [cgroupReport(owner, start)]
  const container = containerRef(owner)
  if (container === undefined) return { owner, reports }

  // An id of somebody's choice is containerd's: the others give ids themselves.
  const expected: Expected = owner.kind === 'container' ? owner : { runtime: 'containerd' }
  const byFile = await askFiles(container, expected, inquiry)
  reports.push(...byFile.map(({ report }) => report))
  const last = byFile.at(-1)
  if (last?.isForged) return { owner, reports, isForged: true }
  const facts = last?.facts
  if (facts !== undefined)
    return { owner, known: facts, reports, askForMore: () => askForMore(container, facts, inquiry) }
  // A process that only may be in a container is one of the host where no file says otherwise.
  return owner.kind === 'container'
    ? { owner, reports, unnamed: { container, expected } }
    : { owner, reports }
}

/** From sockets, where files have none. */
async function askNames(findings: Findings, inquiry: Inquiry): Promise<Findings> {
  const { owner, unnamed } = findings
  if (unnamed === undefined) return findings
  const { container, expected } = unnamed
  const asked = await askSockets({ ...container, wantsFirstPid: true }, expected, inquiry)
  const isForged = asked.some(answer => answer.isForged)
  const known = isForged ? undefined : asked.find(({ facts }) => facts)?.facts
  return { owner, known, reports: [...findings.reports, ...asked.map(({ report }) => report)], isForged }
}

/** What files do not tell: labels, and with them all the rest. Nobody's socket has those of containerd's plain ones. */
async function askForMore(
  container: ContainerRef,
  facts: ContainerFacts,
  inquiry: Inquiry,
): Promise<readonly Asked[]> {
  const { names, runtime, labels, sandboxId } = facts
  const isPlain = names.kind === 'container' && runtime === 'containerd'
  if (isPlain || labels !== undefined) return []
  const ref = sandboxId === undefined ? container : { ...container, sandboxId }
  const expected = { podUid: names.kind === 'pod' ? names.podUid : undefined, runtime }
  return await askSockets(ref, expected, inquiry)
}

async function describe(findings: Findings, inquiry: ProcessInquiry): Promise<Resolved> {
  const asked = (await findings.askForMore?.()) ?? []
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

function workloadOf(
  { owner, known, reports, isForged }: Findings,
  { config, user }: ProcessInquiry,
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
    const name = user()
    return { ...host, ...(name === undefined ? {} : { user: name }), sources }
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

function cgroupReport(owner: CgroupOwner, start: number): SourceReport {
  return {
    source: owner.kind === 'host' ? 'systemd-cgroup' : 'cgroup',
    answered: owner.kind !== 'unclear',
    milliseconds: since(start),
    ...(owner.kind === 'unclear' ? { detail: owner.reason } : {}),
  }
}
