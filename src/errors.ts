// The one error class, with a closed list of codes. Adapters translate foreign errors into it once and keep
// `cause`; only entries (cli, handle) report it or turn it into an exit code. docs/errors.md has a section per code.

/** Exit codes of every command. The kernel ignores the handler's, people and tests do not. */
export const EXIT = {
  ok: 0,
  /** A bug, or something nobody foresaw. */
  failure: 1,
  /** Arguments that the command does not take. */
  usage: 2,
  /** No such crash, pod, process or object. */
  notFound: 3,
  /** The configuration is not usable. */
  config: 4,
  /** The store cannot be reached, refuses, or is full. */
  store: 5,
  /** What was read is not what was written. */
  corrupt: 6,
  /** The output file exists already, or cannot be written. */
  output: 7,
  /** No debugger that could open the core. */
  debugger: 8,
  /** The node is not as it should be: not fit to install on, a canary that did not arrive, a check that failed. */
  node: 9,
  /** `handle`: the crash left a record without its core (refused, not an ELF core, …). */
  recordOnly: 10,
  /** `handle`: the core that was stored is not complete. */
  incomplete: 11,
  /** `handle`: a trimmed or a mini core was stored. */
  reduced: 12,
  /** `handle`: not all of the crash is in the store yet; `sweep` sends the rest. */
  spooled: 13,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** Every code: its exit code, and what it means in a few words (docs/errors.md says more). */
export const ERROR_CODES = {
  E_USAGE: { exit: EXIT.usage, meaning: 'arguments that the command does not take' },
  E_SPECIFIERS: { exit: EXIT.usage, meaning: 'the handler was not called as the kernel calls it' },
  E_CONFIG: { exit: EXIT.config, meaning: 'the configuration is not usable' },
  E_CRASH_UNKNOWN: { exit: EXIT.notFound, meaning: 'no crash has this id, or none is of this pod' },
  E_PROCESS_UNKNOWN: { exit: EXIT.notFound, meaning: 'no process has this pid' },
  E_CORE_ABSENT: { exit: EXIT.notFound, meaning: 'the crash is on record, but its core was not kept' },
  E_CORE_CORRUPT: { exit: EXIT.corrupt, meaning: 'the core read back is not the one that was written' },
  E_MANIFEST: { exit: EXIT.corrupt, meaning: 'a manifest that cannot be read' },
  E_SPOOL: { exit: EXIT.config, meaning: 'the spool cannot be used' },
  E_LISTEN: { exit: EXIT.config, meaning: 'the address cannot be listened on' },
  E_OUTPUT: { exit: EXIT.output, meaning: 'the output file exists, or cannot be written' },
  E_DEBUGGER: { exit: EXIT.debugger, meaning: 'the debugger is not installed' },
  E_INSTALL: { exit: EXIT.node, meaning: 'the node is not fit, or a step failed' },
  E_CANARY: { exit: EXIT.node, meaning: 'a crash made on purpose did not reach the store' },
  E_STORE_ABSENT: { exit: EXIT.store, meaning: 'the bucket or directory does not exist' },
  E_STORE_CREDENTIALS: { exit: EXIT.store, meaning: 'no credentials, or the store does not know them' },
  E_STORE_DENIED: { exit: EXIT.store, meaning: 'the store refuses the request' },
  E_STORE_FULL: { exit: EXIT.store, meaning: 'no space, no inodes or no quota left in the store' },
  E_STORE_NO_OBJECT: { exit: EXIT.notFound, meaning: 'no object has this key' },
  E_STORE_NO_UPLOAD: { exit: EXIT.store, meaning: 'the upload was completed, aborted or never begun' },
  E_STORE_PROTOCOL: { exit: EXIT.store, meaning: 'the answer is not what an S3 server says' },
  E_STORE_ROOT_FILESYSTEM: { exit: EXIT.config, meaning: 'the store would be on the root file system' },
  E_STORE_THROTTLED: { exit: EXIT.store, meaning: 'the store asks for fewer requests' },
  E_STORE_UNREACHABLE: { exit: EXIT.store, meaning: 'the store does not answer' },
} as const satisfies Record<string, { exit: ExitCode; meaning: string }>

export type ErrorCode = keyof typeof ERROR_CODES

export interface CoreliftErrorOptions {
  /** What to do about it, addressed to the person who reads it. */
  hint?: string
  /** Whether the same call may succeed later. Default: false. */
  retryable?: boolean
  cause?: unknown
}

/** An error that somebody can act on: a code, a sentence, and advice. */
export class CoreliftError extends Error {
  override readonly name = 'CoreliftError'
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly retryable: boolean

  constructor(code: ErrorCode, message: string, options: CoreliftErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.hint = options.hint
    this.retryable = options.retryable ?? false
  }

  get exitCode(): ExitCode {
    return ERROR_CODES[this.code].exit
  }
}
