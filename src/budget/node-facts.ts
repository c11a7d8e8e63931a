// How the node is off for memory: proc(5), and the kernel's Documentation/accounting/psi.rst.

import { readFileSync } from 'node:fs'

export interface NodeFacts {
  /** What could be had without swapping; undefined: the kernel does not say. */
  memoryAvailableBytes(): number | undefined
  /** How much of the last ten seconds some process waited for memory; undefined: a kernel without PSI. */
  memoryPressurePercent(): number | undefined
}

export const procNode: NodeFacts = {
  memoryAvailableBytes() {
    const kibibytes = /^MemAvailable: +(\d+) kB$/m.exec(read('/proc/meminfo'))?.[1]
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1024
  },
  memoryPressurePercent() {
    const percent = /^some avg10=(\d+\.\d+) /m.exec(read('/proc/pressure/memory'))?.[1]
    return percent === undefined ? undefined : Number(percent)
  },
}

/** Booted with psi=0 the file is not there, or cannot be read: EOPNOTSUPP. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
