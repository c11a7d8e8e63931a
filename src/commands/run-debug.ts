// corelift debug: a debugger on a crash's core, with the executable and the libraries that the process had.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { debuggerEnv, type DebugMode } from '../debug/debug-session.ts'
import { findDebugger, noDebugger, type DebuggerName, type FoundDebugger } from '../debug/debuggers.ts'
import { delveArguments, delveInit } from '../debug/delve.ts'
import { gdbScripts, type GdbScripts } from '../debug/gdb-scripts.ts'
import { gdbArguments } from '../debug/gdb.ts'
import { lldbArguments } from '../debug/lldb.ts'
import type { ProgramEnd } from '../debug/programs.ts'
import { CoreliftError, EXIT } from '../errors.ts'
import { findTarget } from './debug-target.ts'
import { openCache, prepare, type Prepared } from './prepare-debug.ts'
import { renderPaths } from './render-debug.ts'
import { renderJson } from './render.ts'
import { note, withStore, type TargetOptions } from './run.ts'
import type { Session } from './session.ts'
import { write } from './terminal.ts'

export interface DebugOptions extends TargetOptions {
  readonly debugger?: DebuggerName | 'none'
  readonly mini?: boolean
  readonly full?: boolean
  readonly newest?: boolean
  readonly 1?: boolean
  readonly batch?: readonly string[]
}

export async function runDebug(
  session: Session,
  wanted: string,
  args: readonly string[],
  options: DebugOptions,
): Promise<void> {
  const name = debuggerName(options)
  const isAsked = name !== undefined && name !== 'none'
  // Before gigabytes are fetched for nothing.
  if (name !== 'none') await anyDebugger(session, isAsked ? name : undefined)
  const cache = await openCache(session)
  try {
    let prepared: Prepared | undefined
    await withStore(session, options, async store => {
      const newest = options.newest ?? options[1] ?? false
      const target = await findTarget(session, store, wanted, { namespace: options.namespace, newest })
      prepared = await prepare(session, store, cache, target, wantedCore(options))
    })
    if (name === 'none') return await printPaths(session, prepared!, options)
    const mode = { batch: options.batch, args, setup: [] }
    await start(session, prepared!, await chooseDebugger(session, prepared!, name), mode)
  } finally {
    await cache.close()
  }
}

function debuggerName({ debugger: name, batch, json }: DebugOptions): DebuggerName | 'none' | undefined {
  if (name === 'none' && batch !== undefined) throw new CoreliftError('E_USAGE', '--batch needs a debugger')
  if (json && name !== 'none')
    throw new CoreliftError('E_USAGE', 'a debugger writes no JSON', {
      hint: '--debugger none --json prints the paths; corelift bt --json prints a backtrace',
    })
  return name
}

export function wantedCore({ full, mini }: Pick<DebugOptions, 'full' | 'mini'>): 'full' | 'mini' | 'best' {
  if (full && mini) throw new CoreliftError('E_USAGE', '--full and --mini exclude each other')
  return full ? 'full' : mini ? 'mini' : 'best'
}

/** @throws CoreliftError `E_DEBUGGER` where no core at all could be opened. */
async function anyDebugger({ io, deps }: Session, name: DebuggerName | undefined): Promise<void> {
  const anything = { executable: undefined, core: undefined, allThreads: false }
  const found = await findDebugger(deps.programs, io.env, anything, name)
  if (found === undefined && (await deps.programs.find('dlv', io.env)) === undefined)
    throw noDebugger(anything)
}

async function chooseDebugger(
  { io, deps }: Session,
  { kinds }: Prepared,
  name: DebuggerName | undefined,
): Promise<FoundDebugger> {
  const debuggee = { ...kinds, allThreads: false }
  const found = await findDebugger(deps.programs, io.env, debuggee, name)
  if (found === undefined) throw noDebugger(debuggee)
  return found
}

async function start(
  session: Session,
  prepared: Prepared,
  { name, path }: FoundDebugger,
  mode: DebugMode,
): Promise<void> {
  const env = debuggerEnv(session.io.env)
  const attend = (args: readonly string[]) => session.deps.programs.attend({ path, args, env })
  if (name === 'gdb') {
    const scripts = await gdbScripts(prepared.plan)
    if (mode.batch === undefined) await tellPython(session, scripts)
    end(session, mode, await attend(gdbArguments(prepared, { ...mode, setup: scripts.commands })))
  } else if (name === 'lldb') end(session, mode, await attend(lldbArguments(prepared, mode)))
  else end(session, mode, await withInitFile(mode, file => attend(delveArgumentsOf(prepared, mode, file))))
}

function delveArgumentsOf(prepared: Prepared, mode: DebugMode, initFile: string): string[] {
  const { executable } = prepared
  if (executable !== undefined) return delveArguments({ ...prepared, executable }, mode, initFile)
  throw new CoreliftError('E_CORE_ABSENT', 'Delve needs the executable, which is not in the store', {
    hint: '--debugger gdb opens the core without it',
  })
}

async function withInitFile<Result>(
  mode: DebugMode,
  use: (file: string) => Promise<Result>,
): Promise<Result> {
  if (mode.batch === undefined) return await use('')
  const directory = await mkdtemp(join(tmpdir(), 'corelift-'))
  try {
    const file = join(directory, 'init')
    await writeFile(file, delveInit(mode.batch))
    return await use(file)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** Somebody who left a debugger has seen how; a script wants to know. */
function end(session: Session, { batch }: DebugMode, { code, signal }: ProgramEnd): void {
  if (signal !== null || (batch !== undefined && code !== 0)) session.exitCode = EXIT.failure
}

async function tellPython(session: Session, { python, pythonHelper }: GdbScripts): Promise<void> {
  if (python === undefined) return
  await note(
    session,
    pythonHelper !== undefined
      ? `Python ${python}: py-bt and py-list are there (${pythonHelper})`
      : `Python ${python}: for py-bt install python${python}-dbg (Debian, Ubuntu) or its debuginfo (Fedora, SUSE)`,
  )
}

async function printPaths(session: Session, prepared: Prepared, options: DebugOptions): Promise<void> {
  const { core, executable, sysroot, searchPaths, coreKind, plan } = prepared
  const scripts = await gdbScripts(plan)
  const command = ['gdb', ...gdbArguments(prepared, { batch: undefined, args: [], setup: scripts.commands })]
  const paths = { core, coreKind, executable: executable ?? null, sysroot, searchPaths, command }
  await write(session.io.stdout, options.json ? renderJson(paths) : renderPaths(paths))
}
