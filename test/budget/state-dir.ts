// A directory on a tmpfs, as /run/corelift is on a node.

import { mkdtempSync, rmSync, statfsSync } from 'node:fs'
import type { Test } from 'tap'

/** Why slots cannot be tried here, or false. */
export const noTmpfs = isTmpfs('/dev/shm') ? false : 'needs a tmpfs at /dev/shm'

export function stateDir(t: Pick<Test, 'teardown'>): string {
  const directory = mkdtempSync('/dev/shm/corelift-test-')
  t.teardown(() => rmSync(directory, { recursive: true }))
  return directory
}

function isTmpfs(path: string): boolean {
  try {
    return statfsSync(path).type === 0x01021994
  } catch {
    return false
  }
}
