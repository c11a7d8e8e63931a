// What the node's logs say of a crash: the kernel's ring buffer, which is always there, and the journal where one runs.
import { EXIT, type ExitCode } from '../errors.ts'
import { journalSend } from '../kernel/journal.ts'
import { kernelLog, type LogLevel } from '../kernel/kmsg.ts'
import type { Os } from '../os/os.ts'
import { printable } from '../printable.ts'
import { type CrashRecord, logLine } from './record.ts'

type Sender = Pick<Os, 'sendDatagram'>

/**
 * Says what became of a crash.
 * @param unindexed - Why it is not in the index, where that failed.
 */
export function report(os: Sender, record: CrashRecord, unindexed: string | undefined): ExitCode {
  const { level, line } = logLine(record)
  const missing = unindexed === undefined ? '' : `, found by its pod only (${printable(unindexed)})`
  log(os, level, line + missing, {
    CORELIFT_ID: record.id,
    CORELIFT_NAMESPACE: record.place.namespace,
    CORELIFT_POD: record.place.pod,
    CORELIFT_CONTAINER: record.place.container,
    CORELIFT_OUTCOME: record.outcome,
    ...(record.signature !== undefined && { CORELIFT_SIGNATURE: printable(record.signature) }),
  })
  if (record.outcome === 'record') return EXIT.recordOnly
  if (record.core?.complete === false) return EXIT.incomplete
  return record.outcome === 'full' ? EXIT.ok : EXIT.reduced
}

export function log(os: Sender, level: LogLevel, line: string, fields: Record<string, string> = {}): void {
  kernelLog(level, line)
  journalSend(os, { MESSAGE: line, PRIORITY: level, SYSLOG_IDENTIFIER: 'corelift', ...fields })
}
