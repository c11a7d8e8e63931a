// lldb(1) on a core with a sysroot, from version 14 on.
import type { DebugMode, DebugSession } from './debug-session.ts'

/** lldb's commands have quotes; a backtick would be an expression to evaluate. */
export function lldbQuote(text: string): string {
  return `"${text.replaceAll(/["\\`]/g, character => `\\${character}`)}"`
}

/** @returns Arguments for execve(2). */
export function lldbArguments(session: DebugSession, { batch, scripts, args }: DebugMode): string[] {
  const { core, executable, sysroot, searchPaths } = session
  const before = [
    // Nothing that lies beside a container's files runs, and nobody is asked for them.
    'settings set target.load-script-from-symbol-file false',
    'settings set symbols.enable-external-lookup false',
    ...(batch === undefined ? [] : ['settings set use-color false', 'settings set auto-confirm true']),
    `platform select --sysroot ${lldbQuote(sysroot)} remote-linux`,
    ...searchPaths.map(path => `settings append target.exec-search-paths ${lldbQuote(path)}`),
  ]
  return [
    ...(batch === undefined ? [] : ['--no-lldbinit', '--batch']),
    ...before.flatMap(command => ['-O', command]),
    ...scripts.flatMap(script => ['-o', `command script import ${lldbQuote(script)}`]),
    ...args,
    ...(batch ?? []).flatMap(command => ['-o', command]),
    '-c',
    core,
    ...(executable === undefined ? [] : [executable]),
  ]
}

export const LLDB_BACKTRACE: readonly string[] = ['bt all']

/** Whether people want to see the line: not the commands' echo. */
export function lldbKeeps(line: string): boolean {
  return !/^\(lldb\) |^Core file '.*' \(.*\) was loaded\.$/.test(line)
}
