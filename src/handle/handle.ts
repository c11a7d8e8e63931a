// `corelift handle`: the kernel's entry. Whatever goes wrong below, a line in the kernel log says which crash it was and
// what became of it.
import type { Config } from '../config/table.ts'
import type { CrashFacts } from '../crash.ts'
import { CoreliftError, EXIT, type ExitCode } from '../errors.ts'
import { parseSpecifiers } from '../kernel/core-pattern.ts'
import { LOG_LEVEL } from '../kernel/kmsg.ts'
import { readProcess } from '../kernel/procfs.ts'
import type { HandleDeps } from './begin.ts'
import { capture } from './capture.ts'
import { lostEvent, noteEvent } from './events.ts'
import { commOf, describeCrash } from './record.ts'
import { log } from './report.ts'

export type { HandleDeps } from './begin.ts'

/**
 * Takes one crash.
 * @param args - `[--config FILE]` and the specifiers of CORE_PATTERN.
 * @returns The exit code; nothing is thrown.
 */
export async function handle(args: readonly string[], deps: HandleDeps): Promise<ExitCode> {
  let crash: CrashFacts | undefined
  let config: Config | undefined
  try {
    const call = parseCall(args)
    crash = call.crash
    config = deps.loadConfig(call.configFile)
    return await capture(crash, config, deps)
  } catch (error) {
    return reportLoss({ crash, config }, error, deps)
  }
}

function parseCall(args: readonly string[]): { configFile: string | undefined; crash: CrashFacts } {
  if (args[0] !== '--config') return { configFile: undefined, crash: parseSpecifiers(args) }
  return { configFile: args[1], crash: parseSpecifiers(args.slice(2)) }
}

/** What is known of a call that failed. */
interface FailedCall {
  readonly crash: CrashFacts | undefined
  readonly config: Config | undefined
}

/** The last resort: the crash left nothing in the store, or not all of it. */
function reportLoss({ crash, config }: FailedCall, error: unknown, { os }: HandleDeps): ExitCode {
  const known = error instanceof CoreliftError
  const why = known ? `${error.message} [${error.code}]` : `unexpected: ${String(error)}`
  const reading = crash && readProcess(crash, [])
  const who = crash && reading ? describeCrash(crash, commOf(reading)) : 'a crash'
  const line = `${who} lost: ${why.replaceAll('\n', '; ')}`
  log(os, LOG_LEVEL.error, line)
  if (crash && reading && config) noteEvent(config, lostEvent({ crash, reading }, why, config))
  process.stderr.write(`corelift: ${line}\n${known && error.hint ? `  hint: ${error.hint}\n` : ''}`)
  return known ? error.exitCode : EXIT.failure
}
