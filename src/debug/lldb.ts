// lldb(1) on a core with a sysroot, from version 14 on.
import type { Backtrace } from './backtrace.ts'
import type { DebugMode, DebugSession } from './debug-session.ts'

/** lldb's commands have quotes; a backtick would be an expression to evaluate. */
export function lldbQuote(text: string): string {
  return `"${text.replaceAll(/["\\`]/g, character => `\\${character}`)}"`
}

/** @returns Arguments for execve(2). */
export function lldbArguments(session: DebugSession, { batch, args }: DebugMode): string[] {
  const { core, executable, sysroot, searchPaths } = session
  const before = [
    // Nothing that lies beside a container's files runs.
    'settings set target.load-script-from-symbol-file false',
    ...(batch === undefined ? [] : ['settings set use-color false', 'settings set auto-confirm true']),
    `platform select --sysroot ${lldbQuote(sysroot)} remote-linux`,
    ...searchPaths.map(path => `settings append target.exec-search-paths ${lldbQuote(path)}`),
  ]
  return [
    ...(batch === undefined ? [] : ['--no-lldbinit', '--script-language', 'none', '--batch']),
    ...before.flatMap(command => ['-O', command]),
    ...args,
    ...(batch ?? []).flatMap(command => ['-o', command]),
    '-c',
    core,
    ...(executable === undefined ? [] : [executable]),
  ]
}

const BACKTRACE = 'bt all'

export const lldbBacktrace: Backtrace = {
  commands: [BACKTRACE],
  // lldb has no command that prints a line without Python, but repeats what it is told.
  marker: `(lldb) ${BACKTRACE}`,
  telling: undefined,
  // Packages whose Python part is broken say so; nothing here needs it.
  noise:
    /^$|^Traceback \(most|^ {2}File "<string>"|^ModuleNotFoundError: No module named 'lldb|lsb_release: /,
}
