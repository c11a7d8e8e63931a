// Asks sources, and believes what agrees with the kernel: the cgroup says which container and pod, and the container's
// first process must be in the same one.
import type { Runtime, SourceReport } from '../crash.ts'
import { sharesContainer } from './cgroup.ts'
import { Deadline } from './deadline.ts'
import type { ContainerFacts, ContainerRef, Source, WorkloadConfig } from './source.ts'

/** Whom to ask, in order: files until one knows the container, sockets all at once. */
export interface Sources {
  readonly files: readonly Source[]
  readonly sockets: readonly Source[]
}

/** An inquiry about one process. */
export interface Inquiry {
  /** /proc/<pid>/cgroup as it was read. */
  readonly cgroup: Uint8Array
  readonly config: WorkloadConfig
  readonly sources: Sources
  /** @returns /proc/<pid>/cgroup, or undefined where there is no such process. */
  readonly readCgroup: (pid: number) => Promise<Uint8Array | undefined>
}

/**
 * How much longer than sockets files may take. They are in memory or on the node's own disk: only processors that are all
 * taken make them late, as in a storm of crashes, and that must not cost the names.
 */
const FILES_PATIENCE = 10

/** What is known already, and a source must agree with. */
export interface Expected {
  readonly podUid?: string | undefined
  readonly runtime?: Runtime | undefined
}

export interface Asked {
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

/** One after the other. @returns Those that were asked: the last one knows the container, where any does. */
export async function askFiles(
  container: ContainerRef,
  expected: Expected,
  inquiry: Inquiry,
): Promise<readonly Asked[]> {
  const deadline = new Deadline(inquiry.config.timeoutMs * FILES_PATIENCE)
  const asked: Asked[] = []
  for (const source of sourcesOf(inquiry.sources.files, expected.runtime)) {
    const answer = await ask(source, container, expected, deadline, inquiry)
    asked.push(answer)
    if (answer.facts !== undefined || answer.isForged) break
  }
  deadline.stop()
  return asked
}

/** All at once. */
export async function askSockets(
  container: ContainerRef,
  expected: Expected,
  inquiry: Inquiry,
): Promise<readonly Asked[]> {
  const deadline = new Deadline(inquiry.config.timeoutMs)
  const sources = sourcesOf(inquiry.sources.sockets, expected.runtime)
  const asked = await Promise.all(sources.map(source => ask(source, container, expected, deadline, inquiry)))
  deadline.stop()
  return asked
}

/** Asks one source; a failure, an answer past the deadline and one that contradicts the kernel are none. */
async function ask(
  source: Source,
  container: ContainerRef,
  expected: Expected,
  deadline: Deadline,
  inquiry: Inquiry,
): Promise<Asked> {
  const start = performance.now()
  const answer = await deadline.wait(signal => source.ask(container, inquiry.config, signal))
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
  { cgroup, readCgroup }: Inquiry,
): Promise<Objection | undefined> {
  if (known !== undefined && runtime !== known)
    return { detail: `not used: it is of ${runtime}, the container of ${known}` }
  if (podUid !== undefined && names.kind === 'container')
    return { detail: 'not used: it names no pod, the cgroup does' }
  if (podUid !== undefined && names.kind === 'pod' && names.podUid !== undefined && names.podUid !== podUid)
    return { detail: `not used: it names pod UID ${names.podUid}, but ${podUid} was known already` }
  const first = firstPid === undefined ? undefined : await readCgroup(firstPid)
  if (first === undefined || sharesContainer(cgroup, first)) return undefined
  return {
    detail: "not used: the container's first process is in another cgroup, this one only has its name",
    isForged: true,
  }
}

function sourcesOf(sources: readonly Source[], runtime: Runtime | undefined): Source[] {
  return sources.filter(source => runtime === undefined || source.runtimes.includes(runtime))
}

/** Elapsed, to a tenth of a millisecond. */
export function since(start: number): number {
  return Math.round((performance.now() - start) * 10) / 10
}
