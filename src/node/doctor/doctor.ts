// `corelift doctor`: all checks of a node, each with its deadline; one that fails by itself does not keep the others.
import { inTime } from '../../in-time.ts'
import { CoreliftError } from '../../errors.ts'
import { binaryCheck } from './binary-check.ts'
import {
  type Check,
  CHECK_SECONDS,
  fail,
  type Finding,
  type Group,
  GROUPS,
  skipped,
  type Verdict,
} from './check.ts'
import { configCheck } from './config-check.ts'
import { dropsCheck, recentCrashesCheck } from './crash-checks.ts'
import { driftCheck } from './drift-check.ts'
import type { ExaminedNode } from './examined-node.ts'
import {
  coreModesCheck,
  corePatternCheck,
  pipeLimitCheck,
  suidDumpableCheck,
  sysctlFilesCheck,
} from './kernel-checks.ts'
import { apparmorCheck, selinuxCheck } from './security-checks.ts'
import { spoolCheck, stateDirCheck, waitingCheck } from './spool-checks.ts'
import {
  storeClockCheck,
  storeLatencyCheck,
  storeReadCheck,
  storeRoomCheck,
  storeUploadCheck,
  storeWriteCheck,
} from './store-checks.ts'
import {
  handlerCgroupCheck,
  journalCheck,
  lastSweepCheck,
  rivalsCheck,
  sweepTimerCheck,
} from './unit-checks.ts'
import { coreRlimitsCheck, runtimesCheck } from './workload-checks.ts'

/** In the order of their output, within their groups. */
export const CHECKS: readonly Check[] = [
  corePatternCheck,
  pipeLimitCheck,
  suidDumpableCheck,
  coreModesCheck,
  sysctlFilesCheck,
  dropsCheck,
  binaryCheck,
  driftCheck,
  configCheck,
  rivalsCheck,
  sweepTimerCheck,
  lastSweepCheck,
  storeWriteCheck,
  storeUploadCheck,
  storeReadCheck,
  storeClockCheck,
  storeLatencyCheck,
  storeRoomCheck,
  spoolCheck,
  waitingCheck,
  stateDirCheck,
  handlerCgroupCheck,
  selinuxCheck,
  apparmorCheck,
  journalCheck,
  runtimesCheck,
  coreRlimitsCheck,
  recentCrashesCheck,
]

export interface CheckResult {
  readonly id: string
  readonly group: Group
  readonly result: Verdict
  readonly found: string
  readonly why: string
  /** null: nothing is to be mended. */
  readonly fix: string | null
}

export interface DoctorReport {
  readonly checks: readonly CheckResult[]
  readonly summary: Readonly<Record<Verdict, number>>
}

/** @param checks - Default: all. */
export async function examineNode(
  node: ExaminedNode,
  checks: readonly Check[] = CHECKS,
): Promise<DoctorReport> {
  const inOrder = GROUPS.flatMap(group => checks.filter(check => check.group === group))
  const results = await Promise.all(inOrder.map(check => resultOf(check, node)))
  const count = (verdict: Verdict) => results.filter(({ result }) => result === verdict).length
  const summary = { ok: count('ok'), warn: count('warn'), fail: count('fail'), skipped: count('skipped') }
  return { checks: results, summary }
}

async function resultOf(check: Check, node: ExaminedNode): Promise<CheckResult> {
  const { id, group, why } = check
  const { verdict, found, fix } = await findingOf(check, node)
  const isTrouble = verdict === 'warn' || verdict === 'fail'
  return { id, group, result: verdict, found, why, fix: isTrouble ? (fix ?? check.fix) : null }
}

async function findingOf(check: Check, node: ExaminedNode): Promise<Finding> {
  if (check.needsRoot && !node.isRoot) return skipped('needs root')
  const { secondsMax = CHECK_SECONDS } = check
  const answer = await inTime(examine(check, node), { ms: secondsMax * 1000 })
  if (answer.state === 'done') return answer.value
  if (answer.state === 'late') return fail(`no answer in ${secondsMax} s`)
  const { error } = answer
  if (error instanceof CoreliftError) return fail(error.message, error.hint)
  return fail(`the check itself failed: ${error instanceof Error ? error.message : String(error)}`)
}

/** What is thrown at once is a rejection too. */
async function examine(check: Check, node: ExaminedNode): Promise<Finding> {
  return await check.examine(node)
}
