// Commands that pass a crash on to somebody without credentials: a colleague, a vendor.
import type { Command } from 'commander'
import { COMMON_CODES, type Define, ending, fileOptions, NAMESPACE_OPTION, TARGET } from './define.ts'

export const defineShare: Define = (program, session) => {
  fileOptions(
    program
      .command('export')
      .summary('pack a crash for somebody without credentials')
      .description(
        'Packs a crash into one .tar.zst: the core, the executable and libraries that the process had, what /proc said, the ' +
          'record, and a script, run-gdb, that opens it all in gdb. It holds what was in the process’s memory.',
      )
      .argument('<id|pod>', TARGET),
    'corelift-<comm>-<id>.tar.zst',
  )
    .addHelpText(
      'after',
      ending(
        ['E_CRASH_UNKNOWN', 'E_CORE_ABSENT', 'E_CORE_CORRUPT', 'E_OUTPUT', ...COMMON_CODES],
        'corelift export cart-7d9f-x2x4p -n shop',
        'corelift export cart-7d9f-x2x4p --mini -o - | ssh colleague "zstd -d | tar x"',
      ),
    )
    .action(async (wanted: string, _options, command: Command) => {
      const { runExport } = await import('./run-share.ts')
      await runExport(session, wanted, command.optsWithGlobals())
    })

  program
    .command('url')
    .summary("sign links to a crash's objects")
    .description(
      'Prints links by which anybody may fetch the objects of a crash until they expire: core.zst (for zstd -d), ' +
        'kit.tar.zst with the mini core, manifest.json. Whoever has the link has the memory.',
    )
    .argument('<id|pod>', TARGET)
    .option(...NAMESPACE_OPTION)
    .option('--expires <duration>', 'how long they work, seven days at most', '1h')
    .option('--core', 'the core alone')
    .option('--kit', 'the kit alone')
    .option('--manifest', 'the record alone')
    .addHelpText(
      'after',
      ending(
        ['E_CRASH_UNKNOWN', 'E_CORE_ABSENT', ...COMMON_CODES],
        'corelift url cart-7d9f-x2x4p -n shop --expires 1d',
        'curl -fsS "$(corelift url cart-7d9f-x2x4p --core)" | zstd -d -o core',
      ),
    )
    .action(async (wanted: string, _options, command: Command) => {
      const { runUrl } = await import('./run-share.ts')
      await runUrl(session, wanted, command.optsWithGlobals())
    })
}
