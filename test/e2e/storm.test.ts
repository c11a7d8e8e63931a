// A storm: one pod crashes twenty times a second for half a minute, beside another that crashes once.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startContainerd, whyNoContainerd } from '../lab/containerd.ts'
import { crasherImage, IMAGE } from '../lab/crasher-image.ts'
import { noKernelControl, underPattern } from '../lab/kernel.ts'
import { makeNode, noBinary } from '../lab/node.ts'

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
