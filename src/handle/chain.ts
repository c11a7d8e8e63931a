// A crash of the host's own on its way to the handler that was there before (`node.chain_host_processes`): its program is
// run as the kernel would run it, and what the kernel sends is handed on. What the process says of itself was read before,
// so that a program which fails costs the core, not the stacks.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, write } from 'node:fs'
import { promisify } from 'node:util'
import { expandWord, type PatternFacts } from '../kernel/expand-pattern.ts'
import { idInOwnNamespace, type ProcessFacts } from '../kernel/procfs.ts'
import type { Os } from '../os/os.ts'
import { printable } from '../printable.ts'
import type { Beginning } from './begin.ts'
import { findFormerHandler, type FormerHandler } from './former-handler.ts'
import { inTime } from '../in-time.ts'
import { PIPE_BYTES } from './input.ts'
import { withoutNewline } from './record.ts'
import { chunksOf } from './stream.ts'

/**
 * How long a former handler may take. Its own limits are tighter (systemd-coredump: five minutes), this one is for a program
 * that hangs: not hold.seconds_max, which is chosen for pods that wait to be started again.
 */
const CHAINED_SECONDS_MAX = 600

/** COREDUMP_PIDFD_NUMBER of fs/coredump.c. */
const PIDFD_NUMBER = 3

/** What became of a crash that was given to the former handler; `text` says it in words. */
export interface Chained {
  readonly state: 'taken' | 'failed'
  readonly text: string
}

type Found = Extract<FormerHandler, { state: 'found' }>

/**
 * Gives a crash to the former handler, and returns when that is done with it. Never throws.
 * @returns What there is to keep here: a record of what was given, a mini core where the program failed; all of it, with a
 * warning, where there is no program to run.
 */
export async function chain(
  beginning: Beginning,
  os: Pick<Os, 'pipe' | 'dropUnused'>,
  handler = findFormerHandler(),
): Promise<Beginning> {
  const { hold, warnings, done } = beginning
  if (handler.state === 'none') return keptHere(beginning, handler.why)
  hold.postpone(CHAINED_SECONDS_MAX)
  const { readEnd, writeEnd } = os.pipe(PIPE_BYTES)
  const child = await start(handler, readEnd, beginning)
  if (typeof child === 'string') {
    closeSync(writeEnd)
    hold.postpone(hold.secondsMax)
    return keptHere(beginning, child)
  }
  os.dropUnused()
  const chained = await giveTo(child, handler, writeEnd, beginning)
  done('chained')
  // From here on it is a store that is waited for.
  hold.postpone(hold.secondsMax)
  if (chained.state === 'taken') return { ...beginning, chained, isSpent: true }
  return { ...beginning, chained, warnings: [...warnings, chained.text] }
}

function keptHere(beginning: Beginning, why: string): Beginning {
  const warning = `not given to the handler before corelift (node.chain_host_processes): ${why}`
  return { ...beginning, warnings: [...beginning.warnings, warning] }
}

/**
 * Starts the program, as kernel/umh.c does: no shell, no environment, the core on standard input, in `/`.
 * @param readEnd - Of its standard input; closed here.
 * @returns Why it did not start, in words, when it did not: nothing of the core is lost then.
 */
async function start(
  { program, file, args }: Found,
  readEnd: number,
  beginning: Beginning,
): Promise<ChildProcess | string> {
  const { crash, reading } = beginning
  if (reading.state !== 'read') return reading.detail
  const handsPidfd = reading.pidfd === 'verified' && args.some(arg => arg.includes('%F'))
  const pidfd = handsPidfd ? crash.pidfd : undefined
  const facts = factsOf(beginning, reading.process, pidfd === undefined ? undefined : PIDFD_NUMBER)
  try {
    const child = spawn(
      file,
      args.map(arg => expandWord(arg, facts)),
      {
        argv0: program,
        cwd: '/',
        env: {},
        stdio: [readEnd, 'ignore', 'ignore', ...(pidfd === undefined ? [] : [pidfd])],
      },
    )
    await once(child, 'spawn')
    return child
  } catch (error) {
    return printable(`${program}: ${(error as NodeJS.ErrnoException).code}`)
  } finally {
    closeSync(readEnd)
  }
}

function factsOf(
  { crash }: Pick<Beginning, 'crash'>,
  process: ProcessFacts,
  pidfd: number | undefined,
): PatternFacts {
  return {
    ...crash,
    ownPid: idInOwnNamespace(crash.pid, crash.pid) ?? crash.pid,
    ownTid: idInOwnNamespace(crash.pid, crash.tid) ?? crash.tid,
    comm: withoutNewline(process.threadComm ?? process.files.comm),
    exe: process.links.exe,
    pidfd,
  }
}

/**
 * Hands the core on and waits for the program's end; the process is held until then. Whoever the program gave its standard
 * input to (systemd-coredump does, and ends) reads to the end as well.
 */
async function giveTo(
  child: ChildProcess,
  { program }: Found,
  writeEnd: number,
  { input, head, hold }: Pick<Beginning, 'input' | 'head' | 'hold'>,
): Promise<Chained> {
  const ended = once(child, 'exit') as Promise<[code: number | null, signal: NodeJS.Signals | null]>
  hold.holds(() => child.kill('SIGKILL'))
  const giving = Promise.all([ended, give(chunksOf(input, head.bytes), writeEnd)])
  const answer = await inTime(giving, { over: hold.whenOver })
  const given = `given to ${printable(program)}, the handler before corelift`
  if (answer.state === 'late')
    return { state: 'failed', text: `${given}: not done in ${CHAINED_SECONDS_MAX} s` }
  if (answer.state === 'failed') return { state: 'failed', text: `${given}: ${String(answer.error)}` }
  const [[code, signal]] = answer.value
  if (code === 0) return { state: 'taken', text: given }
  return { state: 'failed', text: `${given}: it ended with ${signal ?? `exit code ${code}`}` }
}

const writeSome = promisify(write)

/** Writes what comes for as long as anybody reads; each chunk is valid until the next. */
async function give(chunks: AsyncIterable<Uint8Array>, fd: number): Promise<void> {
  try {
    for await (const chunk of chunks)
      for (let at = 0; at < chunk.length;)
        at += (await writeSome(fd, chunk, at, chunk.length - at)).bytesWritten
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error
  } finally {
    closeSync(fd)
  }
}
