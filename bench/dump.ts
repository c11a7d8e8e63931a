// One real crash of a python with a 1.5 GB heap, and how long the kernel's dump of it took.
import { once } from 'node:events'
import { accessSync, constants, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { whyNoLab } from '../test/lab/daemon.ts'
import { startCrasher, underPattern } from '../test/lab/kernel.ts'
import { noBinary } from '../test/lab/node.ts'
import type { Handler } from './handlers.ts'

const HEAP_MIB = 1500
/** Without randomised addresses: pointers make up half of the heap, and some compress a tenth better than others. */
const SAME_MEMORY = ['setarch', '--addr-no-randomize']
/** Reading a status file takes some 30 µs: one and a half percent of one processor. */
const POLL_MS = 2
const WAIT_SECONDS_MAX = 120

export interface Dump {
  /**
   * From the signal until the kernel is done with the handler: every byte was taken and the pipe closed. The handler's
   * start is part of it; the release of the dead process's memory is not.
   */
  readonly inputSeconds: number
  /** From the signal until the parent has reaped the process. */
  readonly goneSeconds: number
}

/** @returns Why no process can be crashed here, or undefined. */
export function whyNoDump(): string | undefined {
  return whyNoLab(['python3', 'setarch', 'unshare', 'zstd']) ?? noPatternControl() ?? noBinary()
}

/** In a container even root may find it read-only. */
function noPatternControl(): string | undefined {
  try {
    accessSync('/proc/sys/kernel/core_pattern', constants.W_OK)
    return undefined
  } catch {
    return 'kernel.core_pattern cannot be set here'
  }
}

/**
 * Crashes a python under a handler, and waits until both have ended.
 * @param pipeLimit - kernel.core_pipe_limit meanwhile; 16 is what systemd sets.
 */
export async function crashPython(handler: Handler, pipeLimit = 16): Promise<Dump> {
  const heap = join(import.meta.dirname, 'python-heap.py')
  const { child, ended } = startCrasher([...SAME_MEMORY, 'python3', heap, String(HEAP_MIB)], {
    env: { PYTHONHASHSEED: '0' },
  })
  await Promise.race([once(child.stdout!, 'data'), ended])
  if (child.exitCode !== null) throw new Error('python ended before its heap was built')
  const crash = async (): Promise<Dump> => {
    const start = performance.now()
    const gone = ended.then(() => (performance.now() - start) / 1000)
    child.kill('SIGABRT')
    await dumped(child.pid!)
    const inputSeconds = (performance.now() - start) / 1000
    return { inputSeconds, goneSeconds: await gone }
  }
  try {
    const dump = await underPattern(handler.pattern, crash, pipeLimit)
    await until('the handler has ended', () => !isRunning(handler.pid()))
    return dump
  } finally {
    child.kill('SIGKILL')
  }
}

/** Waits while /proc/<pid>/status says that a core is being dumped: proc_pid_status(5), CoreDumping. */
async function dumped(pid: number): Promise<void> {
  let seen = false
  await until(`pid ${pid} has dumped its core`, () => {
    const isDumping = /^CoreDumping:\t1$/m.test(readProc(pid, 'status'))
    seen ||= isDumping
    return !isDumping && (seen || !isRunning(pid))
  })
}

/** Waits for something that takes a while; an error after two minutes. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + WAIT_SECONDS_MAX * 1000
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`)
    await sleep(POLL_MS)
  }
}

/** A zombie has ended, whoever has yet to reap it. */
function isRunning(pid: number): boolean {
  const state = /^State:\t(.)/m.exec(readProc(pid, 'status'))?.[1]
  return state !== undefined && state !== 'Z' && state !== 'X'
}

/** @returns A file of /proc/<pid>, empty once the process is gone. */
export function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return ''
  }
}
