// How long is waited for what sources say.
import type { SourceAnswer } from './source.ts'

/** One wait for the answers of several sources. */
export class Deadline {
  readonly #milliseconds: number
  readonly #expiry = new AbortController()
  readonly #timer: NodeJS.Timeout

  /** It begins now. */
  constructor(milliseconds: number) {
    this.#milliseconds = milliseconds
    this.#timer = setTimeout(() => this.#expiry.abort(), milliseconds)
  }

  /**
   * Waits for an answer.
   * @param ask - Not called past the deadline. Its signal frees whatever would keep the process alive.
   * @returns The answer; a failure, and one that is late, are none.
   */
  async wait(ask: (signal: AbortSignal) => Promise<SourceAnswer>): Promise<SourceAnswer> {
    const { signal } = this.#expiry
    const late = { detail: `no answer within ${this.#milliseconds} ms` }
    if (signal.aborted) return late
    const expired = new Promise<SourceAnswer>(resolve => {
      signal.addEventListener('abort', () => resolve(late), { once: true })
    })
    return await Promise.race([ask(signal).catch(failedAnswer), expired])
  }

  /** Lets the process end before it. */
  stop(): void {
    clearTimeout(this.#timer)
  }
}

function failedAnswer(error: unknown): SourceAnswer {
  return { detail: error instanceof Error ? error.message : String(error) }
}
