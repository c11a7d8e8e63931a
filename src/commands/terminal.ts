// Where commands write: streams that may be a terminal, a pipe that closes early, or a full disk.

/** A stream as node:process has them. */
export type OutputStream = NodeJS.WritableStream & { readonly isTTY?: boolean }

/** What a command sees of its process. */
export interface Io {
  /** Reads a line that somebody types; absent where standard input is no terminal. */
  readonly readLine?: () => Promise<string>
  readonly stdout: OutputStream
  readonly stderr: OutputStream
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborted by SIGINT and SIGTERM. */
  readonly interrupted: AbortSignal
}

/** Writes all of a chunk, however slow the reader. @throws The stream's own error: EPIPE when the reader has gone. */
export function write(stream: OutputStream, chunk: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(chunk, error => (error ? reject(error) : resolve()))
  })
}

/** Colours for a stream: SGR codes on a terminal, nothing elsewhere (no-color.org). */
export function colorsFor(stream: OutputStream, env: Io['env'], wanted: boolean): Colors {
  const isOn = wanted && stream.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb'
  const style = (code: number) => (text: string) => (isOn ? `\x1b[${code}m${text}\x1b[0m` : text)
  return { bold: style(1), dim: style(2), red: style(31), green: style(32), yellow: style(33) }
}

export type Colors = Readonly<Record<'bold' | 'dim' | 'red' | 'green' | 'yellow', (text: string) => string>>
