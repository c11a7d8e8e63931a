// The web page, for those who would rather look.
import type { Command } from 'commander'
import { COMMON_CODES, type Define, ending } from './define.ts'

export const defineServe: Define = (program, session) => {
  program
    .command('serve')
    .summary('show crashes in a browser, and serve their files to debuggers')
    .description(
      'Serves a read-only web page over the store: crashes by time, workload and signature, each with its stacks, its log ' +
        'and its core; and executables by build-id, as debuginfod does, for DEBUGINFOD_URLS. Prints its address, and ends ' +
        'with Ctrl-C. It has no login: whoever reaches it reads what the store’s credentials read.',
    )
    .option('--listen <address>', 'HOST:PORT to listen on; port 0 is any that is free', '127.0.0.1:8080')
    .addHelpText(
      'after',
      ending(
        ['E_LISTEN', ...COMMON_CODES],
        'corelift serve',
        'corelift serve --listen 127.0.0.1:0 --store-url s3://crashes/prod',
      ),
    )
    .action(async (_options, command: Command) => {
      const { runServe } = await import('./run-serve.ts')
      await runServe(session, command.optsWithGlobals())
    })
}
