// From the start of the binary to its first read of stdin. A full pipe tells: poll(2) says that there is room for
// writing in the moment in which the handler takes the first bytes, and nothing slows the handler meanwhile.
import { dlopen, FFIType, ptr } from 'bun:ffi'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, writeSync } from 'node:fs'
import { hostname } from 'node:os'
import { makeNode, noBinary } from '../test/lab/node.ts'
import { interleaved, type Measurement, median } from './measurement.ts'

const QUANTITY = 'start of the binary to first read of stdin'
const MILLISECONDS_MAX = 30
const STARTS = 20
/** What the handler sets its pipe to: a pipe that grew would have room before anything was read. */
const PIPE_BYTES = 1 << 20
const F_SETPIPE_SZ = 1031
const O_CLOEXEC = 0o2000000
const POLLOUT = 4
const WAIT_MS_MAX = 5000

const libc = () =>
  dlopen('libc.so.6', {
    pipe2: { args: [FFIType.ptr, FFIType.i32], returns: FFIType.i32 },
    fcntl: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    poll: { args: [FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i32 },
  }).symbols

export const start: Measurement = {
  name: 'start',
  quantities: [QUANTITY],
  whyNot: noBinary,
  async measure() {
    const node = makeNode()
    try {
      const seconds = Math.floor(Date.now() / 1000)
      const specifiers = [process.pid, process.pid, 6, seconds, 0, 1, 0, 0, hostname(), ''].map(String)
      const command = [node.binary, 'handle', '--config', node.configFile, ...specifiers]
      const times = await interleaved(
        { corelift: () => untilFirstRead(command), nothing: () => untilExit(['/bin/true']) },
        STARTS,
      )
      const milliseconds = median(times.corelift)
      const note =
        `median of ${STARTS} starts, empty environment, not an ELF core; fastest ${Math.min(...times.corelift).toFixed(1)} ms. ` +
        `/bin/true from start to end: ${median(times.nothing).toFixed(1)} ms`
      const measured = `${milliseconds.toFixed(1)} ms`
      const met = milliseconds <= MILLISECONDS_MAX
      return [{ quantity: QUANTITY, target: `≤ ${MILLISECONDS_MAX} ms`, measured, met, note }]
    } finally {
      node.remove()
    }
  },
}

async function untilFirstRead(command: readonly string[]): Promise<number> {
  const { pipe2, fcntl, poll } = libc()
  const ends = new Int32Array(2)
  if (pipe2(ptr(ends), O_CLOEXEC) !== 0) throw new Error('pipe2 failed')
  const [readEnd, writeEnd] = ends as unknown as [number, number]
  fcntl(writeEnd, F_SETPIPE_SZ, PIPE_BYTES)
  writeSync(writeEnd, new Uint8Array(PIPE_BYTES))
  const begin = performance.now()
  const child = spawn(command[0]!, command.slice(1), { stdio: [readEnd, 'ignore', 'ignore'], env: {} })
  const exited = once(child, 'exit')
  const pollfd = new Int32Array([writeEnd, POLLOUT]) // struct pollfd: int fd, short events, short revents
  const ready = poll(ptr(pollfd), 1, WAIT_MS_MAX)
  const milliseconds = performance.now() - begin
  closeSync(readEnd)
  closeSync(writeEnd)
  await exited
  if (ready !== 1) throw new Error('the handler did not read its stdin')
  return milliseconds
}

async function untilExit(command: readonly string[]): Promise<number> {
  const begin = performance.now()
  const child = spawn(command[0]!, command.slice(1), { stdio: 'ignore', env: {} })
  await once(child, 'exit')
  return performance.now() - begin
}
