// The people's entry: arguments to a command, its result to a rendering, errors to messages and exit codes. Everything
// but this file's types is loaded on demand, so that the kernel's entry pays for none of it.

import type { Command } from 'commander'
import { STORE_KEYS, type CliDeps, type Session } from './commands/session.ts'
import type { Io } from './commands/terminal.ts'
import { CoreliftError, ERROR_CODES, EXIT, type ErrorCode, type ExitCode } from './errors.ts'

const STORE_CODES = Object.keys(ERROR_CODES).filter(code => code.startsWith('E_STORE_')) as ErrorCode[]
/** Enough to remove a partial file. */
const CLEANUP_MS = 1000
/** Codes of every command that reads the store. */
const COMMON_CODES: readonly ErrorCode[] = ['E_USAGE', 'E_CONFIG', 'E_MANIFEST', ...STORE_CODES]

async function addGlobalOptions(program: Command): Promise<void> {
  const { CONFIG_TABLE } = await import('./config/table.ts')
  program.option('--config <file>', 'configuration file (default: ~/.config/corelift, /etc/corelift)')
  for (const key of STORE_KEYS) {
    const { type, text } = CONFIG_TABLE.store[key]
    const flag = `--store-${key.replaceAll('_', '-')}`
    program.option(type === 'boolean' ? flag : `${flag} <${key.replaceAll('_', '-')}>`, text)
  }
  program.option('--json', 'results and errors as JSON').option('--no-color', 'no colours, as with NO_COLOR')
}

async function addCommands(program: Command, session: Session): Promise<void> {
  const { renderExitCodes } = await import('./commands/render.ts')
  const ending = (codes: readonly ErrorCode[], ...examples: string[]) => {
    const lines = examples.map(example => `  $ ${example}\n`).join('')
    return `\n${renderExitCodes(codes)}\nExample${examples.length > 1 ? 's' : ''}:\n${lines}`
  }
  const namespace = ['-n, --namespace <name>', 'namespace of the pod; _host for host processes'] as const
  const target = "a crash's id (or its beginning), or a pod: its newest crash"

  program
    .command('ls')
    .summary('list crashes, newest first')
    .description('Lists crashes, newest first. Times are UTC.')
    .argument('[pod]', 'only those of this pod')
    .option(...namespace)
    .option('-c, --container <name>', 'only those of this container')
    .option('--node <name>', 'only those of this node')
    .option('--signal <signal>', 'only those by this signal: SIGSEGV, SEGV or 11')
    .option('--comm <comm>', 'only those of processes of this name')
    .option('--since <time>', 'not before: 2026-11-23, "2026-11-23 20:40", 2h (ago), today, yesterday')
    .option('--until <time>', 'not after')
    .option('-1', 'only the newest')
    .addHelpText(
      'after',
      ending(
        ['E_CRASH_UNKNOWN', ...COMMON_CODES],
        'corelift ls cart-7d9f-x2x4p -n shop',
        'corelift ls --since 2h',
      ),
    )
    .action(async (pod: string | undefined, _options, command: Command) => {
      const { runLs } = await import('./commands/run.ts')
      await runLs(session, pod, command.optsWithGlobals())
    })

  program
    .command('info')
    .summary('show what is on record about a crash')
    .description('Shows everything that is on record about a crash.')
    .argument('<id|pod>', target)
    .option(...namespace)
    .addHelpText(
      'after',
      ending(['E_CRASH_UNKNOWN', ...COMMON_CODES], 'corelift info 20261123T204008Z-2f1c0a9e33d4'),
    )
    .action(async (wanted: string, _options, command: Command) => {
      const { runInfo } = await import('./commands/run.ts')
      await runInfo(session, wanted, command.optsWithGlobals())
    })

  program
    .command('get')
    .summary("fetch a crash's core")
    .description(
      "Fetches a crash's core, verified, and prints the file's name. Without --full or --mini: the full core or the " +
        'trimmed one where it is complete, else the mini core. It says which.',
    )
    .argument('<id|pod>', target)
    .option(...namespace)
    .option('-o, --output <file>', 'file to write, - for stdout (default: core.<comm>.<pid>.<id>)')
    .option('--force', 'overwrite a file that exists')
    .option('--full', 'the full core, or the trimmed one, and nothing less')
    .option('--mini', 'the mini core: a megabyte with every stack')
    .addHelpText(
      'after',
      ending(
        ['E_CRASH_UNKNOWN', 'E_CORE_ABSENT', 'E_CORE_CORRUPT', 'E_OUTPUT', ...COMMON_CODES],
        'corelift get cart-7d9f-x2x4p -n shop',
        'gdb -c "$(corelift get cart-7d9f-x2x4p)"',
      ),
    )
    .action(async (wanted: string, _options, command: Command) => {
      const { runGet } = await import('./commands/run.ts')
      await runGet(session, wanted, command.optsWithGlobals())
    })

  program
    .command('whose')
    .summary('show who a live process belongs to')
    .description(
      'Shows who a live process of this node belongs to, as the handler would find out on its crash: who was asked, ' +
        'what each said and how long it took. For "why does it say unknown?". Needs root.',
    )
    .argument('<pid>', 'as the host sees it')
    .addHelpText('after', ending(['E_USAGE', 'E_CONFIG', 'E_PROCESS_UNKNOWN'], 'corelift whose 4711'))
    .action(async (pid: string, _options, command: Command) => {
      const { runWhose } = await import('./commands/run.ts')
      await runWhose(session, pid, command.optsWithGlobals())
    })

  program
    .command('budget')
    .summary("show what is left of this node's budget, and what was refused")
    .description(
      'Shows the slots and who holds them, what was taken of rates and bytes and when more is due, and how many crashes ' +
        "since boot were kept how, with the reason where it is less than whole. Reads the handler's configuration and " +
        'changes nothing. Needs root.',
    )
    .addHelpText('after', ending(['E_USAGE', 'E_CONFIG'], 'corelift budget', 'corelift budget --json'))
    .action(async (_options, command: Command) => {
      const { runBudget } = await import('./commands/run.ts')
      await runBudget(session, command.optsWithGlobals())
    })

  addConfigCommands(program, session, ending)
  addHandleHelp(program, ending)
}

