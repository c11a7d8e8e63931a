// One line into the kernel log: /dev/kmsg, Documentation/ABI/testing/dev-kmsg. It is there before any logging daemon,
// and where journald runs, the journal has the line too.
import { closeSync, openSync, writeSync } from 'node:fs'

/** syslog(3)'s levels, as far as used. */
export const LOG_LEVEL = { critical: 2, error: 3, warning: 4, notice: 5 } as const
export type LogLevel = (typeof LOG_LEVEL)[keyof typeof LOG_LEVEL]

/** Records end at PRINTKRB_RECORD_MAX (1,024 bytes, kernel/printk/internal.h), prefix included. */
const LINE_BYTES_MAX = 960
const FACILITY_DAEMON = 3 << 3

/**
 * Writes `corelift: LINE` into the kernel log; a kernel that refuses is no error, there is nowhere left to say so.
 * @param line - Printable: escaping is the caller's.
 */
export function kernelLog(level: LogLevel, line: string): void {
  const text = Buffer.from(`<${FACILITY_DAEMON | level}>corelift: ${line}`).subarray(0, LINE_BYTES_MAX)
  // Without its newline a record stays open for more, and nobody sees it before the next one.
  const record = Buffer.concat([text, Buffer.from('\n')])
  try {
    const fd = openSync('/dev/kmsg', 'w')
    try {
      writeSync(fd, record)
    } finally {
      closeSync(fd)
    }
  } catch {
    // No /dev/kmsg (a container, no root).
  }
}
