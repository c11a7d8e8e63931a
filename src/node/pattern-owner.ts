// Who gets the crashes of a node, from the text of kernel.core_pattern: core(5).
import path from 'node:path'
import { CORE_PATTERN } from '../kernel/core-pattern.ts'

export type PatternOwner =
  | {
      readonly kind: 'corelift'
      /** As the pattern names it. */
      readonly binary: string
      /** undefined: the handler's default. */
      readonly configFile: string | undefined
    }
  /** corelift's, but its handler would not understand the specifiers: another version's. */
  | { readonly kind: 'other-version'; readonly binary: string }
  /** `name` in the words of those who know it; undefined: not known. */
  | { readonly kind: 'program'; readonly name: string | undefined; readonly path: string }
  | { readonly kind: 'socket'; readonly name: string | undefined; readonly path: string }
  /** The kernel writes files, into the crashed process's own file system. */
  | { readonly kind: 'file' }

const KNOWN_PROGRAMS: Readonly<Record<string, string>> = {
  'systemd-coredump': 'systemd-coredump',
  apport: 'apport',
  'abrt-hook-ccpp': 'ABRT',
  'core-dump-composer': 'IBM core-dump-handler',
  crash_reporter: "Container-Optimized OS's crash reporter",
  false: 'nobody: it drops every core',
  true: 'nobody: it drops every core',
}

/** systemd-coredump's, from systemd 262 on. */
const SYSTEMD_SOCKET = '/run/systemd/coredumpd/'

const SPECIFIERS = CORE_PATTERN.map(([, specifier]) => specifier).join(' ')

/** @param pattern - As /proc/sys/kernel/core_pattern has it, without its newline. */
export function patternOwner(pattern: string): PatternOwner {
  if (pattern.startsWith('|')) return ownerOfPipe(pattern.slice(1).trim())
  const socket = /^@{1,2}(\/.*)$/s.exec(pattern)?.[1]
  if (socket === undefined) return { kind: 'file' }
  const name = socket.startsWith(SYSTEMD_SOCKET) ? 'systemd-coredump' : undefined
  return { kind: 'socket', name, path: socket }
}

function ownerOfPipe(command: string): PatternOwner {
  const [program = '', ...args] = command.split(/\s+/)
  // `--config FILE` may stand before or behind: main.ts.
  const handle = /^(?:--config (\S+) )?handle(?: --config (\S+))?(?: (.*))?$/s.exec(args.join(' '))
  if (handle === null) {
    const name = path.basename(program)
    const known = Object.hasOwn(KNOWN_PROGRAMS, name) ? KNOWN_PROGRAMS[name] : undefined
    return { kind: 'program', name: known, path: program }
  }
  const [, before, behind, specifiers] = handle
  if (specifiers === SPECIFIERS) return { kind: 'corelift', binary: program, configFile: before ?? behind }
  return path.basename(program) === 'corelift'
    ? { kind: 'other-version', binary: program }
    : { kind: 'program', name: undefined, path: program }
}
