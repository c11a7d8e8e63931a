// SIGINT and SIGTERM for the people's commands: the first ends what is under way, tidily; a second of its kind has its
// usual effect. While another program has the terminal, Ctrl-C is for that alone.

type Signals = Pick<NodeJS.Process, 'on' | 'off'>

export class Interrupts {
  readonly #controller = new AbortController()
  readonly #signals: Signals
  #child: ((signal: NodeJS.Signals) => void) | undefined

  constructor(signals: Signals) {
    this.#signals = signals
    for (const signal of ['SIGINT', 'SIGTERM'] as const) this.#listen(signal)
  }

  /** Aborted by the first signal. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /**
   * Leaves the terminal to a child.
   * @param forward - Sends it a signal that came to this process alone.
   */
  async during<Result>(forward: (signal: NodeJS.Signals) => void, ended: Promise<Result>): Promise<Result> {
    this.#child = forward
    try {
      return await ended
    } finally {
      this.#child = undefined
    }
  }

  #listen(signal: 'SIGINT' | 'SIGTERM'): void {
    const onSignal = (): void => {
      if (this.#child !== undefined) {
        // The terminal sends SIGINT to both.
        if (signal === 'SIGTERM') this.#child(signal)
        return
      }
      this.#signals.off(signal, onSignal)
      this.#controller.abort()
    }
    this.#signals.on(signal, onSignal)
  }
}
