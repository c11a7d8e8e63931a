// The core as the kernel sends it, on stdin: a pipe that is read without blocking, so that uploads go on while the
// kernel has nothing to say.
import { closeSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type HeadScan, refuseAtEnd, scanHead } from '../core/head.ts'
import { AGAIN, type Os } from '../os/os.ts'

const KIB = 1024
/** The kernel fills a pipe while we compress: a larger one means fewer turns. 1 MiB is fs.pipe-max-size's default. */
export const PIPE_BYTES = 1024 * KIB
const READ_BYTES = 256 * KIB
/** Sockets get a turn after this much input, however fast it comes: one moves a fraction of a part at each. */
const TURN_BYTES = 1024 * KIB
/** Longest single wait for input: sockets stand still meanwhile. */
const POLL_MS_MAX = 16

/** The head, or why there is none; `bytes` is all that was read of the core so far. */
export interface HeadReading {
  readonly scan: Exclude<HeadScan, { state: 'need' }>
  readonly bytes: Uint8Array
}

export class CoreInput {
  readonly #os: Pick<Os, 'takeStdin' | 'read' | 'pollInput'>
  readonly #fd: number
  readonly #buffer = new Uint8Array(READ_BYTES)
  #sinceTurn = 0
  #closed = false

  constructor(os: Pick<Os, 'takeStdin' | 'read' | 'pollInput'>) {
    this.#os = os
    this.#fd = os.takeStdin(PIPE_BYTES)
  }

  /** Reads until the head of the core is known. */
  async readHead(): Promise<HeadReading> {
    let bytes = new Uint8Array(0)
    let wanted = 0
    for (;;) {
      const scan = scanHead(bytes)
      if (scan.state !== 'need') return { scan, bytes }
      wanted = scan.bytes
      const grown = new Uint8Array(Math.max(wanted, bytes.length + READ_BYTES))
      grown.set(bytes)
      let filled = bytes.length
      while (filled < wanted) {
        const chunk = await this.read(grown.length - filled)
        if (chunk.length === 0) break
        grown.set(chunk, filled)
        filled += chunk.length
      }
      bytes = grown.subarray(0, filled)
      if (filled < wanted) return { scan: refuseAtEnd(bytes, wanted), bytes }
    }
  }

  /**
   * Reads what there is, waiting for the first byte.
   * @returns At most `bytesMax` bytes, valid until the next read; none at the end.
   */
  async read(bytesMax = READ_BYTES): Promise<Uint8Array> {
    if (this.#sinceTurn >= TURN_BYTES) await this.#giveTurn()
    for (let pollMs = 1; ; pollMs = Math.min(pollMs * 2, POLL_MS_MAX)) {
      const bytes = this.#readAvailable(bytesMax)
      if (bytes !== AGAIN) {
        this.#sinceTurn += bytes
        return this.#buffer.subarray(0, bytes)
      }
      await this.#giveTurn()
      this.#os.pollInput(this.#fd, pollMs)
    }
  }

  /** The kernel writes page by page: many small reads make one chunk, or each would go the whole way by itself. */
  #readAvailable(bytesMax: number): number {
    if (this.#closed) return 0
    const bytesWanted = Math.min(bytesMax, READ_BYTES)
    let filled = 0
    while (filled < bytesWanted) {
      const bytes = this.#os.read(this.#fd, this.#buffer.subarray(filled, bytesWanted))
      if (bytes === AGAIN) return filled === 0 ? AGAIN : filled
      if (bytes === 0) break
      filled += bytes
    }
    return filled
  }

  /** Lets the kernel go on: the crashed process is reaped once nobody can read from the pipe. Reading on finds the end. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    closeSync(this.#fd)
  }

  async #giveTurn(): Promise<void> {
    this.#sinceTurn = 0
    await nextTurn()
  }
}
