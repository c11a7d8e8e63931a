// The real kernel: sets kernel.core_pattern for the length of a test and makes processes crash under it.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

const HOLD = join(import.meta.dirname, '..', '..', 'scripts', 'hold-core-pattern')

/** @returns Why this machine's core_pattern cannot be set, or undefined when it can. */
export function noKernelControl(): string | undefined {
  if (process.getuid?.() !== 0) return 'not root: kernel.core_pattern cannot be set'
  if (process.platform !== 'linux') return 'not Linux'
  return undefined
}

/**
 * Registers a handler for as long as something runs, waiting for whoever holds the pattern now. The former pattern is
 * restored also when this process dies.
 * @param pipeLimit - kernel.core_pipe_limit meanwhile; more than 0 keeps /proc/<pid> until the handler is done.
 */
export async function underPattern<T>(pattern: string, use: () => Promise<T>, pipeLimit = 64): Promise<T> {
  const holder = spawn(HOLD, [pattern, String(pipeLimit)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  })
  const exited = once(holder, 'exit')
  const [line] = (await Promise.race([once(createInterface(holder.stdout), 'line'), exited])) as unknown[]
  if (line !== 'held') throw new Error(`core_pattern could not be set to ${pattern}`)
  try {
    return await use()
  } finally {
    holder.stdin.end()
    await exited
  }
}

export interface CrashedProcess {
  readonly pid: number
  /** `SIGSEGV`; null when the process ended otherwise. */
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
}

/** Starts a program that may dump core; `ended` is fulfilled once the kernel has reaped it, the handler then being done with its input. */
export function startCrasher(
  command: readonly string[],
  options: { env?: NodeJS.ProcessEnv; coreLimit?: string } = {},
): { child: ChildProcess; ended: Promise<CrashedProcess> } {
  const limit = options.coreLimit ?? 'unlimited'
  const child = spawn('/bin/sh', ['-c', `ulimit -c ${limit}; exec "$@"`, 'sh', ...command], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...options.env },
  })
  let stdout = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString('utf8')))
  const ended = once(child, 'close').then(([, signal]) => ({
    pid: child.pid!,
    signal: signal as NodeJS.Signals | null,
    stdout,
  }))
  return { child, ended }
}

/**
 * Watches the kernel log from this call on.
 * @returns A function that waits for lines with a text in them, ten seconds at most: the handler logs last of all.
 */
export function watchKernelLog(): (text: string) => Promise<string[]> {
  const lines = (): string[] => execFileSync('dmesg', { encoding: 'utf8', maxBuffer: 64 << 20 }).split('\n')
  const last = lines().at(-2) ?? ''
  return async text => {
    for (let tries = 0; ; tries++) {
      const now = lines()
      const found = now.slice(now.lastIndexOf(last) + 1).filter(line => line.includes(text))
      if (found.length > 0 || tries === 100) return found
      await sleep(100)
    }
  }
}

/** Waits until a process has a child. @returns The first one's pid: proc_pid_task(5), children. */
export async function childOf(pid: number): Promise<number> {
  for (let tries = 0; tries < 1000; tries++) {
    const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
    if (child !== '' && child !== undefined) return Number(child)
    await sleep(10)
  }
  throw new Error(`process ${pid} has no child`)
}
