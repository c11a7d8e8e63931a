// The text in an export that says what it is, and what of it is missing.
import { printable } from '../printable.ts'
import type { Manifest } from '../store/manifest.ts'
import type { Prepared } from './prepare-debug.ts'

export function exportReadme(
  manifest: Manifest,
  { plan, coreKind, executable }: Pick<Prepared, 'plan' | 'coreKind' | 'executable'>,
): string {
  const { crash, process, workload, time, id, node } = manifest
  const { missing } = plan
  const whose =
    workload.kind === 'pod'
      ? `${workload.namespace}/${workload.pod}, container ${workload.container}`
      : workload.kind
  const kinds = {
    full: 'all of its memory',
    trimmed: 'a part of its memory',
    mini: 'its stacks, and little else',
  }
  const lines = [
    `Crash ${id} of ${process?.comm ?? 'a process'} by ${crash.signalName}, ${time}, on ${node}`,
    `Of: ${whose}`,
    '',
    `core           ${kinds[coreKind]}: it may hold secrets of the process`,
    'sysroot/       the executable and the libraries that the process had, under their names',
    'run-gdb        opens both in gdb: ./run-gdb, or ./run-gdb -batch -ex "thread apply all bt"',
    'kit/           what /proc said of the process, and the end of its log',
    'manifest.json  all that is on record',
    ...(executable === undefined ? ['', 'The executable itself was not stored: gdb shows few names.'] : []),
    ...(missing.length > 0 ? ['', 'Not stored:'] : []),
    ...missing.map(({ path, why }) => `  ${path}${why === undefined ? '' : `: ${why}`}`),
  ]
  return lines.map(line => `${printable(line, Infinity)}\n`).join('')
}
