// Speaks to qemu-guest-agent(8) in a virtual machine: JSON, a line each way, one request after the other. What the guest
// sends can be lost when it reboots, so a silent agent is an error that a caller may answer by synchronize().
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CommandResult } from './node.ts'

/** Answers come within a few milliseconds, on a machine whose processors are taken within seconds. */
const ANSWER_MS_MAX = 60_000
/** While a guest boots or shuts down there is no answer at all: asked again until there is. */
export const RETRY_MS = 5000
const POLL_MS = 200

export class GuestAgent {
  readonly #server: Server
  readonly #connected: Promise<Socket>
  #socket: Socket | undefined
  #onLine: (line: string) => void = () => undefined
  #last: Promise<unknown> = Promise.resolve()
  #syncs = 0

  /** @param socketPath - Where qemu is to connect its side of the agent's port: `-chardev socket,path=`. */
  constructor(socketPath: string) {
    this.#server = createServer()
    this.#connected = once(this.#server, 'connection').then(([connection]) => {
      const socket = connection as Socket
      createInterface(socket).on('line', line => this.#onLine(line))
      socket.on('error', () => undefined) // qemu has ended
      return (this.#socket = socket)
    })
    this.#server.listen(socketPath)
  }

  /**
   * Asks once whether the agent is there, and drops answers to what was asked before.
   * @returns false when there was no answer.
   */
  synchronize(): Promise<boolean> {
    return this.#inTurn(async () => {
      const id = ++this.#syncs
      const isAnswer = (answer: Answer) => answer.return === id
      return (await this.#ask('guest-sync', { id }, RETRY_MS, isAnswer)) !== undefined
    })
  }

  /**
   * Runs a program in the guest, as root, until it ends. Output is text, 16 MiB of it at most.
   * @param answerMsMax - Longest wait for an answer of the agent's, which gives one at once while the program runs.
   * @throws Error when the agent refuses or is silent, as it is when the guest goes down meanwhile.
   */
  async execute(
    program: string,
    args: readonly string[],
    answerMsMax = ANSWER_MS_MAX,
  ): Promise<CommandResult> {
    const request = (command: string, args: object) => this.#request(command, args, answerMsMax)
    const { pid } = (await request('guest-exec', {
      path: program,
      arg: args,
      'capture-output': true,
    })) as { pid: number }
    for (;;) {
      const status = (await request('guest-exec-status', { pid })) as ExecStatus
      if (status.exited) {
        const { exitcode, signal = 0 } = status
        return {
          code: exitcode ?? 128 + signal,
          stdout: text(status['out-data']),
          stderr: text(status['err-data']),
        }
      }
      await sleep(POLL_MS)
    }
  }

  close(): void {
    this.#server.close()
    this.#socket?.destroy()
  }

  #request(command: string, args: object, answerMsMax: number): Promise<unknown> {
    return this.#inTurn(async () => {
      const answer = await this.#ask(command, args, answerMsMax, () => true)
      if (answer === undefined) throw new Error(`the guest's agent does not answer to ${command}`)
      if (answer.error) throw new Error(`${command}: ${answer.error.desc}`)
      return answer.return
    })
  }

  /** Answers carry no name of what they answer: the next request waits for this one's. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => undefined)
    return turn
  }

  /** @returns undefined when nothing that `isAnswer` takes arrived in time. */
  async #ask(
    command: string,
    args: object,
    timeoutMs: number,
    isAnswer: (answer: Answer) => boolean,
  ): Promise<Answer | undefined> {
    const socket = await this.#connected
    const answered = new Promise<Answer>(resolve => {
      this.#onLine = line => {
        const answer = parse(line)
        if (answer && isAnswer(answer)) resolve(answer)
      }
    })
    socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`)
    const ended = new AbortController()
    const late = sleep(timeoutMs, undefined, { signal: ended.signal }).catch(() => undefined)
    const answer = await Promise.race([answered, late])
    ended.abort()
    return answer
  }
}

interface Answer {
  readonly return?: unknown
  readonly error?: { readonly desc: string }
}

/** qga/qapi-schema.json: GuestExecStatus. */
interface ExecStatus {
  readonly exited: boolean
  readonly exitcode?: number
  readonly signal?: number
  readonly 'out-data'?: string
  readonly 'err-data'?: string
}

/** @returns undefined for half a line, as a reboot leaves it. */
function parse(line: string): Answer | undefined {
  try {
    return JSON.parse(line) as Answer
  } catch {
    return undefined
  }
}

const text = (base64 = ''): string => Buffer.from(base64, 'base64').toString('utf8')
