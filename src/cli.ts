// The people's entry: arguments to a command, its result to a rendering, errors to messages and exit codes. Everything
// but this file's types is loaded on demand, so that the kernel's entry pays for none of it.

import type { CliDeps, Session } from './commands/session.ts'
import type { Io } from './commands/terminal.ts'
import { CoreliftError, EXIT, type ExitCode } from './errors.ts'

/** Enough to remove a partial file. */
const CLEANUP_MS = 1000

/** Parses and runs; what commander has to say comes back as texts, for streams that may fail. */
async function parseAndRun(argv: readonly string[], session: Session): Promise<void> {
  const { CommanderError } = await import('commander')
  const { buildProgram } = await import('./commands/program.ts')
  const { write } = await import('./commands/terminal.ts')
  let out = ''
  let err = ''
  const program = buildProgram(session, {
    writeOut: text => void (out += text),
    writeErr: text => void (err += text),
    outputError: () => undefined,
  })
  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return await write(session.io.stdout, out)
    session.exitCode = EXIT.usage
    if (error.code === 'commander.help') return await write(session.io.stderr, err)
    const [message = '', suggestion] = error.message.replace(/^error: /, '').split('\n')
    const hint =
      suggestion?.replaceAll(/[()]/g, '') ?? 'corelift --help, and --help after a command, list what there is'
    throw new CoreliftError('E_USAGE', message, { hint })
  }
}

/** An output that cannot be written, as node:stream reports it. */
function outputFailure(error: unknown): CoreliftError | undefined {
  const { syscall, code } = error as NodeJS.ErrnoException
  if (syscall !== 'write') return undefined
  return new CoreliftError('E_OUTPUT', `cannot write the output: ${code}`, { cause: error })
}

async function report(failure: unknown, argv: readonly string[], io: Io): Promise<ExitCode> {
  const { colorsFor, write } = await import('./commands/terminal.ts')
  const { renderBug, renderError } = await import('./commands/render.ts')
  // The reader of a pipe that has enough (`| head`) is no failure.
  if ((failure as NodeJS.ErrnoException).code === 'EPIPE') return EXIT.ok
  const print = (text: string) => write(io.stderr, text).catch(() => undefined)
  if (io.interrupted.aborted) {
    await print('corelift: interrupted, nothing is left behind\n')
    return EXIT.failure
  }
  const known = failure instanceof CoreliftError ? failure : outputFailure(failure)
  if (known === undefined) {
    await print(renderBug(failure))
    return EXIT.failure
  }
  const colors = colorsFor(io.stderr, io.env, !argv.includes('--no-color'))
  await print(renderError(known, argv.includes('--json'), colors))
  return known.exitCode
}

/** Rejects some time after an interruption: for commands that hang in a request, which nothing else ends. */
function interruption(session: Session): Promise<never> {
  const { interrupted } = session.io
  return new Promise((_, reject) => {
    const give = () => void setTimeout(() => reject(interrupted.reason), session.cleanupMilliseconds)
    interrupted.addEventListener('abort', give, { once: true })
  })
}

/**
 * Runs one command of the people's CLI. Never throws.
 * @param argv - Arguments after the program's name.
 * @returns The exit code; an interrupted command ends with `EXIT.failure`.
 */
export async function runCli(argv: readonly string[], io: Io, deps: CliDeps): Promise<ExitCode> {
  // Writes report their errors themselves; without a listener they would also end the process.
  for (const stream of [io.stdout, io.stderr]) stream.on('error', () => undefined)
  const session: Session = { io, deps, exitCode: EXIT.ok, cleanupMilliseconds: CLEANUP_MS }
  try {
    await Promise.race([parseAndRun(argv, session), interruption(session)])
    return session.exitCode
  } catch (error) {
    return await report(error, argv, io)
  }
}
