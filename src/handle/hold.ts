// The hold of a crashed process: however slow whoever is asked or written to, at the deadline it is let go.

export class Hold {
  readonly secondsMax: number
  readonly #letGo: (() => void)[] = []
  #isOver = false
  #timer: NodeJS.Timeout
  #endedAt: number | undefined
  readonly #over: () => void
  /** Fulfilled at the deadline, also when the process was let go before. */
  readonly whenOver: Promise<void>

  /** @param secondsMax - From the start of this process, which the kernel starts when the crash happens. */
  constructor(secondsMax: number) {
    this.secondsMax = secondsMax
    let over: () => void = () => undefined
    this.whenOver = new Promise(resolve => (over = resolve))
    this.#over = over
    this.#timer = this.#endIn(secondsMax * 1000 - performance.now())
  }

  #endIn(milliseconds: number): NodeJS.Timeout {
    return setTimeout(
      () => {
        this.#isOver = true
        this.release()
        this.#over()
      },
      Math.max(0, milliseconds),
    )
  }

  /** Moves the deadline to so many seconds from now, unless it has come. */
  postpone(seconds: number): void {
    if (this.#isOver) return
    clearTimeout(this.#timer)
    this.#timer = this.#endIn(seconds * 1000)
  }

  /** The deadline has come: what was not read by then is not to be had any more. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** How long the process was held, from the crash; until now where it still is. */
  get milliseconds(): number {
    return this.#endedAt ?? performance.now()
  }

  /** @param letGo - Gives up something of the process; called once, now if it was let go already. */
  holds(letGo: () => void): void {
    if (this.#isOver) letGo()
    else this.#letGo.push(letGo)
  }

  /** Lets the process go, earlier than at the deadline; again does nothing. */
  release(): void {
    this.#endedAt ??= performance.now()
    for (const letGo of this.#letGo.splice(0)) letGo()
  }
}
