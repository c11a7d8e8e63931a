// Bounds memory: what holds a core's frames or a listing waits until there is room.

export class Gate {
  readonly #waiting: (() => void)[] = []
  #free: number

  constructor(places: number) {
    this.#free = places
  }

  /** Waits for a place, in order. @returns Frees it; again, it does nothing. */
  async enter(): Promise<() => void> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>(resolve => this.#waiting.push(resolve))
    let isInside = true
    return () => {
      if (!isInside) return
      isInside = false
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    const leave = await this.enter()
    try {
      return await task()
    } finally {
      leave()
    }
  }

  /** Iterates inside; the place is freed at the end, whoever ends it. */
  async *through<T>(items: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T> {
    const leave = await this.enter()
    try {
      yield* items
    } finally {
      leave()
    }
  }
}
