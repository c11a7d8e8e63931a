// flock(2) within one process, as far as slots need it: a lock belongs to an open file until that is closed.

import { fstatSync } from 'node:fs'
import type { Os } from '../../src/os/os.ts'

export function fakeLock(): Pick<Os, 'tryLock'> {
  const holders = new Map<number, number>()
  return {
    tryLock(fd) {
      const file = fstatSync(fd).ino
      const holder = holders.get(file)
      if (holder !== undefined && holder !== fd && isOpenOn(holder, file)) return false
      holders.set(file, fd)
      return true
    },
  }
}

function isOpenOn(fd: number, file: number): boolean {
  try {
    return fstatSync(fd).ino === file
  } catch {
    return false
  }
}
