// The command that prints the shells' completion scripts.
import { Argument, type Command } from 'commander'
import { SHELLS, type Shell } from './completion.ts'
import { type Define, ending } from './define.ts'

export const defineCompletion: Define = (program, session) => {
  program
    .command('completion')
    .summary('print a completion script for a shell')
    .description(
      'Prints a script with which the shell completes commands, options and their values. The packages bring it. It never ' +
        'asks the store, nor anything else that takes time.',
    )
    .addArgument(new Argument('<shell>', 'whose language it is in').choices(SHELLS))
    .addHelpText(
      'after',
      ending(
        ['E_USAGE'],
        'source <(corelift completion bash)     # in ~/.bashrc; bash 4 or newer',
        'corelift completion zsh > "${fpath[1]}/_corelift"',
        'corelift completion fish > ~/.config/fish/completions/corelift.fish',
      ),
    )
    .action(async (shell: Shell, _options, command: Command) => {
      const { runCompletion } = await import('./run-completion.ts')
      await runCompletion(session, shell, command.parent!)
    })
}
