// `corelift doctor`, for whoever installs or watches nodes.
import type { Command } from 'commander'
import { type Define, ending } from './define.ts'

export const defineDoctor: Define = (program, session) => {
  program
    .command('doctor')
    .summary('check what has to be right for crashes of this node to be kept')
    .description(
      'Checks the kernel, the installation, the store (by real requests, with an object of its own that is no crash), spool and ' +
        'state, and the workloads. Of what is not right it says why it matters, and what mends it. Others than root see less.',
    )
    .addHelpText(
      'after',
      `${ending(['E_USAGE'], 'corelift doctor', 'corelift doctor --json')}
Ends with 9 when a check failed; warnings do not count.`,
    )
    .action(async (_options, command: Command) => {
      const { runDoctor } = await import('./run-doctor.ts')
      await runDoctor(session, command.optsWithGlobals())
    })
}
