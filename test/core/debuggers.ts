// What debuggers find in a core: the program counters of every thread.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const GDB_SCRIPT = join(import.meta.dirname, 'gdb-frames.py')
const OUTPUT_BYTES_MAX = 256 << 20

/** Program counters by thread, the innermost first. */
export type Frames = Map<number, string[]>

/** @returns Why debuggers cannot be asked here, or undefined when they can. */
export function noDebuggers(): string | undefined {
  const missing = ['gdb', 'eu-stack'].filter(tool => spawnSync(tool, ['--version']).error !== undefined)
  if (missing.length > 0) return `needs ${missing.join(' and ')}`
  const { stdout } = spawnSync('gdb', ['-nx', '-batch', '-ex', 'python print(1)'], { encoding: 'utf8' })
  return stdout.trim() === '1' ? undefined : 'needs a gdb with Python'
}

/**
 * Frames as gdb finds them; a last element `error` where it gave up on a thread.
 * @param framesMax - Of each thread, the innermost.
 */
export function gdbFrames(executable: string, core: string, framesMax: number): Frames {
  const settings = [
    ...['-iex', 'set debuginfod enabled off', '-iex', 'set auto-load off'],
    ...['-iex', `set $frames_max = ${framesMax}`],
  ]
  const text = run('gdb', ['-nx', '-batch', ...settings, '-x', GDB_SCRIPT, executable, core])
  const frames: Frames = new Map()
  for (const [, tid, pcs] of text.matchAll(/^thread (\d+) (.*)$/gm)) frames.set(Number(tid), pcs!.split(' '))
  return frames
}

/**
 * Frames as eu-stack finds them.
 * @param framesMax - Of each thread, the innermost. Its time grows with the square of their number.
 */
export function euStackFrames(executable: string, core: string, framesMax: number): Frames {
  const frames: Frames = new Map()
  let current: string[] = []
  for (const line of run('eu-stack', ['-n', `${framesMax}`, '-e', executable, `--core=${core}`]).split(
    '\n',
  )) {
    const tid = /^TID (\d+):/.exec(line)?.[1]
    if (tid !== undefined) frames.set(Number(tid), (current = []))
    const pc = /^#\d+ +(0x[0-9a-f]+)/.exec(line)?.[1]
    if (pc !== undefined) current.push(pc)
  }
  return frames
}

/** Both complain on standard error of what they miss, and eu-stack ends with 1 where a thread's stack has no end. */
function run(tool: string, args: readonly string[]): string {
  const { stdout, error } = spawnSync(tool, args, {
    encoding: 'utf8',
    timeout: 120_000,
    maxBuffer: OUTPUT_BYTES_MAX,
    env: { ...process.env, DEBUGINFOD_URLS: '' },
  })
  if (error) throw error
  return stdout
}
