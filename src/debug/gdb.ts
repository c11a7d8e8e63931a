// gdb(1) on a core with a sysroot. Versions 9 to 16 are told alike: only settings that all of them know.
import type { Backtrace } from './backtrace.ts'
import type { DebugMode, DebugSession } from './debug-session.ts'

/** Each is a line of its own to gdb, in which paths need no quotes. */
function settings({ sysroot, searchPaths }: DebugSession, isBatch: boolean): string[] {
  return [
    // Scripts beside or inside of a container's files are not to run, whatever the user's safe-path allows.
    'set auto-load off',
    'set libthread-db-search-path $sdir',
    ...(isBatch ? ['set width 0', 'set height 0', 'set confirm off'] : ['set auto-load local-gdbinit on']),
    `set sysroot ${sysroot}`,
    // Always: the user's own would bring this machine's libraries.
    `set solib-search-path ${searchPaths.filter(path => !path.includes(':')).join(':')}`,
  ]
}

/** @returns Arguments for execve(2). -iex comes after the user's gdbinit, and before anything is loaded. */
export function gdbArguments(session: DebugSession, { batch, setup, args }: DebugMode): string[] {
  return [
    '-q',
    ...(batch === undefined ? [] : ['-nx', '-batch']),
    ...settings(session, batch !== undefined).flatMap(line => ['-iex', line]),
    ...setup.flatMap(command => ['-ex', command]),
    ...args,
    ...(batch ?? []).flatMap(command => ['-ex', command]),
    ...(session.executable === undefined ? [] : ['-e', session.executable, '-s', session.executable]),
    '-c',
    session.core,
  ]
}

/** Frames beyond these are a recursion without end; gdb then says so. */
const FRAMES_MAX = 10_000

/** @param marker - A line of its own, which nothing in the core can know. */
export function gdbBacktrace(marker: string): Backtrace {
  return {
    // The crashed thread is a core's first.
    commands: [`set backtrace limit ${FRAMES_MAX}`, `echo \\n${marker}\\n`, 'thread apply all -ascending bt'],
    marker,
    telling: /^Program terminated with signal /,
    noise: NOISE,
  }
}

/** What is said in one line of our own, or is so with every core. */
const NOISE =
  /^$|Can't open file .* during file-backed mapping note processing|Could not load shared library symbols|^Do you need "set solib|Unable to find libthread_db|^\d+\t.*: No such file or directory\.$/
