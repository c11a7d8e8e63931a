// Crashes in podman and under CRI-O's files, through the real kernel.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeCrioStorage, whyNoCrioBundle } from '../lab/crio-bundle.ts'
import { compileCrasher, crasherImage, IMAGE } from '../lab/crasher-image.ts'
import { noKernelControl, underPattern } from '../lab/kernel.ts'
import { makeNode, noBinary } from '../lab/node.ts'
import { startPodman, whyNoPodman } from '../lab/podman.ts'

const unable = noKernelControl() ?? noBinary()
const CRASH = ['/bin/crasher', '--lines', '3']

t.test('crashes in containers of podman', { skip: unable ?? whyNoPodman() ?? false }, async t => {
  const podman = await startPodman(t)
  await podman.importImage(await crasherImage())
  const dirs = JSON.stringify(podman.storageDirs)
  const start = (config = '') => {
    const node = makeNode(`[workload]\ntimeout_ms = 10000\n${config}`)
    t.teardown(() => node.remove())
    return node
  }

  t.test('are found by the container’s name, from files alone', async t => {
    const node = start(`containers_storage_dirs = ${dirs}`)
    const annotations = {
      'io.container.manager': 'cri-o',
      'io.kubernetes.pod.name': 'web-0',
      'io.kubernetes.pod.namespace': 'shop',
      'io.kubernetes.pod.uid': '0b7d6a52-1c4e-4b7a-9a37-52d0b6f0a1c9',
      'io.kubernetes.container.name': 'app',
    }
    await underPattern(node.pattern, async () => {
      const plain = await podman.runContainer({ name: 'web_1', image: IMAGE, command: CRASH })
      await plain.waitExit()
      const forged = await podman.runContainer({ name: 'forged', image: IMAGE, command: CRASH, annotations })
      await forged.waitExit()
    })
    const manifests = await node.waitForManifests(2)
    const named = (name: string) =>
      manifests.find(({ workload }) => workload.kind === 'container' && workload.container === name)
    const plain = named('web_1')!
    t.match(plain.workload, { image: IMAGE, runtime: 'podman' })
    t.match(readFileSync(join(node.unpackKit(plain), 'log'), 'utf8'), /stdout F line 3\n$/)
    t.ok(named('forged'), 'annotations that claim a pod of CRI-O’s make none')
  })

  t.test('have their labels from the socket, where podman’s service runs', async t => {
    const service = await podman.startService()
    const node = start(
      `podman_socket = "${service.socketPath}"\nlabels = ["team"]\ncontainers_storage_dirs = []`,
    )
    await underPattern(node.pattern, async () => {
      const request = { name: 'web_2', image: IMAGE, command: CRASH, labels: { team: 'shop' } }
      const container = await podman.runContainer(request)
      await container.waitExit()
    })
    const [manifest] = await node.waitForManifests(1)
    t.match(manifest!.workload, { kind: 'container', container: 'web_2', labels: { team: 'shop' } })
  })
})

t.test(
  'a crash in a pod of CRI-O is found by the pod’s name',
  { skip: unable ?? whyNoCrioBundle() ?? false },
  async t => {
    const { storageDir, runContainer } = await makeCrioStorage(t)
    const node = makeNode(`[workload]\ncontainers_storage_dirs = ["${storageDir}"]`)
    t.teardown(() => node.remove())
    const program = await compileCrasher()
    const container = await underPattern(node.pattern, async () => {
      const container = await runContainer({
        namespace: 'shop',
        pod: 'web-0',
        container: 'app',
        image: IMAGE,
        program,
        args: CRASH.slice(1),
        attempt: 4,
        labels: { app: 'web' },
        annotations: { 'corelift.io/capture': 'full' },
      })
      await container.waitExit()
      return container
    })
    const [manifest] = await node.waitForManifests(1)
    t.match(manifest!.workload, {
      kind: 'pod',
      namespace: 'shop',
      pod: 'web-0',
      podUid: container.uid,
      container: 'app',
      containerId: container.containerId,
      restartCount: 4,
      labels: { app: 'web' },
      annotations: { 'corelift.io/capture': 'full' },
      runtime: 'crio',
    })
    t.match(JSON.parse((await node.cli('ls', 'web-0', '-n', 'shop', '--json')).stdout), [{ outcome: 'full' }])
  },
)
