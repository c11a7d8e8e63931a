// The real kernel: sets kernel.core_pattern for the length of a test and makes processes crash under it.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const HOLD = join(import.meta.dirname, '..', '..', 'scripts', 'hold-core-pattern')

/** @returns Why this machine's core_pattern cannot be set, or undefined when it can. */
export function noKernelControl(): string | undefined {
  if (process.getuid?.() !== 0) return 'not root: kernel.core_pattern cannot be set'
  if (process.platform !== 'linux') return 'not Linux'
  return undefined
}

/** A held core_pattern: `release` restores the former one. The holder restores it too when this process dies. */
export interface HeldPattern {
  release(): Promise<void>
}

/**
 * Registers a handler, waiting for whoever holds the pattern now.
 * @param pipeLimit - kernel.core_pipe_limit meanwhile; more than 0 keeps /proc/<pid> until the handler is done.
 */
export async function holdPattern(pattern: string, pipeLimit = 64): Promise<HeldPattern> {
  const holder = spawn(HOLD, [pattern, String(pipeLimit)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  })
  const exited = once(holder, 'exit')
  const held = await Promise.race([
    once(createInterface(holder.stdout), 'line'),
    exited.then(() => undefined),
  ])
  if (held?.[0] !== 'held') throw new Error(`core_pattern could not be set to ${pattern}`)
  return {
    async release() {
      holder.stdin.end()
      await exited
    },
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
  child.stdout!.on('data', (chunk: Buffer) => (stdout += chunk.toString('utf8')))
  const ended = once(child, 'close').then(([, signal]) => ({
    pid: child.pid!,
    signal: signal as NodeJS.Signals | null,
    stdout,
  }))
  return { child, ended }
}

/** @returns A function that reads the kernel log's lines since this call. */
export function watchKernelLog(): () => string[] {
  const lines = (): string[] => execFileSync('dmesg', { encoding: 'utf8', maxBuffer: 64 << 20 }).split('\n')
  const last = lines().at(-2) ?? ''
  return () => {
    const now = lines()
    return now.slice(now.lastIndexOf(last) + 1)
  }
}
