// What checks look at: a node's files below a directory that stands for `/`, and what the other parts of corelift say of it.
// Everything costly is asked for once, by whichever check needs it first.
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { BudgetReport } from '../../commands/budget.ts'
import type { StatusReport } from '../../commands/status.ts'
import type { WhoseAnswer } from '../../commands/whose.ts'
import type { ConfigProblem } from '../../config/load.ts'
import type { Config } from '../../config/table.ts'
import type { KmsgRecord } from '../../kernel/kmsg-reader.ts'
import type { CrashEvent } from '../../telemetry/crash-event.ts'
import { SYSCTLS } from '../layout.ts'
import { type PatternOwner, patternOwner } from '../pattern-owner.ts'
import type { StoreProbe } from './store-probe.ts'

export interface ExaminedNode {
  /** Directory that stands for `/` for files of the system; those that the configuration names by itself are real. */
  readonly root: string
  readonly isRoot: boolean
  readonly now: () => Date
  /** The handler's; defaults where it has problems. */
  readonly config: Config
  readonly configFile: string
  readonly configProblems: readonly ConfigProblem[]
  readonly status: () => Promise<StatusReport>
  readonly budget: () => BudgetReport
  /** Of this node's crashes, oldest first. */
  readonly events: () => readonly CrashEvent[]
  /** Lines about crashes without a handler, and about what was denied; undefined: it cannot be read. */
  readonly kernelLog: () => readonly KmsgRecord[] | undefined
  readonly whose: (pid: number) => Promise<WhoseAnswer>
  readonly probe: () => Promise<StoreProbe>
  /** Runs systemctl(1). @returns What it printed; undefined: there is none, or it failed. */
  readonly systemctl: (args: readonly string[]) => Promise<string | undefined>
}

type Rooted = Pick<ExaminedNode, 'root'>

/** Where a file of the system is. */
export const placeIn = ({ root }: Rooted, file: string): string => path.join(root, file)

export const hasFile = (node: Rooted, file: string): boolean => existsSync(placeIn(node, file))

/** @returns undefined where it cannot be read; the last newline is left out, which files of the kernel end in. */
export function textOf(node: Rooted, file: string): string | undefined {
  try {
    return readFileSync(placeIn(node, file), 'latin1').replace(/\n$/, '')
  } catch {
    return undefined
  }
}

/** Whether systemd is what runs the node: sd_booted(3). */
export const isSystemd = (node: Rooted): boolean => hasFile(node, '/run/systemd/system')

/** @returns Who gets the crashes; undefined where kernel.core_pattern cannot be read. */
export function ownerOf(node: Rooted): PatternOwner | undefined {
  const pattern = textOf(node, SYSCTLS['kernel.core_pattern'])
  return pattern === undefined ? undefined : patternOwner(pattern)
}
