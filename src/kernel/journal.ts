// journald's native protocol: one datagram of FIELD=value lines; a value with a newline goes length-prefixed.
// systemd.io/JOURNAL_NATIVE_PROTOCOL.
import type { Os } from '../os/os.ts'

const SOCKET = '/run/systemd/journal/socket'

/** Field names: upper case, digits, underscores, as journald demands. */
export type JournalFields = Readonly<Record<string, string | number | Uint8Array>>

/** @returns Whether there was a journal, and it took the entry. */
export function journalSend(os: Pick<Os, 'sendDatagram'>, fields: JournalFields): boolean {
  return os.sendDatagram(SOCKET, encodeJournalEntry(fields))
}

/** Length-prefixed throughout: that form holds any bytes, so that no value can end its field. */
export function encodeJournalEntry(fields: JournalFields): Uint8Array {
  const chunks: Uint8Array[] = []
  for (const [name, value] of Object.entries(fields)) {
    const bytes = value instanceof Uint8Array ? value : Buffer.from(String(value))
    const size = Buffer.alloc(8)
    size.writeBigUInt64LE(BigInt(bytes.length))
    chunks.push(Buffer.from(`${name}\n`), size, bytes, Buffer.from('\n'))
  }
  return Buffer.concat(chunks)
}
