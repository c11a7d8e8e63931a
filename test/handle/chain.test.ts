// What a former handler that hangs costs: a deadline that no test of the kernel waits for. The rest is in test/e2e/chain.test.ts.
import { execFileSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Beginning } from '../../src/handle/begin.ts'
import { chain } from '../../src/handle/chain.ts'
import { Hold } from '../../src/handle/hold.ts'

/** A pipe that has a name, for want of pipe2(2). */
function namedPipe(fifo: string): { readEnd: number; writeEnd: number } {
  execFileSync('mkfifo', [fifo])
  const both = openSync(fifo, 'r+') // does not wait for another end
  const ends = { readEnd: openSync(fifo, 'r'), writeEnd: openSync(fifo, 'w') }
  closeSync(both)
  return ends
}

t.test('a program that hangs is killed at the deadline, and what was read before is kept', async t => {
  const dir = t.testdir()
  const postponed: number[] = []
  const hold = new (class extends Hold {
    override postpone(seconds: number): void {
      postponed.push(seconds)
    }
  })(60)
  const os = { pipe: () => namedPipe(join(dir, 'fifo')), dropUnused: () => undefined }
  const script = `printf $$ >${dir}/new; mv ${dir}/new ${dir}/pid; exec sleep 1000`
  const handler = { state: 'found', program: 'former', file: '/bin/sh', args: ['-c', script] } as const
  const beginning = {
    crash: { pid: process.pid, tid: process.pid },
    reading: { state: 'read', pidfd: 'absent', process: { files: {}, links: {} } },
    head: { bytes: Buffer.from('core') },
    input: { read: async () => new Uint8Array(0) },
    hold,
    warnings: ['another'],
    done: () => undefined,
  } as unknown as Beginning

  const chaining = chain(beginning, os, handler)
  while (!existsSync(join(dir, 'pid'))) await sleep(10)
  const pid = readFileSync(join(dir, 'pid'), 'utf8')
  Hold.prototype.postpone.call(hold, 0)
  const { chained, warnings, isSpent } = await chaining
  const text = 'given to former, the handler before corelift: not done in 600 s'
  t.strictSame(chained, { state: 'failed', text })
  t.strictSame(warnings, ['another', text])
  t.not(isSpent, true, 'there is a mini core to be kept')
  t.strictSame(postponed, [600, 60], 'longer than a pod is held, and a store has no more time than ever')
  while (existsSync(`/proc/${pid}`)) await sleep(10)
})
