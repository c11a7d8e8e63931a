// The handler serves the node, it must not hurt it: last in line for the processor, first to go when memory runs out.
import { existsSync, writeFileSync } from 'node:fs'
import { setPriority } from 'node:os'
import type { Config } from '../config/table.ts'

/** @returns What did not work, in words; a handler of normal priority is better than none. */
export function lowerPriority(config: Config['handler']): string[] {
  const problems: string[] = []
  const attempt = (what: string, act: () => void): void => {
    try {
      act()
    } catch (error) {
      problems.push(`${what}: ${(error as Error).message}`)
    }
  }
  attempt('nice', () => setPriority(0, config.nice))
  attempt('oom_score_adj', () => writeFileSync('/proc/self/oom_score_adj', String(config.oomScoreAdj)))
  const cgroup = config.cgroup
  // "0" is the writing process: cgroups(7), cgroup.procs.
  if (existsSync(cgroup))
    attempt('cgroup', () => writeFileSync(`${cgroup}/cgroup.procs`, '0', { flag: 'r+' }))
  return problems
}
