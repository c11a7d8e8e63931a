// Who holds the slots, seen without taking one: from /proc/locks (proc_locks(5)), where every flock(2) is listed with its
// process and its file.

import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync } from 'node:fs'
import type { Place } from '../crash.ts'
import { readHolder } from './slots.ts'

/** A slot, or a place to wait in, that a handler holds. */
export interface HeldSlot {
  readonly kind: 'slot' | 'waiting'
  /** From 0. */
  readonly index: number
  /** Of the handler. */
  readonly pid: number
  /** Whose crash it is; undefined: the handler has not said yet. */
  readonly place: Place | undefined
}

/**
 * Looks at every slot.
 * @param directory - From `openExistingStateDir`.
 * @param locks - For tests: the text of /proc/locks.
 */
export function heldSlots(directory: number, locks = readFileSync('/proc/locks', 'latin1')): HeldSlot[] {
  const holders = lockHolders(locks)
  return readdirSync(`/proc/self/fd/${directory}`).flatMap(name => {
    const [, kind, index] = /^(slot|waiting)-(\d{1,4})$/.exec(name) ?? []
    if (kind === undefined) return []
    const fd = openSync(`/proc/self/fd/${directory}/${name}`, constants.O_RDONLY | constants.O_NOFOLLOW)
    try {
      const pid = holders.get(lockName(fd))
      if (pid === undefined) return []
      return [{ kind: kind as HeldSlot['kind'], index: Number(index), pid, place: readHolder(fd) }]
    } finally {
      closeSync(fd)
    }
  })
}

/** `1: FLOCK  ADVISORY  WRITE 4711 00:1a:567 0 EOF`; one that waits has `->` behind its number. */
function lockHolders(locks: string): Map<string, number> {
  const lines = locks.matchAll(/^\d+: FLOCK +ADVISORY +WRITE (\d+) ([0-9a-f]+:[0-9a-f]+:\d+) /gm)
  return new Map([...lines].map(([, pid, file]) => [file!, Number(pid)]))
}

/** As lock_get_status() in the kernel's fs/locks.c writes it; st_dev is taken apart as makedev(3) puts it together. */
function lockName(fd: number): string {
  const { dev, ino } = fstatSync(fd, { bigint: true })
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn)
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn)
  const hex = (number: bigint) => number.toString(16).padStart(2, '0')
  return `${hex(major)}:${hex(minor)}:${ino}`
}
