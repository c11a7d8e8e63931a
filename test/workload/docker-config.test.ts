import * as fc from 'fast-check'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { dockerConfig } from '../../src/workload/docker-config.ts'
import { askSource, ID, KUBELET_LABELS, NAMES, SANDBOX_ID, UID } from './asking.ts'

const IMAGE_ID = `sha256:${'c'.repeat(64)}`
const LOG = `/var/lib/docker/containers/${ID}/${ID}-json.log`

/** As docker 20.10 writes it, without what is not read. */
const PLAIN = {
  ID,
  Name: '/compose_web_1',
  Image: IMAGE_ID,
  Config: { Image: 'web:1', Labels: { 'com.docker.compose.project': 'compose' } },
  State: { Running: true, Pid: 4711 },
  LogPath: LOG,
  RestartCount: 3,
}
/** As cri-dockerd has docker keep a pod's container, and the pod's own. */
const IN_POD = {
  ...PLAIN,
  Name: `/k8s_app_web-0_shop_${UID}_2`,
  Config: {
    Image: 'web:1',
    Labels: {
      ...KUBELET_LABELS,
      'io.kubernetes.docker.type': 'container',
      'io.kubernetes.sandbox.id': SANDBOX_ID,
      'annotation.io.kubernetes.container.restartCount': '2',
    },
  },
}
const SANDBOX = {
  ID: SANDBOX_ID,
  Name: `/k8s_POD_web-0_shop_${UID}_0`,
  Config: {
    Labels: {
      ...KUBELET_LABELS,
      'io.kubernetes.container.name': 'POD',
      'io.kubernetes.docker.type': 'podsandbox',
      'annotation.corelift.io/capture': 'mini',
      app: 'web',
    },
  },
}
const DETAILS = { image: 'web:1', imageDigest: IMAGE_ID, logPath: LOG, firstPid: 4711, runtime: 'docker' }
const POD_FACTS = { ...DETAILS, names: NAMES, restartCount: 2, sandboxId: SANDBOX_ID }

const ask = (dockerRoot: string, containerId = ID) => askSource(dockerConfig, { dockerRoot }, { containerId })

function write(dockerRoot: string, containerId: string, container: object): void {
  const directory = path.join(dockerRoot, 'containers', containerId)
  mkdirSync(directory, { recursive: true })
  writeFileSync(path.join(directory, 'config.v2.json'), JSON.stringify(container))
}

t.test('a container outside of pods has its own name and labels', async t => {
  const root = t.testdir()
  write(root, ID, PLAIN)
  t.same(await ask(root), {
    facts: {
      ...DETAILS,
      names: { kind: 'container', container: 'compose_web_1' },
      restartCount: 3,
      labels: { 'com.docker.compose.project': 'compose' },
    },
  })
  write(root, ID, { ...PLAIN, Config: { Image: 'web:1', Labels: null } })
  t.match(await ask(root), { facts: { labels: {} } }, 'none is an answer')
})

t.test("a container in a pod has its names, and the labels and annotations of the pod's own", async t => {
  const root = t.testdir()
  write(root, ID, IN_POD)
  write(root, SANDBOX_ID, SANDBOX)
  const ofPod = { labels: { app: 'web' }, annotations: { 'corelift.io/capture': 'mini' } }
  t.same(await ask(root), { facts: { ...POD_FACTS, ...ofPod } })
  t.same(await ask(root, SANDBOX_ID), {
    facts: { runtime: 'docker', names: { ...NAMES, container: 'POD' }, ...ofPod },
  })
})

t.test("a pod's labels are unknown where its own container is not to be had", async t => {
  const root = t.testdir()
  write(root, ID, IN_POD)
  t.same(await ask(root), { facts: POD_FACTS })
  write(root, SANDBOX_ID, {
    ...SANDBOX,
    Config: { Labels: { ...SANDBOX.Config.Labels, 'io.kubernetes.pod.uid': 'f'.repeat(32) } },
  })
  t.same(await ask(root), { facts: POD_FACTS }, 'of another pod')
  const labels = { ...IN_POD.Config.Labels, 'io.kubernetes.sandbox.id': '../elsewhere' }
  write(root, '../elsewhere', { ...SANDBOX, ID: '../elsewhere' })
  write(root, ID, { ...IN_POD, Config: { Image: 'web:1', Labels: labels } })
  const { sandboxId: _, ...facts } = POD_FACTS
  t.same(await ask(root), { facts, detail: 'labels not of their form: sandboxId' }, 'of no id')
})

t.test("an image with a pod's labels does not put its container into the pod", async t => {
  const root = t.testdir()
  for (const Name of ['/web', '/k8s_app_web-0_other', '/k8s', '/k8s_app_web-0x_shop_1']) {
    write(root, ID, { ...IN_POD, Name })
    t.match(await ask(root), { facts: { names: { kind: 'container', container: Name.slice(1) } } })
  }
})

t.test('a file that does not describe the container names nothing', async t => {
  const root = t.testdir()
  t.same(await ask(root), { detail: 'no such container in the data root' })
  const other = { detail: 'config.v2.json does not describe the container' }
  write(root, ID, { ...PLAIN, ID: SANDBOX_ID })
  t.same(await ask(root), other)
  write(root, ID, { ...PLAIN, ID: undefined })
  t.same(await ask(root), other)
  write(root, ID, [])
  t.same(await ask(root), other)
  write(root, ID, { ...PLAIN, Name: '/../x' })
  t.same(await ask(root), { detail: 'fields not of their form: plainContainer' })
  write(root, ID, { ID, Config: { Labels: [] } })
  t.same(await ask(root), { detail: 'fields do not name the container' })
})

t.test('no link in the data root is followed', async t => {
  const root = t.testdir({ containers: {} })
  write(root, 'elsewhere', PLAIN)
  symlinkSync(path.join(root, 'containers/elsewhere'), path.join(root, 'containers', ID))
  t.match(await ask(root), { facts: undefined, detail: /is no directory$/ })
})

t.test('nothing that is no id becomes a path', async t => {
  const root = t.testdir()
  for (const id of ['', '..', '../x', ID.toUpperCase(), `${ID}\n`]) {
    t.same(await ask(root, id), { detail: 'no id that the engine gives' })
  }
})

t.test('a description of any content has an answer', async t => {
  const root = t.testdir()
  const fields = ['Name', 'Image', 'Config', 'State', 'LogPath', 'RestartCount']
  const labels = fc.dictionary(
    fc.constantFrom(...Object.keys(IN_POD.Config.Labels), '__proto__'),
    fc.jsonValue(),
  )
  const container = fc.oneof(
    fc.dictionary(fc.constantFrom(...fields), fc.jsonValue()),
    labels.map(Labels => ({ ...PLAIN, Config: { Labels } })),
  )
  await fc.assert(
    fc.asyncProperty(container, async container => {
      write(root, ID, { ...container, ID })
      const { facts, detail } = await ask(root)
      return facts === undefined ? detail !== undefined : facts.names.kind === 'container'
    }),
  )
})
