// Mini cores: how soon they are in the store, how small they are, and whether every stack is in them.
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gdbFrames, noDebuggers } from '../test/core/debuggers.ts'
import { startCrasher, underPattern } from '../test/lab/kernel.ts'
import { heap, type Program, PROGRAMS } from '../test/lab/programs.ts'
import type { Manifest } from '../src/store/manifest.ts'
import { decodeManifest } from '../src/store/manifest-schema.ts'
import { whyNoDump } from './dump.ts'
import { coreliftHandler, MINI_ONLY, type S3Node, startS3Node } from './handlers.ts'
import { type Measurement, median, type Row, ROUNDS } from './measurement.ts'

const STORED = 'from the signal to the mini core in the store'
const HUGE = 'the same, of a process with 20 GiB'
const BYTES = 'kit with the mini core, compressed: the largest of python, node and C'
const READ = 'from the head to the mini core read, 102 threads'
const FIRST = "the crashed thread's stack"
const ALL = 'the stacks of 64 of 102 threads'
const FRAMES = 'threads whose frames are those of the full core'
const FRAMES_MAX = 1000

export const miniCore: Measurement = {
  name: 'mini-core',
  quantities: [STORED, HUGE, BYTES, READ, FIRST, ALL, FRAMES],
  whyNot: () => whyNoDump() ?? noDebuggers(),
  async measure() {
    const node = await startS3Node(MINI_ONLY)
    const both = await startS3Node()
    try {
      return [...(await rowsOf(node)), await framesRow(both)]
    } finally {
      await both.stop()
      await node.stop()
    }
  },
}

const named = (name: string): Program => PROGRAMS.find(program => program.name === name)!

async function rowsOf(node: S3Node): Promise<Row[]> {
  const large = await crashes(node, heap(1024))
  const huge = await crashes(
    node,
    PROGRAMS.find(({ coreIsHuge }) => coreIsHuge)!,
  )
  const small = [
    await crashes(node, named('python-threads'), 1),
    await crashes(node, named('node-workers'), 1),
    await crashes(node, named('c-threads')),
  ]
  const threads = await crashes(node, named('many-threads-100'))
  const kits = small.map(([manifest]) => manifest!.kit!.bytes / 1e6)
  const step = (runs: readonly Manifest[], to: string, from?: string) =>
    median(runs.map(({ durations }) => durations[to]! - (from === undefined ? 0 : durations[from]!)))
  const row = (quantity: string, value: number, max: number, unit: string, note?: string): Row => ({
    quantity,
    target: `≤ ${max} ${unit}`,
    measured: `${value.toFixed(unit === 'MB' ? 3 : 0)} ${unit}`,
    met: value <= max,
    ...(note !== undefined && { note }),
  })
  return [
    row(
      STORED,
      step(large, 'kitStored'),
      1000,
      'ms',
      'a process of 1 GiB; from the start of the handler, which the kernel starts at once',
    ),
    row(HUGE, step(huge, 'kitStored'), 1000, 'ms'),
    row(
      BYTES,
      Math.max(...kits),
      0.25,
      'MB',
      `${kits.map(mb => mb.toFixed(3)).join(', ')} MB, /proc included`,
    ),
    row(READ, step(threads, 'miniRead', 'headRead'), 100, 'ms'),
    row(FIRST, step(small[2]!, 'unwound', 'headRead'), 10, 'ms', 'of ten threads, all of them unwound'),
    row(
      ALL,
      step(threads, 'unwound', 'headRead'),
      50,
      'ms',
      'the opening of memory and symbol files included',
    ),
  ]
}

async function crashes(node: S3Node, program: Program, count = ROUNDS): Promise<Manifest[]> {
  const { command, env = {} } = program.build(node.dir)
  const handler = coreliftHandler(node)
  const manifests: Manifest[] = []
  for (let run = 0; run < count; run++)
    manifests.push(
      await crashOnce(node, () => underPattern(handler.pattern, () => startCrasher(command, { env }).ended)),
    )
  return manifests
}

/** @returns The record of the crash, once there is one. */
async function crashOnce(node: S3Node, crash: () => Promise<unknown>): Promise<Manifest> {
  const ids = async (): Promise<string[]> => {
    const { stdout } = await node.cli('ls', '--json')
    return (JSON.parse(stdout || '[]') as { id: string }[]).map(({ id }) => id)
  }
  const known = new Set(await ids())
  await crash()
  for (let tries = 0; tries < 100; tries++) {
    const id = (await ids()).find(id => !known.has(id))
    if (id !== undefined)
      return decodeManifest(Buffer.from((await node.cli('info', id, '--json')).stdout), id)
    await sleep(100)
  }
  throw new Error('a crash is not on record after ten seconds')
}

/** Every program as full and mini core at once, in gdb. */
async function framesRow(node: S3Node): Promise<Row> {
  let [threads, same] = [0, 0]
  const missing: string[] = []
  for (const program of PROGRAMS.filter(({ coreIsHuge }) => !coreIsHuge)) {
    const why = program.whyNot()
    if (why !== undefined) {
      missing.push(`${program.name} (${why})`)
      continue
    }
    const [manifest] = await crashes(node, program, 1)
    const { executable } = program.build(node.dir)
    const [full, mini] = await Promise.all(
      ['--full', '--mini'].map(flag => framesIn(node, manifest!, flag, executable)),
    )
    for (const [tid, frames] of full!) {
      threads++
      if (frames.join() === mini!.get(tid)?.join()) same++
    }
  }
  return {
    quantity: FRAMES,
    target: '100 %',
    measured: `${((same / threads) * 100).toFixed(1)} %`,
    met: same === threads,
    note: `${same} of ${threads} threads, by gdb; not run: ${missing.join(', ') || 'none'}`,
  }
}

async function framesIn(node: S3Node, { id }: Manifest, flag: string, executable: string) {
  const path = join(node.dir, `core${flag}`)
  await node.cli('get', id, flag, '--force', '-o', path)
  return gdbFrames(executable, path, FRAMES_MAX)
}
