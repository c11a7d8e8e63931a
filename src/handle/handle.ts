// `corelift handle`: the kernel's entry. Whatever goes wrong below, a line in the kernel log says which crash it was and
// what became of it.
import type { CrashFacts } from '../crash.ts'
import { CoreliftError, EXIT, type ExitCode } from '../errors.ts'
import { parseSpecifiers } from '../kernel/core-pattern.ts'
import { LOG_LEVEL } from '../kernel/kmsg.ts'
import { readProcess } from '../kernel/procfs.ts'
import type { HandleDeps } from './begin.ts'
import { capture } from './capture.ts'
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
  try {
    const call = parseCall(args)
    crash = call.crash
    return await capture(crash, deps.loadConfig(call.configFile), deps)
  } catch (error) {
    return reportLoss(crash, error, deps)
  }
}

function parseCall(args: readonly string[]): { configFile: string | undefined; crash: CrashFacts } {
  if (args[0] !== '--config') return { configFile: undefined, crash: parseSpecifiers(args) }
  return { configFile: args[1], crash: parseSpecifiers(args.slice(2)) }
}

/** The last resort: the crash left nothing in the store, or not all of it. */
function reportLoss(crash: CrashFacts | undefined, error: unknown, { os }: HandleDeps): ExitCode {
  const known = error instanceof CoreliftError
  const why = known ? `${error.message} [${error.code}]` : `unexpected: ${String(error)}`
  const who = crash ? describeCrash(crash, commOf(readProcess(crash, []))) : 'a crash'
  const line = `${who} lost: ${why.replaceAll('\n', '; ')}`
  log(os, LOG_LEVEL.error, line)
  process.stderr.write(`corelift: ${line}\n${known && error.hint ? `  hint: ${error.hint}\n` : ''}`)
  return known ? error.exitCode : EXIT.failure
}
