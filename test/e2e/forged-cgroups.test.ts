// Crashes in cgroups that were made to look like somebody else's, through the real kernel: never under another's name.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Manifest } from '../../src/store/manifest.ts'
import { CGROUP2, withCgroup } from '../lab/cgroups.ts'
import { startContainerd, whyNoContainerd } from '../lab/containerd.ts'
import { crasherImage, IMAGE } from '../lab/crasher-image.ts'
import { noKernelControl, startCrasher, underPattern } from '../lab/kernel.ts'
import { compileFixture, makeNode, noBinary, type TestNode } from '../lab/node.ts'

const skip = noKernelControl() ?? noBinary() ?? whyNoContainerd() ?? false

/** No machine is so busy that a runtime that works needs it. */
const ANSWER_MS_MAX = 30_000

t.test('a cgroup made by hand', { skip: skip || (CGROUP2 === undefined && 'needs cgroup v2') }, async t => {
  const containerd = await startContainerd(t)
  await containerd.importImage(await crasherImage())
  const start = (namespace: string) =>
    containerd.runPod({ namespace, pod: 'web-0', container: 'app', image: IMAGE, command: ['/bin/wait'] })
  const [victim, own] = [await start('victim'), await start('own')]
  const nodeWith = (stateDir: string): TestNode => {
    const node = makeNode(
      `[workload]\ncontainerd_state_dir = "${stateDir}"\ncontainerd_socket = "${containerd.socketPath}"\ntimeout_ms = ${ANSWER_MS_MAX}`,
    )
    t.teardown(() => node.remove())
    return node
  }
  const node = nodeWith(containerd.stateDir)
  const crasher = compileFixture('crasher', node.dir)

  /** Crashes a process that starts in a cgroup. */
  const crashIn = async (cgroup: string, at = node): Promise<Manifest> => {
    const before = new Set(at.manifests().map(({ id }) => id))
    await withCgroup(cgroup, directory => {
      const enter = ['sh', '-c', 'echo $$ > "$0/cgroup.procs" && exec "$@"', directory, crasher]
      return underPattern(at.pattern, () => startCrasher(enter).ended)
    })
    const manifests = await at.waitForManifests(before.size + 1)
    return manifests.find(({ id }) => !before.has(id))!
  }
  const ofVictim = `kubepods/burstable/pod${victim.uid}/${victim.containerId}`
  const shown = (manifest: Manifest) =>
    manifest.process!.cgroup.split('\n').find(line => line.startsWith('0::'))

  t.test('below a service’s is not the pod whose cgroup it is named after', async t => {
    const { workload } = await crashIn(`own.service/${ofVictim}`)
    t.match(workload, { kind: 'unknown', containerId: victim.containerId })
    t.match(workload.sources[1], {
      source: 'containerd-bundle',
      answered: true,
      detail: /the container's first process is in another cgroup/,
    })
  })

  t.test('is not that pod’s either where only its runtime’s socket can be asked', async t => {
    const withoutFiles = nodeWith('/nonexistent')
    const { workload } = await crashIn(`own.service/${ofVictim}`, withoutFiles)
    t.match(workload, { kind: 'unknown', containerId: victim.containerId, reason: /is not in the container/ })
    const own = await crashIn(`${ofVictim}/below/it`, withoutFiles)
    t.match(own.workload, { kind: 'pod', namespace: 'victim', containerId: victim.containerId })
  })

  t.test('is believed of the container’s own processes, as a check of the check', async t => {
    const { workload } = await crashIn(`${ofVictim}/below/it`)
    t.match(workload, { kind: 'pod', namespace: 'victim', containerId: victim.containerId })
  })

  t.test('below a pod’s own container is that pod, whatever it is called', async t => {
    const names = [
      ofVictim,
      `docker/${victim.containerId}`,
      'system.slice/ssh.service',
      `crio-${victim.containerId}.scope`,
    ]
    for (const name of names) {
      const cgroup = `kubepods/burstable/pod${own.uid}/${own.containerId}/${name}`
      const { workload } = await crashIn(cgroup)
      t.match(
        workload,
        { kind: 'pod', namespace: 'own', podUid: own.uid, containerId: own.containerId },
        name,
      )
    }
  })

  t.test('with what is no id is nobody’s, and no command', async t => {
    const { containerId: id } = victim
    const pod = `kubepods/burstable/pod${victim.uid}`
    const names = [
      `${pod}/cri-containerd-;rm -rf.scope`,
      `${pod}/$(touch ${node.dir}/executed)`,
      `${pod}/${id.toUpperCase()}`,
      `${pod}/${id.slice(1)}`,
      `${pod}/${id}0`,
      `${pod}/${id.slice(32)}`,
      `kubepods/kubepods/pod${victim.uid.toUpperCase()}/${id}`,
    ]
    for (const name of names) {
      const manifest = await crashIn(name)
      t.equal(shown(manifest), `0::/${name}`, 'the kernel shows it so')
      t.equal(manifest.workload.kind, 'unknown', name)
      t.equal(manifest.outcome, 'full', 'the core is kept all the same')
    }
    t.throws(() => readFileSync(join(node.dir, 'executed')), { code: 'ENOENT' })
    t.match(execFileSync('ls', [node.storeDir]).toString(), /crashes/)
  })
})
