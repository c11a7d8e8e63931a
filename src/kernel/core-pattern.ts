// The contract between kernel.core_pattern and `corelift handle`: core(5), "Naming of core dump files" and "Piping
// core dumps to a program". The pattern that is registered, and the parser, come from one table.
import type { CrashFacts } from '../crash.ts'
import { CoreliftError } from '../errors.ts'

/** Specifiers in the order in which the handler takes them. */
export const CORE_PATTERN = [
  ['pid', '%P'], // in the initial pid namespace
  ['tid', '%I'], // in the initial pid namespace
  ['signal', '%s'],
  ['timeSeconds', '%t'],
  ['coreRlimitBytes', '%c'], // 64 bits
  ['dumpable', '%d'],
  ['uid', '%u'], // in the initial user namespace
  ['gid', '%g'],
  ['hostname', '%h'], // of the crasher's UTS namespace
  ['pidfd', '%F'], // empty before 6.16
] as const satisfies readonly (readonly [keyof CrashFacts, string])[]

/** CORENAME_MAX_SIZE in include/linux/binfmts.h, with its terminating zero: a longer pattern is cut silently. */
const PATTERN_BYTES_MAX = 127

/**
 * What to write into /proc/sys/kernel/core_pattern.
 * @param command - Path of the binary and what goes before the specifiers: no spaces within a word.
 * @throws CoreliftError `E_USAGE` when the kernel would cut it.
 */
export function corePattern(command: readonly string[]): string {
  const pattern = `|${[...command, ...CORE_PATTERN.map(([, specifier]) => specifier)].join(' ')}`
  if (Buffer.byteLength(pattern) > PATTERN_BYTES_MAX || command.some(word => /[\s%]/.test(word)))
    throw new CoreliftError(
      'E_USAGE',
      `a core_pattern of more than ${PATTERN_BYTES_MAX} bytes, or with a blank or % in a path`,
      {
        hint: 'put the binary and its configuration at a shorter path',
      },
    )
  return pattern
}

const PID_MAX = 4_194_304 // PID_MAX_LIMIT, include/linux/threads.h
const SIGNAL_MAX = 64 // _NSIG
const UINT32_MAX = 4_294_967_295
const FD_MAX = 1_048_576 // NR_OPEN; the kernel hands over 3
const TIME_MAX = 253_402_300_799 // the last second of the year 9999: what the key grammar can write
const RLIM_INFINITY = 2n ** 64n - 1n
const HOSTNAME_MAX = 64 // __NEW_UTS_LEN

const RANGES = {
  pid: [1, PID_MAX],
  tid: [1, PID_MAX],
  signal: [1, SIGNAL_MAX],
  timeSeconds: [0, TIME_MAX],
  dumpable: [0, 2],
  uid: [0, UINT32_MAX],
  gid: [0, UINT32_MAX],
} as const

/**
 * Reads the handler's arguments.
 * @param args - What follows `handle` and its options, as the kernel expanded CORE_PATTERN.
 * @throws CoreliftError `E_SPECIFIERS` naming every argument that the kernel would not have sent.
 */
export function parseSpecifiers(args: readonly string[]): CrashFacts {
  const problems: string[] = []
  if (args.length !== CORE_PATTERN.length)
    problems.push(`${args.length} arguments where the pattern has ${CORE_PATTERN.length}`)
  const text = (name: keyof CrashFacts): string => args[CORE_PATTERN.findIndex(([key]) => key === name)] ?? ''
  const integer = (name: keyof typeof RANGES): number => {
    const [min, max] = RANGES[name]
    const value = /^\d{1,12}$/.test(text(name)) ? Number(text(name)) : NaN
    if (!(value >= min && value <= max))
      problems.push(`${name} ${quoted(text(name))} is not within ${min}…${max}`)
    return value
  }
  const facts: CrashFacts = {
    pid: integer('pid'),
    tid: integer('tid'),
    signal: integer('signal'),
    timeSeconds: integer('timeSeconds'),
    coreRlimitBytes: /^\d{1,20}$/.test(text('coreRlimitBytes')) ? BigInt(text('coreRlimitBytes')) : -1n,
    dumpable: integer('dumpable'),
    uid: integer('uid'),
    gid: integer('gid'),
    hostname: text('hostname'),
    pidfd: text('pidfd') === '' ? undefined : Number(text('pidfd')),
  }
  if (facts.coreRlimitBytes < 0n || facts.coreRlimitBytes > RLIM_INFINITY)
    problems.push(`coreRlimitBytes ${quoted(text('coreRlimitBytes'))} is no 64-bit number`)
  if (facts.hostname.length > HOSTNAME_MAX) problems.push(`hostname of more than ${HOSTNAME_MAX} bytes`)
  if (!/^\d{0,7}$/.test(text('pidfd')) || Number(text('pidfd')) > FD_MAX)
    problems.push(`pidfd ${quoted(text('pidfd'))} is no file descriptor`)
  if (problems.length > 0)
    throw new CoreliftError('E_SPECIFIERS', problems.join('; '), {
      hint: `the kernel calls it as: ${CORE_PATTERN.map(([, specifier]) => specifier).join(' ')}`,
    })
  return facts
}

/** Arguments may come from anywhere: one line, printable, short. */
const quoted = (text: string): string => JSON.stringify(text.slice(0, 40)).replace(/[^\x20-\x7e]/g, '?')
