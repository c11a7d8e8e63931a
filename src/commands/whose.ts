// corelift whose: who a live process belongs to, found out as the handler would on its crash.

import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { decidePolicy, type PolicyDecision } from '../budget/policy.ts'
import type { Config } from '../config/table.ts'
import type { Place, Workload } from '../crash.ts'
import { CoreliftError } from '../errors.ts'
import { placeOf } from '../workload/place.ts'
import { resolveWorkload } from '../workload/resolve.ts'
import type { ResolveDeps } from '../workload/resolve.ts'

/** What would be on record of a crash of the process. */
export interface WhoseAnswer {
  readonly pid: number
  readonly comm: string
  readonly cgroup: string
  readonly workload: Workload
  /** Under which names the crash would be found. */
  readonly place: Place
  /** What would be kept of it, by SIGSEGV. */
  readonly policy: PolicyDecision
}

const SIGSEGV = 11

/**
 * Finds out whose process it is.
 * @param text - A pid of the initial pid namespace, in decimal digits.
 * @throws CoreliftError `E_USAGE`, `E_PROCESS_UNKNOWN`
 */
export async function whose(
  text: string,
  config: Pick<Config, 'workload' | 'policy' | 'budget' | 'node'>,
  deps?: ResolveDeps,
): Promise<WhoseAnswer> {
  const pid = parsePid(text)
  const { cgroup, comm, uid } = readProc(pid)
  const { workload, labels, annotations } = await resolveWorkload(
    { cgroup, uid },
    config.workload,
    deps,
  ).describe()
  const place = placeOf(workload, config.node.name ?? hostname())
  const subject = { place, workload: workload.kind, labels, annotations, signal: SIGSEGV, comm }
  return {
    pid,
    comm: comm.toString(),
    cgroup: cgroup.toString(),
    workload,
    place,
    policy: decidePolicy(subject, config),
  }
}

function parsePid(text: string): number {
  const pid = /^[1-9]\d{0,9}$/.test(text) ? Number(text) : 0
  if (pid > 0) return pid
  throw new CoreliftError('E_USAGE', `not a process id: ${text}`, {
    hint: 'the pid as the host sees it, in digits; for a process in a container: crictl inspect, docker top, ps',
  })
}

/** Not verified by a pidfd, as the handler does: here nobody gains from another process in its place. */
function readProc(pid: number): { cgroup: Buffer; comm: Buffer; uid: number } {
  try {
    const [cgroup, comm, status] = ['cgroup', 'comm', 'status'].map(name =>
      readFileSync(`/proc/${pid}/${name}`),
    ) as [Buffer, Buffer, Buffer]
    // The kernel escapes newlines in the name that stands before: proc_task_name() in fs/proc/array.c.
    const uid = /^Uid:\t(\d+)/m.exec(status.toString('latin1'))?.[1]
    return { cgroup, comm: comm.subarray(0, -1), uid: Number(uid ?? NaN) }
  } catch (cause) {
    throw new CoreliftError('E_PROCESS_UNKNOWN', `no process has pid ${pid}`, {
      hint: 'it is the pid of the host that is wanted, not the one inside the container; ps -e lists them',
      cause,
    })
  }
}
