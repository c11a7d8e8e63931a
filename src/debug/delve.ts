// dlv(1), Delve, on a core of a Go program. It knows no sysroot: Go's own code is all in the executable.
import type { DebugMode, DebugSession } from './debug-session.ts'

/**
 * @param initFile - Holds `delveInit`'s text, where there are commands.
 * @returns Arguments for execve(2).
 */
export function delveArguments(
  { executable, core }: DebugSession & { readonly executable: string },
  { batch, args }: DebugMode,
  initFile: string,
): string[] {
  return [
    'core',
    executable,
    core,
    // Delve refuses programs of a newer Go than itself; most of such a core reads well.
    '--check-go-version=false',
    ...(batch === undefined ? [] : ['--allow-non-terminal-interactive=true', '--init', initFile]),
    ...args,
  ]
}

export function delveInit(batch: readonly string[]): string {
  return [...batch, 'exit', ''].join('\n')
}
