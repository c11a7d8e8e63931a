// Crashes that the real kernel starts no handler for, and what its log says of them.
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { dropsIn, isDropLine, type KernelDrop } from '../../src/kernel/drops.ts'
import { kernelLogSource, type KmsgPosition, readKernelLog } from '../../src/kernel/kmsg-reader.ts'
import { noKernelControl, startCrasher, underPattern } from '../lab/kernel.ts'
import { compileFixture } from '../lab/node.ts'

const skip = noKernelControl() ?? false

interface Lab {
  readonly dir: string
  readonly crasher: string
  /** What the kernel wrote since the lab was made. */
  readonly drops: () => KernelDrop[]
}

function makeLab(t: Test): Lab {
  const dir = mkdtempSync(join(tmpdir(), 'corelift-drops-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const start = endOfLog()
  const drops = (): KernelDrop[] => dropsIn(readKernelLog(start, isDropLine).records)
  return { dir, crasher: compileFixture('crasher', dir), drops }
}

const endOfLog = (): KmsgPosition => readKernelLog(undefined, () => false).position!

/** The kernel writes ten lines of a kind in five seconds, and other tests make it write some. */
async function untilTold(
  crash: () => Promise<unknown>,
  told: () => KernelDrop | undefined,
): Promise<KernelDrop> {
  for (let tries = 0; tries < 200; tries++) {
    await crash()
    const drop = told()
    if (drop) return drop
    await sleep(100)
  }
  throw new Error('the kernel said nothing of 200 crashes')
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1000; tries++) {
    if (condition()) return
    await sleep(10)
  }
  throw new Error('not within ten seconds')
}

/** A handler that keeps its place until it is let go. */
function slowHandler(dir: string): { pattern: string; started: () => boolean; letGo: () => void } {
  const [script, started, go] = ['handler', 'started', 'go'].map(name => join(dir, name)) as [
    string,
    string,
    string,
  ]
  const wait = `n=0\nwhile [ ! -e ${go} ] && [ $n -lt 600 ]; do sleep 0.1; n=$((n + 1)); done`
  writeFileSync(script, `#!/bin/sh\n: >${started}\n${wait}\ncat >/dev/null\n`)
  chmodSync(script, 0o755)
  return { pattern: `|${script}`, started: () => existsSync(started), letGo: () => writeFileSync(go, '') }
}

const hex = (comm: string): string => Buffer.from(comm).toString('hex')

t.test('a crash over kernel.core_pipe_limit is found by its name', { skip }, async t => {
  const lab = makeLab(t)
  const handler = slowHandler(lab.dir)
  // As the kernel writes them: 0x80 to 0x9f and control characters escaped, ")", ":" and the backslash not.
  const names = [
    ['a): |b) over', 'a): |b) over'],
    ['größe ßÀ日', 'größe ßÀ日'],
    ['nl\nesc\x1b', 'nl\\nesc\\e'],
    ['back\\slash', 'back\\slash'],
  ] as const
  await underPattern(
    handler.pattern,
    async () => {
      const holder = startCrasher([lab.crasher, '--comm', hex('holder')])
      try {
        await until(handler.started)
        for (const [comm, told] of names) {
          const drop = await untilTold(
            () => startCrasher([lab.crasher, '--comm', hex(comm)]).ended,
            () => lab.drops().find(each => each.comm === told),
          )
          t.match(drop, { cause: 'pipe-limit', count: 1, pid: Number }, comm)
        }
        // `sh` is the first process of its namespace there, and the crasher the second.
        const inside = ['unshare', '-pf', 'sh', '-c', `${lab.crasher} --comm ${hex('inside')}; true`]
        const drop = await untilTold(
          () => startCrasher(inside).ended,
          () => lab.drops().find(({ comm }) => comm === 'inside'),
        )
        t.equal(drop.pid, 2, 'the pid is the one in the crashed process’s namespace')
      } finally {
        handler.letGo()
        await holder.ended
      }
    },
    1,
  )
  t.notOk(
    lab.drops().some(({ comm }) => comm === 'holder'),
    'the one that got its handler is not among them',
  )
})

t.test('a crash whose handler cannot be started is found by its name', { skip }, async t => {
  const lab = makeLab(t)
  const before = Date.now()
  const drop = await underPattern(`|${join(lab.dir, 'not-there')} %P`, () =>
    untilTold(
      () => startCrasher([lab.crasher, '--comm', hex('unhandled')]).ended,
      () => lab.drops().find(({ comm }) => comm === 'unhandled'),
    ),
  )
  t.match(drop, { cause: 'pipe-failed', count: 1, pid: Number })
  // Without a position, by which the time would be bounded.
  const { records } = readKernelLog(undefined, isDropLine)
  const { time } = dropsIn(records).findLast(({ comm }) => comm === 'unhandled')!
  t.ok(time.getTime() > before - 1000 && time.getTime() <= Date.now(), time.toISOString())
})

t.test('the boot time is the kernel’s', { skip }, async t => {
  const btime = Number(/^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'latin1'))![1])
  const source = kernelLogSource()!
  for (const _ of source.records()) break // closes it
  t.ok(Math.abs(source.bootedAt - btime * 1000) < 2000, `${source.bootedAt} and ${btime}`)
})

t.test('whoever writes to the kernel log cannot make up dropped crashes', { skip }, async t => {
  const start = endOfLog()
  const text = 'coredump: 1(made-up): over core_pipe_limit, skipping core dump'
  // No priority, the kernel's, and a facility beyond LOG_FACMASK, of which nothing is left.
  for (const prefix of ['', '<4>', '<1028>']) writeFileSync('/dev/kmsg', `${prefix}${text}\n`)
  const { records } = readKernelLog(start, record => record.text === text)
  t.equal(records.length, 3)
  t.strictSame(dropsIn(records), [])
})
