// Crashes in real containers of Docker, through the real kernel: of a pod, of compose, of nobody else's.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startDocker, whyNoDocker, type DockerRequest } from '../lab/docker.ts'
import { crasherImage, IMAGE } from '../lab/crasher-image.ts'
import { childOf, noKernelControl, underPattern } from '../lab/kernel.ts'
import { makeNode, noBinary } from '../lab/node.ts'

const UID = '0b7d6a52-1c4e-4b7a-9a37-52d0b6f0a1c9'
const skip = noKernelControl() ?? noBinary() ?? whyNoDocker() ?? false
const CRASH = ['/bin/crasher', '--lines', '3']
const KUBELET_LABELS = {
  'io.kubernetes.pod.namespace': 'shop',
  'io.kubernetes.pod.name': 'web-0',
  'io.kubernetes.pod.uid': UID,
}
const IN_POD = { image: IMAGE, cgroupParent: `/kubepods/burstable/pod${UID}` }
/** As cri-dockerd makes them: the pod's own container, and one in it. */
const SANDBOX: DockerRequest = {
  ...IN_POD,
  name: `k8s_POD_web-0_shop_${UID}_0`,
  command: ['/bin/wait'],
  labels: {
    ...KUBELET_LABELS,
    'io.kubernetes.container.name': 'POD',
    'io.kubernetes.docker.type': 'podsandbox',
    app: 'web',
    'annotation.corelift.io/capture': 'full',
  },
}
const containerOf = (sandboxId: string, command: readonly string[]): DockerRequest => ({
  ...IN_POD,
  name: `k8s_app_web-0_shop_${UID}_2`,
  command,
  labels: {
    ...KUBELET_LABELS,
    'io.kubernetes.container.name': 'app',
    'io.kubernetes.docker.type': 'container',
    'io.kubernetes.sandbox.id': sandboxId,
    'annotation.io.kubernetes.container.restartCount': '2',
  },
})
const POD_NAMES = {
  kind: 'pod',
  namespace: 'shop',
  pod: 'web-0',
  podUid: UID,
  container: 'app',
  runtime: 'docker',
}

t.test('a crash in a container of docker', { skip }, async t => {
  const docker = await startDocker(t)
  await docker.importImage(await crasherImage())
  const { containerId: sandboxId } = await docker.runContainer(SANDBOX)
  const configOf = (root: string, timeoutMs: number) =>
    `[workload]\ndocker_root = "${root}"\ndocker_socket = "${docker.socketPath}"\ntimeout_ms = ${timeoutMs}`

  t.test('is found by its pod, by its name, or by its name in compose, from files alone', async t => {
    const node = makeNode(configOf(docker.dataRoot, 10_000))
    t.teardown(() => node.remove())
    const crash = async (request: DockerRequest) => {
      const container = await docker.runContainer(request)
      await container.waitExit()
      await container.remove()
    }
    await underPattern(node.pattern, async () => {
      await crash(containerOf(sandboxId, CRASH))
      const labels = { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': 'db', secret: 's' }
      await crash({ name: 'shop-db-1', image: IMAGE, command: CRASH, labels })
      await crash({ name: 'plain_1', image: IMAGE, command: CRASH })
    })
    const manifests = await node.waitForManifests(3)

    t.match(JSON.parse((await node.cli('ls', 'web-0', '--json')).stdout), [
      { namespace: 'shop', pod: 'web-0', container: 'app', outcome: 'full' },
    ])
    const named = (name: string) =>
      manifests.find(({ workload }) => 'container' in workload && workload.container === name)
    t.match(named('app')!.workload, {
      ...POD_NAMES,
      restartCount: 2,
      image: IMAGE,
      imageDigest: /^sha256:/,
      labels: { app: 'web' },
      annotations: { 'corelift.io/capture': 'full' },
    })
    const compose = named('shop-db-1')!.workload
    if (compose.kind !== 'container') return t.fail('not a container')
    t.same(compose.labels, { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': 'db' })
    for (const { workload } of manifests)
      t.same(
        workload.sources.filter(({ answered }) => answered).map(({ source }) => source),
        ['cgroup', 'docker-config'],
      )
    const plain = named('plain_1')!
    const log = readFileSync(join(node.unpackKit(plain), 'log'), 'utf8')
      .trimEnd()
      .split('\n')
    t.match(JSON.parse(log.at(-1)!), { log: 'line 3\n', stream: 'stdout' })
    t.match(JSON.parse((await node.cli('ls', 'plain_1', '--json')).stdout), [
      { namespace: '_container', pod: 'plain_1', outcome: 'full' },
    ])
  })

  t.test('has its names from the socket where the files are elsewhere', async t => {
    const node = makeNode(configOf('/nonexistent', 10_000))
    t.teardown(() => node.remove())
    await underPattern(node.pattern, async () => {
      const container = await docker.runContainer({ name: 'plain_2', image: IMAGE, command: CRASH })
      await container.waitExit()
    })
    const [manifest] = await node.waitForManifests(1)
    t.match(manifest!.workload, { kind: 'container', container: 'plain_2' })
    t.match(manifest!.workload.sources.at(-1), { source: 'docker-api', answered: true })
  })

  t.test(
    'has the right names while dockerd hangs, and is held for the deadline at most without files',
    async t => {
      const known = makeNode(configOf(docker.dataRoot, 300))
      const unknown = makeNode(configOf('/nonexistent', 300))
      t.teardown(() => (known.remove(), unknown.remove()))
      for (const node of [known, unknown]) {
        const command = ['/bin/crasher', '--fork', '--sleep-ms', '3600000']
        const container = await docker.runContainer(containerOf(sandboxId, command))
        await underPattern(node.pattern, async () => {
          await docker.freeze()
          process.kill(await childOf(container.pid), 'SIGSEGV')
          await node.waitForManifests(1)
          docker.thaw()
        })
        await container.remove()
      }
      t.match(known.manifests(), [{ outcome: 'full', workload: POD_NAMES }])
      t.match(unknown.manifests(), [{ outcome: 'full', workload: { kind: 'unknown', podUid: UID } }])
      t.match(unknown.manifests()[0]!.workload.sources.at(-2), {
        source: 'docker-api',
        detail: 'no answer within 300 ms',
      })
    },
  )
})
