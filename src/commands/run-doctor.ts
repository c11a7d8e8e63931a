// What `corelift doctor` looks at: this node, by the means of the other commands.
import { examineConfig } from '../config/load.ts'
import { SYSTEM_CONFIG_FILE } from '../config/settings.ts'
import { EXIT } from '../errors.ts'
import { isDropLine } from '../kernel/drops.ts'
import { readKernelLog } from '../kernel/kmsg-reader.ts'
import { CHECK_SECONDS } from '../node/doctor/check.ts'
import { examineNode } from '../node/doctor/doctor.ts'
import { type ExaminedNode, ownerOf } from '../node/doctor/examined-node.ts'
import { isDenial } from '../node/doctor/security-checks.ts'
import { probeStore } from '../node/doctor/store-probe.ts'
import { nodeEvents } from './node-events.ts'
import { budgetReport } from './budget.ts'
import { renderDoctor } from './render-doctor.ts'
import { renderJson } from './render.ts'
import type { GlobalOptions, Session } from './session.ts'
import { statusReport } from './status.ts'
import { colorsFor, write } from './terminal.ts'
import { whose } from './whose.ts'

export async function runDoctor(session: Session, options: GlobalOptions): Promise<void> {
  const { io } = session
  const report = await examineNode(thisNode(session, options))
  const colors = colorsFor(io.stdout, io.env, options.color)
  await write(io.stdout, options.json ? renderJson(report) : renderDoctor(report, colors))
  if (report.summary.fail > 0) session.exitCode = EXIT.node
}

const ROOT = '/'

function thisNode(session: Session, options: GlobalOptions): ExaminedNode {
  const { deps, io } = session
  const owner = ownerOf({ root: ROOT })
  // What the handler reads: a pattern may name another file than the usual one.
  const patterns = owner?.kind === 'corelift' ? owner.configFile : undefined
  const configFile = options.config ?? patterns ?? SYSTEM_CONFIG_FILE
  const { config, problems } = examineConfig({ file: configFile, env: {}, required: ['store.url'] })
  const { openStore, now, os } = deps
  return {
    root: ROOT,
    isRoot: process.geteuid?.() === 0,
    now,
    config,
    configFile,
    configProblems: problems,
    status: once(() => statusReport(config, os)),
    budget: once(() => budgetReport(config, now())),
    events: once(() => nodeEvents(config.budget.stateDir)),
    kernelLog: once(() => {
      const { records, position } = readKernelLog(
        undefined,
        record => isDropLine(record) || isDenial(record.text),
      )
      return position === undefined ? undefined : records
    }),
    whose: pid => whose(String(pid), config),
    probe: once(() => probeStore({ config, openStore, now })),
    systemctl: args => systemctl(deps.programs, args, io.interrupted),
  }
}

/** What was thrown is thrown again. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => (made ??= { value: make() }).value
}

/** A cron job has no PATH to speak of, and translations are not parsed. */
const SYSTEM_ENV = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }

async function systemctl(
  programs: Session['deps']['programs'],
  args: readonly string[],
  interrupted: AbortSignal,
): Promise<string | undefined> {
  const program = await programs.find('systemctl', SYSTEM_ENV)
  if (program === undefined) return undefined
  const lines: string[] = []
  // One that hangs is not left behind.
  const stopped = AbortSignal.any([interrupted, AbortSignal.timeout(CHECK_SECONDS * 1000)])
  const take = { out: async (line: string) => void lines.push(line), err: async () => undefined }
  const { code } = await programs.listen({ path: program, args, env: SYSTEM_ENV }, take, stopped)
  return code === 0 ? lines.join('\n') : undefined
}
