// Commands about the configuration.
import type { Command } from 'commander'
import { type Define, ending } from './define.ts'

export const defineConfig: Define = (program, session) => {
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
      const { runConfigCheck } = await import('./run.ts')
      await runConfigCheck(session, file, command.optsWithGlobals())
    })
  config
    .command('show')
    .description('Shows effective values, and where each comes from.')
    .addHelpText('after', ending(['E_USAGE', 'E_CONFIG'], 'corelift config show --json'))
    .action(async (_options, command: Command) => {
      const { runConfigShow } = await import('./run.ts')
      await runConfigShow(session, command.optsWithGlobals())
    })
  config
    .command('defaults')
    .description('Prints an example file: every key, what it takes, and its default.')
    .addHelpText('after', ending(['E_USAGE'], 'corelift config defaults > /etc/corelift/config.toml'))
    .action(async () => {
      const { runConfigDefaults } = await import('./run.ts')
      await runConfigDefaults(session)
    })
}
