// Which debugger opens a core: the one that was asked for, else Delve for a Go program, gdb, lldb, as far as they are there.
import { CoreliftError } from '../errors.ts'
import type { ElfKind } from './elf-file.ts'
import type { Env, Programs } from './programs.ts'

export const DEBUGGERS = ['gdb', 'lldb', 'dlv'] as const
export type DebuggerName = (typeof DEBUGGERS)[number]

export interface FoundDebugger {
  readonly name: DebuggerName
  readonly path: string
}

/** What the choice is made for. */
export interface Debuggee {
  readonly executable: ElfKind | undefined
  readonly core: ElfKind | undefined
  /** Frames of every thread are wanted, which Delve does not have. */
  readonly allThreads: boolean
}

/** gdb of a distribution knows its own machine alone; this one of Debian knows all. */
const GDB_FOR_ALL = 'gdb-multiarch'

const PACKAGES: Readonly<Record<DebuggerName, string>> = {
  gdb: 'apt install gdb, dnf install gdb, brew install gdb',
  lldb: 'apt install lldb, dnf install lldb, brew install llvm',
  dlv: 'apt install delve, dnf install delve, brew install delve',
}
const OTHERWISE = '--debugger none prints the paths for another program'

/**
 * @param wanted - undefined: the best that is there.
 * @returns undefined where none is there.
 * @throws CoreliftError `E_DEBUGGER` where the one that was asked for is not.
 */
export async function findDebugger(
  programs: Programs,
  env: Env,
  debuggee: Debuggee,
  wanted: DebuggerName | undefined,
): Promise<FoundDebugger | undefined> {
  for (const { name, program } of candidates(debuggee, wanted)) {
    const path = await programs.find(program, env)
    if (path !== undefined) return { name, path }
  }
  if (wanted === undefined) return undefined
  throw new CoreliftError('E_DEBUGGER', `${wanted} is not installed`, {
    hint: `${PACKAGES[wanted]}; ${OTHERWISE}`,
  })
}

/** @returns The error for a core that no debugger of this machine opens. */
export function noDebugger({ core }: Debuggee): CoreliftError {
  if (!isForeign(core))
    return new CoreliftError('E_DEBUGGER', 'neither gdb nor lldb is installed', {
      hint: `${PACKAGES.gdb}; ${OTHERWISE}`,
    })
  return new CoreliftError('E_DEBUGGER', `the core is of another machine: ${machineName(core)}`, {
    hint: `apt install ${GDB_FOR_ALL}, or lldb; where gdb knows all machines, --debugger gdb starts it; ${OTHERWISE}`,
  })
}

function candidates(
  { executable, core, allThreads }: Debuggee,
  wanted: DebuggerName | undefined,
): { name: DebuggerName; program: string }[] {
  const gdb = { name: 'gdb', program: 'gdb' } as const
  const gdbForAll = { name: 'gdb', program: GDB_FOR_ALL } as const
  const lldb = { name: 'lldb', program: 'lldb' } as const
  const dlv = { name: 'dlv', program: 'dlv' } as const
  if (wanted === 'gdb') return isForeign(core) ? [gdbForAll, gdb] : [gdb, gdbForAll]
  if (wanted === 'lldb') return [lldb]
  if (wanted === 'dlv') return [dlv]
  const isForDelve = executable?.isGo === true && !allThreads
  return [...(isForDelve ? [dlv] : []), ...(isForeign(core) ? [gdbForAll] : [gdb, gdbForAll]), lldb]
}

/** A core that says nothing is taken for one of this machine. */
function isForeign(core: ElfKind | undefined): core is ElfKind {
  return core !== undefined && core.architecture !== process.arch
}

function machineName({ architecture, machine }: ElfKind): string {
  return architecture ?? `e_machine ${machine}`
}
