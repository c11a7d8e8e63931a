// What the node's logs say of a crash: the kernel's ring buffer, which is always there, and the journal where one runs.
import { EXIT, type ExitCode } from '../errors.ts'
import { journalSend } from '../kernel/journal.ts'
import { kernelLog, LOG_LEVEL, type LogLevel } from '../kernel/kmsg.ts'
import type { Os } from '../os/os.ts'
import { printable } from '../printable.ts'
import type { Committed } from './commit.ts'
import { coredumpEntry, type Kept } from './coredump-entry.ts'
import { type CrashRecord, logLine } from './record.ts'

type Sender = Pick<Os, 'sendDatagram'>

/**
 * Says what became of a crash.
 * @param isSpent - It is one of a storm: the journal is to have little of it.
 */
export function report(
  os: Sender,
  record: CrashRecord,
  kept: Kept,
  { isSpent }: { readonly isSpent: boolean },
): ExitCode {
  const { committed } = kept
  const summary = logLine(record, committed.state === 'spooled' ? 'spooled' : 'stored')
  const line = summary.line + whereabouts(committed)
  const level = committed.state === 'stored' ? summary.level : LOG_LEVEL.warning
  // coredumpctl is to show it once: by the entry of whom it was given to.
  if (record.reduction?.reason === 'chained') log(os, level, line)
  else {
    kernelLog(level, line)
    const { essential, details } = coredumpEntry(record, line, kept)
    // A node whose sockets have smaller buffers takes what matters most.
    if (isSpent || !journalSend(os, { ...essential, ...details })) journalSend(os, essential)
  }
  if (committed.state === 'spooled') return EXIT.spooled
  if (record.outcome === 'record') return EXIT.recordOnly
  if (record.core?.complete === false) return EXIT.incomplete
  return record.outcome === 'full' ? EXIT.ok : EXIT.reduced
}

function whereabouts(committed: Committed): string {
  if (committed.state === 'unindexed') return `, found by its pod only (${printable(committed.why)})`
  if (committed.state === 'spooled') return `, waiting for a sweep (${printable(committed.why)})`
  return ''
}

export function log(os: Sender, level: LogLevel, line: string): void {
  kernelLog(level, line)
  journalSend(os, { MESSAGE: line, PRIORITY: level, SYSLOG_IDENTIFIER: 'corelift' })
}
