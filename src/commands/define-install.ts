// Commands that set a node up, for root.
import type { Command } from 'commander'
import { DEFAULT_PREFIX } from '../node/layout.ts'
import { type Define, ending, STORE_CODES } from './define.ts'
import type { CanaryCliOptions, InstallCliOptions, UninstallCliOptions } from './run-install.ts'

const ROOT_OPTION = [
  '--root <dir>',
  'directory of an image that stands for /; only files are changed',
] as const
const DRY_RUN_OPTION = ['--dry-run', 'show each step and change nothing'] as const

export const defineInstall: Define = (program, session) => {
  program
    .command('install')
    .summary("make this binary the node's crash handler; again: upgrade")
    .description(
      'Makes this binary the crash handler of the node: copies it, sets kernel.core_pattern now and for each boot, keeps ' +
        'others from taking it, installs the timer that sweeps, and proves it by a crash that it finds in the store. A step ' +
        'that fails undoes all before it. With a newer binary it is the upgrade. --config FILE becomes ' +
        '/etc/corelift/config.toml where there is none.',
    )
    .option('--replace-config', 'put --config FILE in the place of a configuration that is there')
    .option(...DRY_RUN_OPTION)
    .option(...ROOT_OPTION)
    .option('--prefix <dir>', 'where the binary goes: DIR/bin/corelift', DEFAULT_PREFIX)
    .option('--in-place', 'the binary stays where it is: a package put it there')
    .option('--no-canary', 'do not crash a process to prove it')
    .addHelpText(
      'after',
      ending(
        ['E_USAGE', 'E_CONFIG', 'E_INSTALL', 'E_CANARY', ...STORE_CODES],
        './corelift install --config corelift.toml',
        './corelift install --dry-run',
      ),
    )
    .action(async (_options, command: Command) => {
      const { runInstall } = await import('./run-install.ts')
      await runInstall(session, command.optsWithGlobals<InstallCliOptions>())
    })

  program
    .command('uninstall')
    .summary('put back what was there before')
    .description(
      'Puts back what the first installation found: kernel.core_pattern and its neighbours, files, units. What waits for the ' +
        'store is sent first; /etc/corelift stays, and so does what could not be sent.',
    )
    .option('--purge', 'remove /etc/corelift too, and what could not be sent')
    .option(...DRY_RUN_OPTION)
    .option(...ROOT_OPTION)
    .addHelpText(
      'after',
      ending(['E_USAGE', 'E_INSTALL'], 'corelift uninstall', 'corelift uninstall --purge'),
    )
    .action(async (_options, command: Command) => {
      const { runUninstall } = await import('./run-install.ts')
      await runUninstall(session, command.optsWithGlobals<UninstallCliOptions>())
    })

  program
    .command('canary')
    .summary('crash a process and find it in the store')
    .description(
      'Crashes a process of its own through the real kernel, waits for what the handler makes of it, and reads that back from ' +
        'the store where this node may read. Counts against the budgets as any crash does.',
    )
    .addHelpText(
      'after',
      ending(
        ['E_USAGE', 'E_CONFIG', 'E_INSTALL', 'E_CANARY', ...STORE_CODES],
        'corelift canary',
        'corelift canary --json',
      ),
    )
    .action(async (_options, command: Command) => {
      const { runCanary } = await import('./run-install.ts')
      await runCanary(session, command.optsWithGlobals<CanaryCliOptions>())
    })
}
