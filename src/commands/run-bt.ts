// corelift bt: every thread's frames with names, by a debugger of this machine, else as the node wrote them down.
import { BacktraceFilter } from '../debug/backtrace.ts'
import type { Cache } from '../debug/cache.ts'
import { debuggerEnv } from '../debug/debug-session.ts'
import { findDebugger, noDebugger, type FoundDebugger } from '../debug/debuggers.ts'
import { gdbScripts } from '../debug/gdb-scripts.ts'
import { gdbArguments, gdbBacktrace } from '../debug/gdb.ts'
import { lldbArguments, lldbBacktrace } from '../debug/lldb.ts'
import { CoreliftError, EXIT } from '../errors.ts'
import type { Manifest } from '../store/manifest.ts'
import type { Store } from '../store/store.ts'
import { findTarget, type Target } from './debug-target.ts'
import { openCache, prepare, type Prepared } from './prepare-debug.ts'
import { renderLine } from './render-debug.ts'
import { renderSections } from './render-fields.ts'
import { stackSections } from './render-stacks.ts'
import { renderJson } from './render.ts'
import { note, withStore, type TargetOptions } from './run.ts'
import { wantedCore } from './run-debug.ts'
import type { Session } from './session.ts'
import { colorsFor, write } from './terminal.ts'

export interface BtOptions extends TargetOptions {
  readonly mini?: boolean
  readonly full?: boolean
  readonly newest?: boolean
  readonly 1?: boolean
}

export async function runBt(session: Session, wanted: string, options: BtOptions): Promise<void> {
  const core = wantedCore(options)
  await withStore(session, options, async store => {
    const newest = options.newest ?? options[1] ?? false
    const target = await findTarget(session, store, wanted, { namespace: options.namespace, newest })
    const stacks = target.manifest?.stacks
    const why = await backtrace(session, store, target, core, options)
    if (why === undefined) return
    if (stacks === undefined) throw why
    await note(session, `${why.message}: the frames as the node saw them`)
    await printStacks(session, target, stacks, options)
  })
}

/** @returns Why a debugger shows nothing: there is none, or no core. */
async function backtrace(
  session: Session,
  store: Store,
  target: Target,
  core: 'full' | 'mini' | 'best',
  options: BtOptions,
): Promise<CoreliftError | undefined> {
  const { io, deps } = session
  const find = (kinds: Partial<Prepared['kinds']>) =>
    findDebugger(
      deps.programs,
      io.env,
      { executable: undefined, core: undefined, ...kinds, allThreads: true },
      undefined,
    )
  const none = { executable: undefined, core: undefined, allThreads: true }
  if ((await find({})) === undefined) return noDebugger(none)
  const cache = await openCache(session)
  try {
    const prepared = await prepare(session, store, cache, target, core)
    const found = await find(prepared.kinds)
    if (found === undefined) return noDebugger({ ...none, ...prepared.kinds })
    await print(session, cache, target, prepared, found, options)
    return undefined
  } catch (error) {
    if (error instanceof CoreliftError && error.code === 'E_CORE_ABSENT') return error
    throw error
  } finally {
    await cache.close()
  }
}

async function print(
  session: Session,
  cache: Cache,
  { crash }: Target,
  prepared: Prepared,
  found: FoundDebugger,
  options: BtOptions,
): Promise<void> {
  const { io } = session
  const lines: string[] = []
  const take = async (line: string): Promise<void> => {
    if (options.json) lines.push(line)
    else await write(io.stdout, renderLine(line))
  }
  await listen(session, cache, prepared, found, take)
  const { coreKind } = prepared
  if (options.json)
    await write(io.stdout, renderJson({ id: crash.id, core: coreKind, debugger: found.name, lines }))
}

/** Runs the debugger. Its working directory has nothing that a library's relative name could mean. */
async function listen(
  session: Session,
  cache: Cache,
  prepared: Prepared,
  { name, path }: FoundDebugger,
  take: (line: string) => Promise<void>,
): Promise<void> {
  const { io, deps } = session
  const run = { path, env: debuggerEnv(io.env), cwd: cache.path('sysroots') }
  const isGdb = name === 'gdb'
  const backtrace = isGdb ? gdbBacktrace(`corelift ${prepared.core}`) : lldbBacktrace
  const setup = isGdb ? (await gdbScripts(prepared.plan)).commands : []
  const mode = { batch: backtrace.commands, args: [], setup }
  const args = isGdb ? gdbArguments(prepared, mode) : lldbArguments(prepared, mode)
  const filter = new BacktraceFilter(backtrace)
  const lines = {
    out: async (line: string) => {
      if (filter.keepsOut(line)) await take(line)
    },
    err: async (line: string) => {
      if (filter.keepsErr(line)) await note(session, `${name}: ${line}`)
    },
  }
  const { code, signal } = await deps.programs.listen({ ...run, args }, lines, io.interrupted)
  io.interrupted.throwIfAborted()
  if (code === 0 && filter.isPast) return
  await note(session, `${name} ended early: ${signal ?? `exit code ${code}`}`)
  session.exitCode = EXIT.failure
}

async function printStacks(
  session: Session,
  { crash }: Target,
  stacks: NonNullable<Manifest['stacks']>,
  options: BtOptions,
): Promise<void> {
  const { io, deps } = session
  if (options.json)
    return await write(io.stdout, renderJson({ id: crash.id, core: null, debugger: null, stacks }))
  const sections = stackSections(stacks, deps.demangle())
  await write(io.stdout, renderSections(sections, colorsFor(io.stdout, io.env, options.color)))
}
