// Stands in for a process's streams.

import { Writable } from 'node:stream'
import type { Io } from '../../src/commands/terminal.ts'

export class Screen extends Writable {
  readonly isTTY: boolean
  text = ''

  constructor(isTTY = false) {
    super({ decodeStrings: false })
    this.isTTY = isTTY
  }

  override _write(chunk: string | Buffer, _encoding: string, done: () => void): void {
    this.text += String(chunk)
    done()
  }
}

/** A stream whose every write fails, as those of `| head` and `> /dev/full` do. */
export function brokenStream(code: string): Writable {
  return new Writable({
    write: (_chunk, _encoding, done) => done(Object.assign(new Error(code), { code, syscall: 'write' })),
  })
}

export interface TestIo extends Io {
  readonly stdout: Screen
  readonly stderr: Screen
}

export function testIo(options: { isTTY?: boolean; env?: Io['env'] } = {}): TestIo {
  return {
    stdout: new Screen(options.isTTY),
    stderr: new Screen(options.isTTY),
    env: options.env ?? {},
    interrupted: new AbortController().signal,
  }
}
