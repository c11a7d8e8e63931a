// Records of a kernel log without a kernel: test/fixtures/kmsg, and made ones.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { KmsgRecord, KmsgSource } from '../../src/kernel/kmsg-reader.ts'

const FIXTURES = join(import.meta.dirname, '..', 'fixtures', 'kmsg')

/** @returns The file's records as read(2) gives them. */
export function recordsOf(name: string): Uint8Array[] {
  const lines = readFileSync(join(FIXTURES, `${name}.txt`), 'latin1').split('\n')
  return lines
    .filter(line => line !== '' && !line.startsWith('#'))
    .map(line => Buffer.from(`${line}\n`, 'latin1'))
}

/** 2026-11-24, and an hour later. */
export const BOOTED_AT = Date.UTC(2026, 10, 24)
export const NOW = BOOTED_AT + 3_600_000

export function sourceOf(records: Iterable<Uint8Array>, changes: Partial<KmsgSource> = {}): KmsgSource {
  return { bootId: 'this', bootedAt: BOOTED_AT, now: () => NOW, records: () => records, ...changes }
}

/** @param text - A character for each byte; escaped as /dev/kmsg does (append_char in kernel/printk/printk.c). */
export function rawRecord(
  sequence: number,
  text: string,
  { priority = 4, microseconds = 1_000_000 } = {},
): Uint8Array {
  const escaped = text.replaceAll(
    /[^\x20-\x5b\x5d-\x7e]/g,
    byte => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )
  return Buffer.from(`${priority},${sequence},${microseconds},-;${escaped}\n`, 'latin1')
}

export function record(text: string, changes: Partial<KmsgRecord> = {}): KmsgRecord {
  return { sequence: 1, facility: 0, time: new Date(NOW), text, ...changes }
}
