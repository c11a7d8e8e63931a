// A storm: one pod crashes twenty times a second for half a minute, beside another that crashes once. And what all handlers
// of a node may take together.
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Manifest } from '../../src/store/manifest.ts'
import { startContainerd, whyNoContainerd } from '../lab/containerd.ts'
import { crasherImage, IMAGE } from '../lab/crasher-image.ts'
import { noKernelControl, startCrasher, underPattern } from '../lab/kernel.ts'
import { compileFixture, makeNode, noBinary, type TestNode } from '../lab/node.ts'

const skip = noKernelControl() ?? noBinary() ?? whyNoContainerd() ?? false
const CRASHES = 600
/** In the middle of it. */
const QUIET_AFTER_MS = 15_000
/** What the README recommends. */
const PIPE_LIMIT = 256
const BUDGET = '[budget]\nsignature_full = "3/hour"\nsignature_mini = "20/hour"\n'

t.test('a storm of one pod costs another none of its core, and all of it is counted', { skip }, async t => {
  const containerd = await startContainerd(t)
  await containerd.importImage(await crasherImage())
  const { stateDir, socketPath } = containerd
  const node = makeNode(
    `${BUDGET}[workload]\ncontainerd_state_dir = "${stateDir}"\ncontainerd_socket = "${socketPath}"\n`,
  )
  t.teardown(() => node.remove())
  const start = (namespace: string, command: string[]) =>
    containerd.runPod({ namespace, pod: 'web-0', container: 'app', image: IMAGE, command })

  await underPattern(
    node.pattern,
    async () => {
      const storm = await start('storm', ['/bin/crasher', '--storm', String(CRASHES)])
      await sleep(QUIET_AFTER_MS)
      const quiet = await start('quiet', ['/bin/crasher', '--fork'])
      await Promise.all([storm.waitExit(), quiet.waitExit()])
    },
    PIPE_LIMIT,
  )
  const manifests = await node.waitForManifests(CRASHES + 1)
  const of = (namespace: string) =>
    manifests.filter(({ workload }) => workload.kind === 'pod' && workload.namespace === namespace)

  const [quiet] = of('quiet')
  t.match(quiet, { outcome: 'full', core: { complete: true } })
  const storm = of('storm')
  t.equal(storm.length, CRASHES, 'every crash is on record, under its pod')
  const count = (outcome: string) => storm.filter(manifest => manifest.outcome === outcome).length
  t.ok(count('full') >= 3 && count('full') <= 4, `${count('full')} full cores: three, and what was refilled`)
  t.ok(count('mini') >= 20 && count('mini') <= 24, `${count('mini')} mini cores`)
  t.equal(count('full') + count('mini') + count('record'), CRASHES)
  t.ok(storm.every(({ outcome, reason }) => outcome === 'full' || reason === 'signature'))

  const { slots } = JSON.parse((await node.cli('budget', '--json')).stdout) as { slots: { held: unknown[] } }
  t.equal(slots.held.length, 0, 'no slot is left taken')
})

/** A cgroup with limits that handlers join: cgroups(7), each controller in its own hierarchy or all in one. */
interface LimitedCgroup {
  readonly directory: string
  read(file: string): string
  remove(): void
}

const ROOT = '/sys/fs/cgroup'

/** @returns undefined where the controller is in neither kind of hierarchy. */
function limitedCgroup(
  controller: 'cpu' | 'memory',
  limits: { readonly v1: Record<string, string>; readonly v2: Record<string, string> },
): LimitedCgroup | undefined {
  const isV1 = existsSync(join(ROOT, controller, 'cgroup.procs'))
  const subtree = join(ROOT, 'cgroup.subtree_control')
  if (!isV1 && !(existsSync(subtree) && readFileSync(subtree, 'utf8').includes(controller))) return undefined
  const directory = join(isV1 ? join(ROOT, controller) : ROOT, `corelift-test-${process.pid}`)
  mkdirSync(directory)
  for (const [file, value] of Object.entries(isV1 ? limits.v1 : limits.v2))
    writeFileSync(join(directory, file), value)
  return {
    directory,
    read: file => readFileSync(join(directory, file), 'utf8'),
    remove: () => rmdirSync(directory),
  }
}

async function stormIn(cgroup: LimitedCgroup, node: TestNode, crashes: number): Promise<Manifest[]> {
  const crasher = compileFixture('crasher', node.dir)
  const command = [crasher, '--storm', String(crashes)]
  await underPattern(node.pattern, () => startCrasher(command).ended, PIPE_LIMIT)
  const manifests = await node.waitForManifests(crashes)
  for (let tries = 0; cgroup.read('cgroup.procs') !== '' && tries < 500; tries++) await sleep(10)
  return manifests
}

t.test(
  'handlers get no more of the processors than their cgroup has, and lose no crash',
  { skip },
  async t => {
    const cgroup = limitedCgroup('cpu', {
      v1: { 'cpu.cfs_period_us': '100000', 'cpu.cfs_quota_us': '40000' },
      v2: { 'cpu.max': '40000 100000' },
    })
    if (cgroup === undefined) return t.pass('', { skip: 'no cpu controller' })
    t.teardown(() => cgroup.remove())
    const node = makeNode(`${BUDGET}[handler]\ncgroup = "${cgroup.directory}"`)
    t.teardown(() => node.remove())
    const manifests = await stormIn(cgroup, node, 60)
    t.equal(manifests.length, 60)
    t.ok(manifests.every(({ warnings }) => !warnings.some(warning => warning.includes('cgroup'))))
    const throttled = Number(/^nr_throttled (\d+)$/m.exec(cgroup.read('cpu.stat'))?.[1])
    t.ok(throttled > 0, `the kernel held them back in ${throttled} periods`)
  },
)

t.test('handlers get no more memory than their cgroup has, and lose no crash', { skip }, async t => {
  const LIMIT = 400 * 1024 * 1024
  const cgroup = limitedCgroup('memory', {
    v1: { 'memory.limit_in_bytes': String(LIMIT) },
    v2: { 'memory.max': String(LIMIT) },
  })
  if (cgroup === undefined) return t.pass('', { skip: 'no memory controller' })
  t.teardown(() => cgroup.remove())
  const node = makeNode(`${BUDGET}[handler]\ncgroup = "${cgroup.directory}"`)
  t.teardown(() => node.remove())
  const manifests = await stormIn(cgroup, node, 60)
  t.equal(manifests.length, 60)
  const peak = ['memory.max_usage_in_bytes', 'memory.peak'].find(file =>
    existsSync(join(cgroup.directory, file)),
  )!
  const bytes = Number(cgroup.read(peak))
  t.ok(bytes > 0 && bytes <= LIMIT, `${bytes} bytes at most`)
})
