// Who crashed: from a cgroup to a container's id, from there to names. Files first, sockets second, each source with
// a deadline. A core under the wrong pod's name is worse than one under none, so doubt ends as `unknown`.
import type { Runtime, SourceReport, Workload } from '../crash.ts'
import { parseCgroup } from './cgroup.ts'
import type { CgroupOwner } from './cgroup.ts'
import { containerdBundle } from './containerd.ts'
import { dockerApi } from './docker.ts'
import type { ContainerNames, Source, SourceAnswer, WorkloadConfig } from './source.ts'

/** In the order in which they are asked. */
const SOURCES: readonly Source[] = [containerdBundle, dockerApi]

/**
 * Says who crashed.
 * @param process - `cgroup`: /proc/<pid>/cgroup as it was read, empty if it could not be.
 * @param sources - Whom to ask for names, in order; those of another runtime than the cgroup's form are not asked.
 * @returns Never throws. `sources` holds a report for everything that was asked, and takes `timeout_ms` at most each.
 */
export async function resolveWorkload(
  process: { readonly cgroup: Uint8Array },
  config: WorkloadConfig,
  sources: readonly Source[] = SOURCES,
): Promise<Workload> {
  const start = performance.now()
  const owner = parseCgroup(process.cgroup)
  const report = cgroupReport(owner, start)
  if (owner.kind === 'host') return { ...owner, sources: [report] }
  if (owner.kind === 'unclear') return { ...owner, kind: 'unknown', sources: [report] }

  const reports = [report]
  for (const source of sources) {
    if (owner.runtime !== undefined && owner.runtime !== source.runtime) continue
    const { answer, report } = await askInTime(source, owner.containerId, config)
    reports.push(report)
    if (answer.names === undefined) continue
    return { ...workloadOf(owner, answer.names, source), sources: reports }
  }
  return { ...unknown(owner, 'no container runtime that was asked knows the container'), sources: reports }
}

type WorkloadFacts = Workload extends infer W ? (W extends Workload ? Omit<W, 'sources'> : never) : never
type Container = CgroupOwner & { kind: 'container' }

/** The names, if they agree with the cgroup, which the kernel vouches for. */
function workloadOf(owner: Container, names: ContainerNames, source: Source): WorkloadFacts {
  const { containerId, podUid } = owner
  const runtime: Runtime = owner.runtime ?? source.runtime
  if (names.kind === 'container') {
    if (podUid !== undefined) return unknown(owner, `${source.name} names no pod, the cgroup does`)
    return { ...names, containerId, runtime }
  }
  if (podUid !== undefined && names.podUid !== undefined && podUid !== names.podUid)
    return unknown(owner, `${source.name} names pod UID ${names.podUid}, the cgroup ${podUid}`)
  return { ...names, ...(podUid === undefined ? {} : { podUid }), containerId, runtime }
}

function unknown(owner: Container, reason: string): WorkloadFacts {
  const { containerId, podUid } = owner
  return { kind: 'unknown', containerId, ...(podUid === undefined ? {} : { podUid }), reason }
}

function cgroupReport(owner: CgroupOwner, start: number): SourceReport {
  return {
    source: owner.kind === 'host' ? 'systemd-cgroup' : 'cgroup',
    answered: owner.kind !== 'unclear',
    milliseconds: since(start),
    ...(owner.kind === 'unclear' ? { detail: owner.reason } : {}),
  }
}

/** Asks one source; a failure or an answer past the deadline is no answer. */
async function askInTime(
  source: Source,
  containerId: string,
  config: WorkloadConfig,
): Promise<{ answer: SourceAnswer; report: SourceReport }> {
  const start = performance.now()
  const deadline = new AbortController()
  const expired = new Promise<SourceAnswer>(resolve => {
    deadline.signal.addEventListener('abort', () =>
      resolve({ detail: `no answer within ${config.timeoutMs} ms` }),
    )
  })
  const timer = setTimeout(() => deadline.abort(), config.timeoutMs)
  const asked = source.ask(containerId, config, deadline.signal).catch(failedAnswer)
  const answer = await Promise.race([asked, expired])
  clearTimeout(timer)
  const report: SourceReport = {
    source: source.name,
    answered: answer.names !== undefined,
    milliseconds: since(start),
    ...(answer.detail === undefined ? {} : { detail: answer.detail }),
  }
  return { answer, report }
}

function failedAnswer(error: unknown): SourceAnswer {
  return { detail: error instanceof Error ? error.message : String(error) }
}

/** Elapsed, to a tenth of a millisecond. */
function since(start: number): number {
  return Math.round((performance.now() - start) * 10) / 10
}
