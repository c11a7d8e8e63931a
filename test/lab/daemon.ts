// Daemons of the lab: found by name, started on their own directories, stopped by their pid.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, closeSync, constants, openSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Debian keeps daemons in sbin, which a user's PATH may not name. */
const PROGRAM_DIRS = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/bin', '/sbin']

/**
 * Says why a test cannot run here.
 * @param programs - What it starts.
 * @returns A reason to skip it with, or undefined.
 */
export function whyNoLab(programs: readonly string[]): string | undefined {
  if (process.platform !== 'linux') return 'needs Linux'
  if (process.getuid?.() !== 0) return 'needs root'
  const missing = programs.filter(program => !PROGRAM_DIRS.some(dir => isExecutable(path.join(dir, program))))
  return missing.length > 0 ? `needs ${missing.join(', ')}` : undefined
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** What the lab asks of a test, `t` of tap: it cleans up in the reverse order. */
export interface Test {
  teardown(cleanUp: () => Promise<void> | void): void
}

/** Makes a directory for a daemon; the test's end removes it. */
export async function labDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'corelift-lab-'))
  t.teardown(() => rm(directory, { recursive: true }))
  return directory
}

/** A daemon that can be made to hang: it accepts connections, as the kernel does that for it, and answers none. */
export interface Daemon {
  readonly pid: number
  /**
   * SIGSTOP, to this process alone: what it has started goes on. Waits until it has stopped. The test's end thaws it
   * before all else.
   */
  freeze(): Promise<void>
  thaw(): void
}

/**
 * Starts a daemon and waits until it is ready. The test's end stops it: SIGTERM, and SIGKILL should that not do.
 * @param command - Program and arguments. Its core limit is unlimited, and its containers inherit that.
 * @param log - File for its output; its end is part of the error when it does not come up.
 * @param isReady - Asked again until it says so.
 */
export async function startDaemon(
  t: Test,
  command: readonly string[],
  log: string,
  isReady: () => Promise<boolean>,
): Promise<Daemon> {
  const output = openSync(log, 'w')
  // prlimit(1) sets the limit and executes the daemon in its own place: the pid stays.
  const child = spawn('prlimit', ['--core=unlimited', ...command], {
    stdio: ['ignore', output, output],
    env: { ...process.env, PATH: PROGRAM_DIRS.join(':') },
  })
  closeSync(output)
  const exited = once(child, 'exit')
  const isRunning = () => child.exitCode === null && child.signalCode === null
  t.teardown(async () => {
    if (!isRunning()) return
    child.kill('SIGTERM')
    const hasEnded = await Promise.race([exited.then(() => true), sleep(STOP_MS_MAX, false, { ref: false })])
    if (hasEnded) return
    child.kill('SIGKILL')
    await exited
  })
  const thaw = () => void child.kill('SIGCONT')
  const freeze = async () => {
    // Teardowns run in reverse order: this one precedes those that ask the daemon to remove something.
    t.teardown(thaw)
    child.kill('SIGSTOP')
    while (isRunning() && !isStopped(child.pid!)) await sleep(POLL_MS)
  }
  const deadline = Date.now() + START_MS_MAX
  while (isRunning() && Date.now() < deadline) {
    if (await isReady()) return { pid: child.pid!, freeze, thaw }
    await sleep(POLL_MS)
  }
  throw new Error(`${command[0]} did not start:\n${readFileSync(log, 'utf8').slice(-LOG_CHARS_SHOWN)}`)
}

/** Each thread stops for itself, a little later than the signal. proc_pid_status(5) */
function isStopped(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every(thread =>
    /^State:\tT/m.test(readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8')),
  )
}

/** Either daemon takes half a second on an idle machine; a busy one is given a hundred times that. */
const START_MS_MAX = 50_000
const STOP_MS_MAX = 15_000
const POLL_MS = 50
const LOG_CHARS_SHOWN = 2000
