// Debuggers as processes: found on the PATH, started without a shell.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { delimiter, isAbsolute, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { Interrupts } from '../interrupts.ts'

export type Env = Readonly<Record<string, string | undefined>>

export interface ProgramRun {
  /** Absolute. */
  readonly path: string
  readonly args: readonly string[]
  readonly env: Env
  readonly cwd?: string
}

/** One of both is null. */
export interface ProgramEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** What commands ask of other programs; tests see what was asked. */
export interface Programs {
  /** @returns Its path. */
  find(name: string, env: Env): Promise<string | undefined>
  /** Runs a program that has the terminal: until it ends, Ctrl-C is for it alone. */
  attend(run: ProgramRun): Promise<ProgramEnd>
  /** Runs a program without input; its lines go to where they are taken, which it waits for. */
  listen(run: ProgramRun, lines: Lines, interrupted: AbortSignal): Promise<ProgramEnd>
}

export interface Lines {
  readonly out: (line: string) => Promise<void>
  readonly err: (line: string) => Promise<void>
}

export function systemPrograms(interrupts: Interrupts): Programs {
  return {
    find,
    async attend({ path, args, env, cwd }) {
      const child = spawn(path, [...args], { stdio: 'inherit', env, cwd })
      return await interrupts.during(signal => void child.kill(signal), ending(child))
    },
    async listen({ path, args, env, cwd }, lines, interrupted) {
      const child = spawn(path, [...args], { stdio: ['ignore', 'pipe', 'pipe'], env, cwd })
      let isStopped = false
      // It has nothing to lose, and gdb takes its time with SIGTERM.
      const stop = (): void => {
        isStopped = true
        child.kill('SIGKILL')
      }
      const taking = (take: (line: string) => Promise<void>) => async (line: string) => {
        if (!isStopped) await take(line)
      }
      interrupted.addEventListener('abort', stop)
      try {
        const ended = ending(child)
        await Promise.all([
          eachLine(child.stdout, taking(lines.out)),
          eachLine(child.stderr, taking(lines.err)),
          ended,
        ])
        return await ended
      } catch (error) {
        stop()
        throw error
      } finally {
        interrupted.removeEventListener('abort', stop)
      }
    },
  }
}

async function ending(child: ChildProcess): Promise<ProgramEnd> {
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  return { code, signal }
}

async function eachLine(stream: Readable, take: (line: string) => Promise<void>): Promise<void> {
  for await (const line of createInterface({ input: stream, crlfDelay: Infinity })) await take(line)
}

async function find(name: string, env: Env): Promise<string | undefined> {
  for (const directory of (env['PATH'] ?? '').split(delimiter)) {
    // An empty entry is the current directory, which may be anybody's.
    if (!isAbsolute(directory)) continue
    const path = join(directory, name)
    const isFile = (await stat(path).catch(() => undefined))?.isFile() === true
    const isExecutable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (isFile && isExecutable) return path
  }
  return undefined
}
