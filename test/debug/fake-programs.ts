// Stands in for debuggers: tells what was started, and prints what it is given.
import type { ProgramEnd, ProgramRun, Programs } from '../../src/debug/programs.ts'

export interface FakePrograms extends Programs {
  readonly runs: ProgramRun[]
}

/** @param installed - Names on the PATH, which are below /bin. */
export function fakePrograms(
  installed: readonly string[] = [],
  printed: { readonly out?: readonly string[]; readonly err?: readonly string[] } = {},
  end: ProgramEnd = { code: 0, signal: null },
): FakePrograms {
  const runs: ProgramRun[] = []
  return {
    runs,
    find: name => Promise.resolve(installed.includes(name) ? `/bin/${name}` : undefined),
    async attend(run) {
      runs.push(run)
      return end
    },
    async listen(run, lines) {
      runs.push(run)
      for (const line of printed.err ?? []) await lines.err(line)
      for (const line of printed.out ?? []) await lines.out(line)
      return end
    },
  }
}
