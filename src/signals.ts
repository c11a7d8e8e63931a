// Signal numbers of Linux on x86-64 and aarch64, signal(7). A table, because the machine that reads a crash may be no
// Linux, and node:os speaks of that machine's signals.

const SIGNAL_NAMES: readonly string[] = (
  'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU ' +
  'URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS'
).split(' ')

/** @returns `SIGSEGV` for 11; `signal 77` for a number without a name (real-time signals); 0 is of a crash whose signal nobody knows. */
export function signalName(signal: number): string {
  if (signal === 0) return 'unknown'
  const name = SIGNAL_NAMES[signal - 1]
  return name === undefined ? `signal ${signal}` : `SIG${name}`
}

/** @returns The number of `SIGSEGV`, `segv` or `11`; undefined for anything else. */
export function signalNumber(text: string): number | undefined {
  if (/^\d{1,3}$/.test(text)) return Number(text)
  const at = SIGNAL_NAMES.indexOf(text.toUpperCase().replace(/^SIG/, ''))
  return at === -1 ? undefined : at + 1
}
