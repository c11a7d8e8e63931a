// A core_pattern that names a program, expanded as the kernel does it for a crash: core(5), "Naming of core dump files" and
// "Piping core dumps to a program"; fs/coredump.c, coredump_parse() and cn_esc_printf().
import type { CrashFacts, HostileBytes } from '../crash.ts'

/** What specifiers stand for. */
export interface PatternFacts extends Omit<CrashFacts, 'pidfd'> {
  /** In the crasher's own pid namespace (%p, %i). */
  readonly ownPid: number
  readonly ownTid: number
  /** Of the thread that crashed (%e). */
  readonly comm: HostileBytes
  /** Path of the executable (%E, %f); undefined: not known. */
  readonly exe: HostileBytes | undefined
  /** The number under which the program finds a pidfd (%F); undefined: it is given none. */
  readonly pidfd: number | undefined
}

/** isspace() of the kernel, in ASCII. */
const BLANKS = /[ \t\n\v\f\r]+/

/**
 * Splits a pattern into the program and its arguments. That comes before the expansion, as since Linux 5.3: what a workload
 * chose stays within its argument.
 * @returns undefined for a pattern that is none of a program: a file's or a socket's.
 */
export function patternWords(pattern: string): string[] | undefined {
  if (!pattern.startsWith('|')) return undefined
  return pattern
    .slice(1)
    .split(BLANKS)
    .filter(word => word !== '')
}

/**
 * Expands the specifiers of a word. One that is not known, and a single % at the end, are nothing, as with the kernel; so is
 * the processor (%C), which nobody but the kernel knows.
 */
export function expandWord(word: string, facts: PatternFacts): string {
  return word.replace(/%(.?)/gsu, (_, letter: string) =>
    Object.hasOwn(EXPANSIONS, letter) ? EXPANSIONS[letter as keyof typeof EXPANSIONS](facts) : '',
  )
}

const EXPANSIONS = {
  '%': () => '%',
  p: facts => String(facts.ownPid),
  P: facts => String(facts.pid),
  i: facts => String(facts.ownTid),
  I: facts => String(facts.tid),
  u: facts => String(facts.uid),
  g: facts => String(facts.gid),
  d: facts => String(facts.dumpable),
  s: facts => String(facts.signal),
  t: facts => String(facts.timeSeconds),
  c: facts => String(facts.coreRlimitBytes),
  h: facts => asName(facts.hostname),
  e: facts => asName(textOf(facts.comm)),
  E: facts => asName(exeOf(facts)),
  f: facts => asName(exeOf(facts).split('/').at(-1)!),
  F: facts => String(facts.pidfd ?? ''),
} as const satisfies Record<string, (facts: PatternFacts) => string>

/** cn_print_exe_file(): a process that has no executable any more is named by its comm. */
function exeOf({ exe, comm }: PatternFacts): string {
  return exe === undefined ? `${textOf(comm)} (path unknown)` : textOf(exe)
}

/** A runtime's arguments are text: bytes that are no UTF-8 become U+FFFD. */
const textOf = (bytes: HostileBytes): string => Buffer.from(bytes).toString('utf8')

/** cn_esc_printf(): a name that cannot lead elsewhere, were it part of a path. */
function asName(text: string): string {
  if (text === '' || text === '.') return '!'
  return text === '..' ? '!.' : text.replaceAll('/', '!')
}
