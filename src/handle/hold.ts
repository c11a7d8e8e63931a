// The hold of a crashed process: however slow whoever is asked or written to, at the deadline it is let go.

export class Hold {
  readonly secondsMax: number
  readonly #letGo: (() => void)[] = []
  #isOver = false
  #endedAt: number | undefined
  /** Fulfilled at the deadline, also when the process was let go before. */
  readonly whenOver: Promise<void>

  /** @param secondsMax - From the start of this process, which the kernel starts when the crash happens. */
  constructor(secondsMax: number) {
    this.secondsMax = secondsMax
    let over: () => void = () => undefined
    this.whenOver = new Promise(resolve => (over = resolve))
    const left = Math.max(0, secondsMax * 1000 - performance.now())
    setTimeout(() => {
      this.#isOver = true
      this.release()
      over()
    }, left)
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
