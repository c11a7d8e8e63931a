// Proof that what /proc/<pid> shows belongs to the crasher: pidfd_open(2); /proc/self/fdinfo/<fd> in proc(5).
import { readFileSync } from 'node:fs'
import type { PidfdState } from '../crash.ts'

/**
 * Compares the inherited pidfd with the pid. The kernel's `Pid:` line becomes -1 once the process is reaped.
 * @param pidfd - The number that %F gave, or undefined on kernels before 6.16.
 */
export function checkPidfd(pid: number, pidfd: number | undefined): PidfdState {
  if (pidfd === undefined) return 'absent'
  let info: string
  try {
    info = readFileSync(`/proc/self/fdinfo/${pidfd}`, 'latin1')
  } catch {
    return 'not-a-pidfd'
  }
  const line = /^Pid:\t(-?\d+)$/m.exec(info)
  if (!line) return 'not-a-pidfd'
  return Number(line[1]) === pid ? 'verified' : 'other-process'
}
