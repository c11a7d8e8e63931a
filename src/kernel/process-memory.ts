// The crashed process's memory, while the handler holds standard input: /proc/<pid>/mem (proc_pid_mem(5)) answers at the
// addresses of the core's program headers, and for as long as the descriptor is open it is that process's memory and no
// other's, whoever has the pid.
import { closeSync, openSync, readSync } from 'node:fs'
import type { Memory } from '../core/memory.ts'
import type { CrashFacts } from '../crash.ts'
import type { MemoryRange } from './mappings.ts'
import { checkPidfd } from './pidfd.ts'

export class ProcessMemory implements Memory {
  /** -1 once it is closed. */
  #fd: number
  readonly #forbidden: readonly MemoryRange[]

  private constructor(fd: number, forbidden: readonly MemoryRange[]) {
    this.#fd = fd
    this.#forbidden = forbidden
  }

  /**
   * @param forbidden - By address: what must not be read, for it may never answer; see mappings.ts.
   * @returns undefined where there is none, or the pid is another process's by now.
   */
  static open(
    { pid, pidfd }: Pick<CrashFacts, 'pid' | 'pidfd'>,
    forbidden: readonly MemoryRange[],
  ): ProcessMemory | undefined {
    let fd: number
    try {
      fd = openSync(`/proc/${pid}/mem`, 'r')
    } catch {
      return undefined
    }
    if (checkPidfd(pid, pidfd) !== 'other-process') return new ProcessMemory(fd, forbidden)
    closeSync(fd)
    return undefined
  }

  read(address: number, into: Uint8Array): number {
    if (this.#fd < 0) return 0
    const bytes = Math.min(into.length, this.#readable(address))
    let filled = 0
    try {
      // The kernel stops before a page that it cannot read; the next call says so.
      while (filled < bytes) {
        const got = readSync(this.#fd, into, filled, bytes - filled, address + filled)
        if (got === 0) break
        filled += got
      }
    } catch {
      // EIO: nothing more from here on.
    }
    return filled
  }

  /** Again does nothing: its number may be another file's by then. Nothing can be read afterwards. */
  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd)
    this.#fd = -1
  }

  /** @returns Bytes from an address on before a forbidden range. */
  #readable(address: number): number {
    const next = this.#forbidden.find(({ end }) => end > address)
    return next === undefined ? Infinity : Math.max(0, next.start - address)
  }
}
