// What the node's logs say of a crash: the kernel's ring buffer, which is always there, and the journal where one runs.
import { EXIT, type ExitCode } from '../errors.ts'
import { journalSend } from '../kernel/journal.ts'
import { kernelLog, LOG_LEVEL, type LogLevel } from '../kernel/kmsg.ts'
import type { Os } from '../os/os.ts'
import { printable } from '../printable.ts'
import type { Committed } from './commit.ts'
import { type CrashRecord, logLine } from './record.ts'

type Sender = Pick<Os, 'sendDatagram'>

/** Says what became of a crash. */
export function report(os: Sender, record: CrashRecord, committed: Committed): ExitCode {
  const { level, line } = logLine(record, committed.state === 'spooled' ? 'spooled' : 'stored')
  log(os, committed.state === 'stored' ? level : LOG_LEVEL.warning, line + whereabouts(committed), {
    CORELIFT_ID: record.id,
    CORELIFT_NAMESPACE: record.place.namespace,
    CORELIFT_POD: record.place.pod,
    CORELIFT_CONTAINER: record.place.container,
    CORELIFT_OUTCOME: record.outcome,
    ...(record.signature !== undefined && { CORELIFT_SIGNATURE: printable(record.signature) }),
  })
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

export function log(os: Sender, level: LogLevel, line: string, fields: Record<string, string> = {}): void {
  kernelLog(level, line)
  journalSend(os, { MESSAGE: line, PRIORITY: level, SYSLOG_IDENTIFIER: 'corelift', ...fields })
}
