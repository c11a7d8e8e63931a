// What a debugger is told for a backtrace, and which of its lines are that.

export interface Backtrace {
  readonly commands: readonly string[]
  /** Where the frames begin: what comes earlier is a greeting. */
  readonly marker: string
  /** Lines of the greeting that say something. */
  readonly telling: RegExp | undefined
  /** Of stderr: lines that do not help. */
  readonly noise: RegExp | undefined
}

export class BacktraceFilter {
  readonly #backtrace: Backtrace
  #isPast = false

  constructor(backtrace: Backtrace) {
    this.#backtrace = backtrace
  }

  /** Whether the frames have begun. */
  get isPast(): boolean {
    return this.#isPast
  }

  keepsOut(line: string): boolean {
    if (this.#isPast) return true
    if (line === this.#backtrace.marker) this.#isPast = true
    return this.#backtrace.telling?.test(line) ?? false
  }

  keepsErr(line: string): boolean {
    return this.#backtrace.noise?.test(line) !== true
  }
}
