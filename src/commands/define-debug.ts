// Commands that open a crash in a debugger of this machine, and what they keep here.
import { Option, type Command } from 'commander'
import { DEBUGGERS } from '../debug/debuggers.ts'
import { COMMON_CODES, type Define, ending, NAMESPACE_OPTION, TARGET } from './define.ts'

const FETCH_CODES = ['E_CRASH_UNKNOWN', 'E_CORE_ABSENT', 'E_CORE_CORRUPT', 'E_DEBUGGER', 'E_OUTPUT'] as const

function coreOptions(command: Command): Command {
  return command
    .option(...NAMESPACE_OPTION)
    .option('--full', 'the full core, or the trimmed one, however large')
    .option('--mini', 'the mini core: a megabyte with every stack')
    .option('-1, --newest', "a pod's newest crash, without asking which")
}

export const defineDebug: Define = (program, session) => {
  coreOptions(
    program
      .command('debug')
      .summary('open a crash in gdb, lldb or Delve')
      .description(
        "Fetches a crash's core, executable and libraries, and starts a debugger that knows where they are. Without " +
          '--full or --mini: the best core where it is fetched already or small (64 MiB as stored), else the mini core. ' +
          'Go programs open in Delve where it is installed, others in gdb, else lldb.',
      )
      .argument('<id|pod>', TARGET)
      .argument('[args...]', "the debugger's own arguments, after --"),
  )
    .addOption(
      new Option('--debugger <name>', 'none prints the paths and a command line').choices([
        ...DEBUGGERS,
        'none',
      ]),
    )
    .option('--batch <command>', 'run this command of the debugger and end; may be given again', collect)
    .addHelpText(
      'after',
      ending(
        [...FETCH_CODES, ...COMMON_CODES],
        'corelift debug cart-7d9f-x2x4p -n shop',
        "corelift debug --batch bt --batch 'info threads' cart-7d9f-x2x4p",
        'corelift debug cart-7d9f-x2x4p --debugger gdb -- -tui',
      ),
    )
    .action(async (wanted: string, args: string[], _options, command: Command) => {
      const { runDebug } = await import('./run-debug.ts')
      await runDebug(session, wanted, args, command.optsWithGlobals())
    })

  coreOptions(
    program
      .command('bt')
      .summary("print every thread's frames, with names")
      .description(
        "Prints every thread's frames with names, the crashed thread first: by gdb, else lldb, with the crash's own " +
          'executable and libraries; else as the node wrote them down.',
      )
      .argument('<id|pod>', TARGET),
  )
    .addHelpText('after', ending([...FETCH_CODES, ...COMMON_CODES], 'corelift bt cart-7d9f-x2x4p -n shop'))
    .action(async (wanted: string, _options, command: Command) => {
      const { runBt } = await import('./run-bt.ts')
      await runBt(session, wanted, command.optsWithGlobals())
    })

  program
    .command('cache')
    .summary('show or empty what debug and bt keep on this machine')
    .description(
      'Shows what debug and bt keep in $XDG_CACHE_HOME/corelift or ~/.cache/corelift, at most 10 GiB or what ' +
        'CORELIFT_CACHE_BYTES_MAX says ("20GiB"): cores, executables, libraries. What was not used for longest goes first.',
    )
    .option('--prune', 'remove what is over the limit, and what interrupted runs left')
    .option('--clear', 'remove everything that no debugger is using')
    .addHelpText(
      'after',
      ending(['E_USAGE', 'E_CONFIG', 'E_OUTPUT'], 'corelift cache', 'corelift cache --clear'),
    )
    .action(async (_options, command: Command) => {
      const { runCache } = await import('./run-cache.ts')
      await runCache(session, command.optsWithGlobals())
    })
}

const collect = (command: string, commands: string[] | undefined): string[] => [...(commands ?? []), command]
