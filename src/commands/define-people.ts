// Commands for those whose pod crashed, who have read access to the store and nothing else.
import type { Command } from 'commander'
import { COMMON_CODES, type Define, ending, fileOptions, NAMESPACE_OPTION, TARGET } from './define.ts'

export const definePeople: Define = (program, session) => {
  program
    .command('ls')
    .summary('list crashes, newest first')
    .description('Lists crashes, newest first. Times are UTC.')
    .argument('[pod]', 'only those of this pod')
    .option(...NAMESPACE_OPTION)
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
      const { runLs } = await import('./run.ts')
      await runLs(session, pod, command.optsWithGlobals())
    })

  program
    .command('info')
    .summary('show what is on record about a crash')
    .description('Shows everything that is on record about a crash.')
    .argument('<id|pod>', TARGET)
    .option(...NAMESPACE_OPTION)
    .addHelpText(
      'after',
      ending(['E_CRASH_UNKNOWN', ...COMMON_CODES], 'corelift info 20261123T204008Z-2f1c0a9e33d4'),
    )
    .action(async (wanted: string, _options, command: Command) => {
      const { runInfo } = await import('./run.ts')
      await runInfo(session, wanted, command.optsWithGlobals())
    })

  fileOptions(
    program
      .command('get')
      .summary("fetch a crash's core")
      .description(
        "Fetches a crash's core, verified, and prints the file's name. Without --full or --mini: the full core or the " +
          'trimmed one where it is complete, else the mini core. It says which.',
      )
      .argument('<id|pod>', TARGET),
    'core.<comm>.<pid>.<id>',
  )
    .addHelpText(
      'after',
      ending(
        ['E_CRASH_UNKNOWN', 'E_CORE_ABSENT', 'E_CORE_CORRUPT', 'E_OUTPUT', ...COMMON_CODES],
        'corelift get cart-7d9f-x2x4p -n shop',
        'gdb -c "$(corelift get cart-7d9f-x2x4p)"',
      ),
    )
    .action(async (wanted: string, _options, command: Command) => {
      const { runGet } = await import('./run.ts')
      await runGet(session, wanted, command.optsWithGlobals())
    })

  program
    .command('verify')
    .summary('look for what is unfinished, damaged or left over in the store')
    .description(
      'Reads crashes as they lie in the store, and says what is unfinished, damaged or left over. A pod or a crash is read ' +
        'to its end; of all crashes sizes are compared, unless --content is given.',
    )
    .argument('[id|pod]', "a crash's id (or its beginning), or a pod: all its crashes")
    .option(...NAMESPACE_OPTION)
    .option('--all', 'all crashes')
    .option('--content', 'read every object, also of all crashes')
    .option('--settled <duration>', 'what is younger is still at work, or waits on a node', '8d')
    .option('--repair', 'finish what can be finished, and remove what is left over')
    .addHelpText(
      'after',
      `${ending(['E_CRASH_UNKNOWN', 'E_CORE_CORRUPT', ...COMMON_CODES], 'corelift verify cart-7d9f-x2x4p -n shop', 'corelift verify --all --repair')}
Ends with 6 as long as something is wrong.`,
    )
    .action(async (wanted: string | undefined, _options, command: Command) => {
      const { runVerify } = await import('./run-verify.ts')
      await runVerify(session, wanted, command.optsWithGlobals())
    })
}
