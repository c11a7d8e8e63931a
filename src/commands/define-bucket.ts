// Commands about the bucket itself, for those who own it.
import type { Command } from 'commander'
import { type Define, ending, STORE_CODES } from './define.ts'

export const defineBucket: Define = (program, session) => {
  const codes = ['E_USAGE', 'E_CONFIG', ...STORE_CODES] as const
  const bucket = program
    .command('bucket')
    .summary('see and set how long the bucket keeps what')
    .addHelpText('after', ending(codes, 'corelift bucket show'))
  const note =
    'Ends with 5 where something is bad, or a rule is not as it should be; what is unknown is not counted.'
  bucket
    .command('show')
    .description(
      "Shows the lifecycle rules of the store's prefix, encryption and public access of its bucket, and what to do. " +
        'Changes nothing.',
    )
    .option('--policies', 'print the IAM policies too')
    .addHelpText(
      'after',
      `${ending(codes, 'corelift bucket show', 'corelift bucket show --policies')}\n${note}`,
    )
    .action(async (_options, command: Command) => {
      const { runBucketShow } = await import('./run-bucket.ts')
      await runBucketShow(session, command.optsWithGlobals())
    })
  bucket
    .command('init')
    .description(
      "Sets lifecycle rules for the store's prefix, and leaves those of others alone. Days that are not given stay as " +
        'they are. Then shows what show does.',
    )
    .option('--dry-run', 'say what would be set, and set nothing')
    .option('--crashes-days <days>', 'crashes and their index (default: 30)')
    .option('--buildid-days <days>', 'executables (default: 90)')
    .option(
      '--uploads-days <days>',
      'until unfinished uploads are aborted (default: a day more than spool.age_max)',
    )
    .option('--policies', 'print the IAM policies too')
    .addHelpText('after', `${ending(codes, 'corelift bucket init --dry-run')}\n${note}`)
    .action(async (_options, command: Command) => {
      const { runBucketInit } = await import('./run-bucket.ts')
      await runBucketInit(session, command.optsWithGlobals())
    })
}
