// Trimmed cores of real programs, against what debuggers find in the full cores that the kernel wrote. Of mini cores
// test/e2e/ladder.test.ts shows the same, made by the handler.
import { spawnSync } from 'node:child_process'
import { closeSync, openSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { coreChunks } from '../../src/core/core-writer.ts'
import { type CorePlan, planCore } from '../../src/core/plan.ts'
import { dumpCore } from '../lab/cores.ts'
import { noKernelControl } from '../lab/kernel.ts'
import { heap, PROGRAMS } from '../lab/programs.ts'
import { gdbFrames, noDebuggers } from './debuggers.ts'
import { openCore, type OpenCore } from './memories.ts'

const MIB = 1024 * 1024
/** More than any of the programs has, but for those that recurse until their stack is larger than a mini core. */
const FRAMES_MAX = 1000
const cannot = noKernelControl() ?? noDebuggers()

function planOf({ head, memory }: OpenCore, kind: 'mini' | 'trimmed', bytesMax: number): CorePlan {
  return planCore({ kind, head, memory, files: head.files(), bytesMax })
}

function write(path: string, plan: CorePlan, { memory }: OpenCore): void {
  const fd = openSync(path, 'w')
  for (const chunk of coreChunks(plan, memory)) writeSync(fd, chunk)
  closeSync(fd)
}

t.test(
  'deep recursion: a budget that holds the stack holds all its frames',
  { skip: cannot ?? false },
  async t => {
    const program = PROGRAMS.find(({ name }) => name === 'deep-recursion')!
    const { command, executable } = program.build(t.testdir())
    const dumped = await dumpCore(command)
    t.teardown(dumped.remove)
    const full = openCore(dumped.core)
    t.teardown(() => full.close())
    const trimmed = join(t.testdirName, 'trimmed')
    write(trimmed, planOf(full, 'trimmed', 2 * MIB), full)
    const frames = gdbFrames(executable, dumped.core, 100_000)
    t.ok([...frames.values()][0]!.length > 20_000)
    t.strictSame(gdbFrames(executable, trimmed, 100_000), frames)
  },
)

t.test(
  '200 MB of heap trimmed: each budget holds, and has what smaller ones have',
  { skip: cannot ?? false },
  async t => {
    const { command, executable } = heap(192).build(t.testdir())
    const dumped = await dumpCore(command)
    t.teardown(dumped.remove)
    const full = openCore(dumped.core)
    t.teardown(() => full.close())
    const frames = gdbFrames(executable, dumped.core, FRAMES_MAX)

    const complained = complaints(executable, dumped.core)
    let smaller: CorePlan | undefined
    for (const budget of [1, 4, 16, 64, 256]) {
      const plan = planOf(full, 'trimmed', budget * MIB)
      const trimmed = join(t.testdirName, `trimmed-${budget}`)
      write(trimmed, plan, full)
      t.equal(statSync(trimmed).size, plan.bytes)
      t.ok(plan.bytes <= budget * MIB, `${plan.bytes} bytes of ${budget} MiB`)
      t.equal(plan.isWhole, budget === 256)
      t.ok(plan.isWhole || plan.bytes > budget * MIB - 8192, 'the budget is used')
      t.strictSame(gdbFrames(executable, trimmed, FRAMES_MAX), frames)
      t.equal(
        complaints(executable, trimmed),
        complained,
        'gdb has nothing to add to what it says of the full core',
      )
      if (smaller) t.ok(contains(plan, smaller), `${budget} MiB have what fewer have`)
      smaller = plan
    }
  },
)

/** What gdb warns of when it opens a core, as truncated ones make it. */
function complaints(executable: string, core: string): string {
  const args = ['-nx', '-batch', '-iex', 'set debuginfod enabled off', executable, core]
  const { stdout, stderr } = spawnSync('gdb', args, { encoding: 'utf8' })
  return (stdout + stderr)
    .split('\n')
    .filter(line => /warning|truncated|cannot access/i.test(line))
    .map(line => line.replace(/\d+/g, 'N'))
    .join('\n')
}

function contains(larger: CorePlan, smaller: CorePlan): boolean {
  const pages = pagesOf(larger)
  return [...pagesOf(smaller)].every(page => pages.has(page))
}

function pagesOf({ runs }: CorePlan): Set<number> {
  const pages = new Set<number>()
  for (const { start, bytes } of runs)
    for (let page = start; page < start + bytes; page += 4096) pages.add(page)
  return pages
}
