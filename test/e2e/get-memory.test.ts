// People fetch cores that are larger than the memory of their laptops.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeNode, noBinary } from '../lab/node.ts'
import { incompressibleCore, specifiersNow } from '../lab/spool-lab.ts'

const CORE_MIB = 512
/** The ranges on their way, a few frames, and what the runtime has not collected yet: the same at every size. */
const RSS_MIB_MAX = 320

t.test('memory does not grow with the core that is fetched', { skip: noBinary() ?? false }, async t => {
  const node = makeNode()
  t.teardown(() => node.remove())
  await node.handle(specifiersNow(), incompressibleCore(CORE_MIB << 20))
  const [{ id } = { id: '' }] = await node.waitForManifests(1)
  const args = ['get', id, '--full', '-o', join(node.dir, 'core'), '--config', node.configFile]
  const child = spawn(node.binary, args, { stdio: 'ignore' })
  let peakMib = 0
  const watch = setInterval(() => (peakMib = Math.max(peakMib, highWaterMib(child.pid!))), 10)
  const code = await new Promise(resolve => child.once('exit', resolve))
  clearInterval(watch)
  t.equal(code, 0)
  t.ok(peakMib > 0 && peakMib < RSS_MIB_MAX, `${peakMib.toFixed(0)} MiB`)
})

/** 0 for a process that is gone. */
function highWaterMib(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
  } catch {
    return 0
  }
}
