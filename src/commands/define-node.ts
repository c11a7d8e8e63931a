// Commands of a node, for root: they read the handler's configuration, or are the handler.
import type { Command } from 'commander'
import { type Define, ending, STORE_CODES } from './define.ts'

export const defineNode: Define = (program, session) => {
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
      const { runWhose } = await import('./run.ts')
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
      const { runBudget } = await import('./run.ts')
      await runBudget(session, command.optsWithGlobals())
    })

  program
    .command('status')
    .summary('show what waits for the store, and why')
    .description(
      "Shows what of this node's crashes waits for the store, since when and why, and how the last sweeps went. Reads the " +
        "handler's configuration and changes nothing. Needs root.",
    )
    .addHelpText('after', ending(['E_USAGE', 'E_CONFIG'], 'corelift status', 'corelift status --json'))
    .action(async (_options, command: Command) => {
      const { runStatus } = await import('./run.ts')
      await runStatus(session, command.optsWithGlobals())
    })

  program
    .command('sweep')
    .summary('finish what handlers had to leave')
    .description(
      'Sends what waits in the spool, clears up after handlers that were killed, and puts crashes on record that the ' +
        "kernel started no handler for. For a timer, each minute; safe at any time. Reads the handler's configuration. " +
        'Needs root.',
    )
    .option('--now', 'do not wait for the jitter, nor for a store that asked for fewer requests')
    .addHelpText(
      'after',
      `${ending(['E_USAGE', 'E_CONFIG', 'E_SPOOL', ...STORE_CODES], 'corelift sweep', 'corelift sweep --now --json')}
Ends with 5 as long as something waits that the store did not take.`,
    )
    .action(async (_options, command: Command) => {
      const { runSweep } = await import('./run.ts')
      await runSweep(session, command.optsWithGlobals())
    })
  defineHandle(program)
}

/** The kernel's entry does not come by here (main.ts): this is what people read about it. */
function defineHandle(program: Command): void {
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
      `${ending(['E_SPECIFIERS', 'E_CONFIG', 'E_SPOOL', ...STORE_CODES], 'corelift handle --specifiers')}
A crash that left a record without a core ends with 10, one whose core is not complete with 11, one that left a trimmed
or a mini core with 12, and one that waits for a sweep, for want of a store, with 13.`,
    )
}