/** The kernel's entry does not come by here (main.ts): this is what people read about it. */
function addHandleHelp(
  program: Command,
  ending: (codes: readonly ErrorCode[], ...examples: string[]) => string,
): void {
  program
    .command('handle')
    .summary('take a core from the kernel (kernel.core_pattern)')
    .description(
      'Takes the core of a crashed process from standard input. The kernel runs it, as kernel.core_pattern says:\n\n' +
        '  |/usr/local/bin/corelift handle [--config FILE] SPECIFIERS',
    )
    .usage('[--config FILE] SPECIFIERS | --specifiers')
    .option('--specifiers', 'print the specifiers, in the order in which it takes them')
    .addHelpText(
      'after',
      `${ending(['E_SPECIFIERS', 'E_CONFIG', ...STORE_CODES], 'corelift handle --specifiers')}
A crash that left a record without a core ends with 10, one whose core is not complete with 11, one that left a trimmed
or a mini core with 12.`,
    )
}

function addConfigCommands(
  program: Command,
  session: Session,
  ending: (codes: readonly ErrorCode[], ...examples: string[]) => string,
): void {
  const config = program
    .command('config')
    .summary('check, show or explain the configuration')
    .addHelpText('after', ending(['E_USAGE', 'E_CONFIG'], 'corelift config defaults > config.toml'))
  config
    .command('check')
    .description('Checks a file as the handler will read it, and lists every problem.')
    .argument('[file]', 'default: /etc/corelift/config.toml')
    .addHelpText('after', ending(['E_USAGE', 'E_CONFIG'], 'corelift config check ./config.toml'))
    .action(async (file: string | undefined, _options, command: Command) => {
      const { runConfigCheck } = await import('./commands/run.ts')
      await runConfigCheck(session, file, command.optsWithGlobals())
    })
  config
    .command('show')
    .description('Shows effective values, and where each comes from.')
    .addHelpText('after', ending(['E_USAGE', 'E_CONFIG'], 'corelift config show --json'))
    .action(async (_options, command: Command) => {
      const { runConfigShow } = await import('./commands/run.ts')
      await runConfigShow(session, command.optsWithGlobals())
    })
  config
    .command('defaults')
    .description('Prints an example file: every key, what it takes, and its default.')
    .addHelpText('after', ending(['E_USAGE'], 'corelift config defaults > /etc/corelift/config.toml'))
    .action(async () => {
      const { runConfigDefaults } = await import('./commands/run.ts')
      await runConfigDefaults(session)
    })
}

/** Parses and runs; what commander has to say comes back as texts, for streams that may fail. */
async function parseAndRun(argv: readonly string[], session: Session): Promise<void> {
  const { Command, CommanderError } = await import('commander')
  const { write } = await import('./commands/terminal.ts')
  let out = ''
  let err = ''
  const program = new Command('corelift')
    .description('Crash dumps off the node and into object storage, by pod name.')
    .version(session.deps.version)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: text => void (out += text),
      writeErr: text => void (err += text),
      outputError: () => undefined,
    })
    .addHelpText('after', '\nEach command explains itself, its exit codes too: corelift ls --help')
  await addGlobalOptions(program)
  await addCommands(program, session)
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
function interruption({ interrupted }: Io): Promise<never> {
  return new Promise((_, reject) => {
    const give = () => void setTimeout(() => reject(interrupted.reason), CLEANUP_MS)
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
  const session: Session = { io, deps, exitCode: EXIT.ok }
  try {
    await Promise.race([parseAndRun(argv, session), interruption(io)])
    return session.exitCode
  } catch (error) {
    return await report(error, argv, io)
  }
}
