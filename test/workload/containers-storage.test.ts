import * as fc from 'fast-check'
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { containersStorage } from '../../src/workload/containers-storage.ts'
import type { ContainerRef } from '../../src/workload/source.ts'
import { askSource, ID, KUBELET_LABELS, NAMES, SANDBOX_ID, UID } from './asking.ts'

const IMAGE_ID = 'c'.repeat(64)
const LOG = `/var/log/pods/shop_web-0_${UID}/app/2.log`

/** As CRI-O 1.28 writes them for a container of a pod, and for the pod's own. */
const CRIO_ANNOTATIONS = {
  ...KUBELET_LABELS,
  'io.container.manager': 'cri-o',
  'io.kubernetes.cri-o.ContainerType': 'container',
  'io.kubernetes.cri-o.SandboxID': SANDBOX_ID,
  'io.kubernetes.cri-o.Image': IMAGE_ID,
  'io.kubernetes.cri-o.ImageName': 'registry.example.com/shop/web:1',
  'io.kubernetes.cri-o.ImageRef': IMAGE_ID,
  'io.kubernetes.cri-o.LogPath': LOG,
  'io.kubernetes.cri-o.Metadata': '{"name":"app","attempt":2}',
  'io.kubernetes.cri-o.Labels': JSON.stringify(KUBELET_LABELS),
  'io.kubernetes.cri-o.Annotations': '{"io.kubernetes.container.hash":"x"}',
}
const SANDBOX_ANNOTATIONS = {
  ...KUBELET_LABELS,
  'io.kubernetes.container.name': 'POD',
  'io.kubernetes.cri-o.ContainerType': 'sandbox',
  'io.kubernetes.cri-o.SandboxID': SANDBOX_ID,
  'io.kubernetes.cri-o.LogPath': '/etc/shadow',
  'io.kubernetes.cri-o.Labels': JSON.stringify({ ...KUBELET_LABELS, app: 'web' }),
  'io.kubernetes.cri-o.Annotations': '{"corelift.io/capture":"mini"}',
}
const CRIO_FACTS = {
  runtime: 'crio',
  names: NAMES,
  image: 'registry.example.com/shop/web:1',
  imageDigest: `sha256:${IMAGE_ID}`,
  restartCount: 2,
  logPath: LOG,
  sandboxId: SANDBOX_ID,
}
const OF_POD = { labels: { app: 'web' }, annotations: { 'corelift.io/capture': 'mini' } }
/** As podman 4.3 writes them. */
const PODMAN_ANNOTATIONS = {
  'io.container.manager': 'libpod',
  'io.kubernetes.cri-o.Created': '2026-11-23T23:49:59.338413952Z',
  'io.podman.annotations.init': 'FALSE',
  'example.com/x': 'y',
}
const PODMAN_ENTRY = {
  id: ID,
  names: ['web_1'],
  image: IMAGE_ID,
  metadata: JSON.stringify({ 'image-name': 'docker.io/library/web:1', name: 'web_1' }),
}

const ask = (storageDirs: readonly string[], container?: ContainerRef) =>
  askSource(containersStorage, { containersStorageDirs: storageDirs }, container)

function homeOf(storage: string, id = ID, driver = 'overlay'): string {
  const home = path.join(storage, `${driver}-containers`, id, 'userdata')
  mkdirSync(home, { recursive: true })
  return home
}
const oci = (cgroupsPath: string | undefined, annotations: object) =>
  JSON.stringify({ ociVersion: '1.0.2', annotations, linux: { cgroupsPath } })
function writeConfig(home: string, cgroupsPath: string | undefined, annotations: object): void {
  writeFileSync(path.join(home, 'config.json'), oci(cgroupsPath, annotations))
}
const crioCgroup = (id = ID) => `kubepods-burstable-pod${UID.replaceAll('-', '_')}.slice:crio:${id}`
const PODMAN_CGROUP = `machine.slice:libpod:${ID}`

t.test("CRI-O's container has its names, and the labels and annotations of its pod", async t => {
  const storage = t.testdir()
  const home = homeOf(storage)
  writeConfig(home, crioCgroup(), CRIO_ANNOTATIONS)
  t.same(await ask([storage]), { facts: CRIO_FACTS }, 'without its sandbox, those are unknown')
  writeConfig(homeOf(storage, SANDBOX_ID), crioCgroup(SANDBOX_ID), SANDBOX_ANNOTATIONS)
  writeFileSync(path.join(home, 'pidfile'), '4711')
  t.same(await ask([storage]), { facts: { ...CRIO_FACTS, ...OF_POD, firstPid: 4711 } })
  writeConfig(home, `/kubepods/burstable/pod${UID}/crio-${ID}`, CRIO_ANNOTATIONS)
  t.match(await ask([storage]), { facts: { runtime: 'crio' } }, 'with cgroupfs as well')
})

t.test("CRI-O's first start is no restart, and an image may have no name", async t => {
  const storage = t.testdir()
  writeConfig(homeOf(storage), crioCgroup(), {
    ...CRIO_ANNOTATIONS,
    'io.kubernetes.cri-o.Metadata': '{"name":"app"}',
    'io.kubernetes.cri-o.ImageName': '',
  })
  t.match(await ask([storage]), { facts: { restartCount: 0, image: IMAGE_ID } })
})

t.test("a pod's own container is called POD, and no log of it is read", async t => {
  const storage = t.testdir()
  writeConfig(homeOf(storage, SANDBOX_ID), crioCgroup(SANDBOX_ID), SANDBOX_ANNOTATIONS)
  t.same(await ask([storage], { containerId: SANDBOX_ID }), {
    facts: { runtime: 'crio', names: { ...NAMES, container: 'POD' }, ...OF_POD },
  })
})

t.test("what an annotation says of its sandbox is believed of the same pod's alone", async t => {
  const storage = t.testdir()
  writeConfig(homeOf(storage), crioCgroup(), CRIO_ANNOTATIONS)
  const other = { ...SANDBOX_ANNOTATIONS, 'io.kubernetes.pod.uid': 'f'.repeat(32) }
  writeConfig(homeOf(storage, SANDBOX_ID), crioCgroup(SANDBOX_ID), other)
  t.same(await ask([storage]), { facts: CRIO_FACTS })
  for (const id of ['../x', '', 7, `${SANDBOX_ID}/..`]) {
    writeConfig(homeOf(storage), crioCgroup(), { ...CRIO_ANNOTATIONS, 'io.kubernetes.cri-o.SandboxID': id })
    t.match(await ask([storage]), { facts: { names: NAMES, sandboxId: undefined, labels: undefined } })
  }
})

t.test("podman's container has the name and image of its index, in either storage directory", async t => {
  const [graph, run] = [path.join(t.testdir(), 'graph'), path.join(t.testdirName, 'run')]
  const home = homeOf(graph)
  writeConfig(home, PODMAN_CGROUP, PODMAN_ANNOTATIONS)
  writeFileSync(path.join(homeOf(run), 'pidfile'), '4711\n')
  const annotations = { 'example.com/x': 'y' }
  const bare = { runtime: 'podman', names: { kind: 'container', container: ID }, annotations, firstPid: 4711 }
  t.same(await ask([run, graph]), { facts: bare }, 'without an index, its id')

  const index = path.join(graph, 'overlay-containers/containers.json')
  writeFileSync(index, JSON.stringify([null, { id: SANDBOX_ID, names: ['db_1'] }, PODMAN_ENTRY]))
  writeFileSync(path.join(home, 'ctr.log'), '')
  const facts = {
    ...bare,
    names: { kind: 'container', container: 'web_1' },
    image: 'docker.io/library/web:1',
    imageDigest: `sha256:${IMAGE_ID}`,
    logPath: path.join(home, 'ctr.log'),
  }
  t.same(await ask([run, graph]), { facts })
  writeFileSync(index, '[]')
  writeFileSync(
    path.join(graph, 'overlay-containers/volatile-containers.json'),
    JSON.stringify([PODMAN_ENTRY]),
  )
  t.same(await ask([run, graph]), { facts }, 'as with --rm')
})

t.test("podman's log is a regular file", async t => {
  const storage = t.testdir({ elsewhere: 'x' })
  const home = homeOf(storage)
  writeConfig(home, PODMAN_CGROUP, PODMAN_ANNOTATIONS)
  symlinkSync(path.join(storage, 'elsewhere'), path.join(home, 'ctr.log'))
  t.match(await ask([storage]), { facts: { logPath: undefined } })
})

t.test('whose a container is does not depend on annotations, which people may write', async t => {
  const storage = t.testdir()
  const home = homeOf(storage)
  const forms = [
    `/libpod_parent/libpod-${ID}`,
    PODMAN_CGROUP,
    `/system.slice/web.service/libpod-payload-${ID}`,
  ]
  for (const cgroup of forms) {
    writeConfig(home, cgroup, CRIO_ANNOTATIONS)
    t.match(await ask([storage]), {
      facts: { runtime: 'podman', names: { kind: 'container', container: ID } },
    })
  }
  writeConfig(home, crioCgroup(), { ...CRIO_ANNOTATIONS, 'io.container.manager': 'libpod' })
  t.match(await ask([storage]), { facts: { runtime: 'crio', names: NAMES } })
  const detail = "the configuration's cgroup is neither CRI-O's nor podman's"
  for (const cgroup of [
    undefined,
    '',
    `/x/${ID}`,
    `/x/crio-${SANDBOX_ID}`,
    `/x/crio-conmon-${ID}`,
    `/x/acrio-${ID}`,
  ]) {
    writeConfig(home, cgroup, CRIO_ANNOTATIONS)
    t.same(await ask([storage]), { detail })
  }
})

t.test('other storage drivers are looked for where overlay has no such container', async t => {
  const storage = t.testdir({ 'overlay-containers': {}, 'overlay-images': {}, 'x-containers': 'x' })
  writeConfig(homeOf(storage, ID, 'vfs'), crioCgroup(), CRIO_ANNOTATIONS)
  t.same(await ask([storage]), { facts: CRIO_FACTS })
})

t.test('without storage or container there is no answer', async t => {
  const storage = t.testdir({ 'overlay-containers': {} })
  const detail = 'no such container in the storage directories'
  t.same(await ask([storage]), { detail })
  t.same(await ask([]), { detail })
  t.same(await ask([path.join(storage, 'absent')]), { detail })
  for (const containerId of ['..', '', ID.toUpperCase(), `${ID}/..`])
    t.same(await ask([storage], { containerId }), { detail: 'no id that containers/storage gives' })
})

t.test('a directory whose configuration is none does not hide that of the next', async t => {
  const [run, graph] = [path.join(t.testdir(), 'run'), path.join(t.testdirName, 'graph')]
  const file = path.join(homeOf(run), 'config.json')
  writeFileSync(file, '[]')
  t.same(await ask([run, graph]), { detail: 'config.json is no OCI configuration' })
  writeConfig(homeOf(graph), crioCgroup(), CRIO_ANNOTATIONS)
  t.same(await ask([run, graph]), { facts: CRIO_FACTS })
})

t.test('neither links nor FIFOs are followed', async t => {
  const storage = t.testdir({ elsewhere: {} })
  writeFileSync(path.join(storage, 'elsewhere/config.json'), oci(crioCgroup(), CRIO_ANNOTATIONS))
  const container = path.join(storage, 'overlay-containers', ID)
  mkdirSync(container, { recursive: true })
  symlinkSync(path.join(storage, 'elsewhere'), path.join(container, 'userdata'))
  t.same(await ask([storage]), { detail: 'no such container in the storage directories' })
  const fifo = t.testdir()
  execFileSync('mkfifo', [path.join(homeOf(fifo), 'config.json')])
  t.same(await ask([fifo]), { detail: 'config.json is no regular file' })
})

t.test('files of any content have an answer', async t => {
  const storage = t.testdir()
  const [home, sandboxHome] = [homeOf(storage), homeOf(storage, SANDBOX_ID)]
  const index = path.join(storage, 'overlay-containers/containers.json')
  const annotations = fc.dictionary(
    fc.constantFrom(...Object.keys(CRIO_ANNOTATIONS), 'x'),
    fc.oneof(fc.jsonValue(), fc.json(), fc.constant(SANDBOX_ID)),
  )
  const entry = fc.record({
    id: fc.constant(ID),
    names: fc.jsonValue(),
    image: fc.jsonValue(),
    metadata: fc.json(),
  })
  const isForm = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(crioCgroup(), PODMAN_CGROUP),
      annotations,
      annotations,
      fc.oneof(
        fc.json(),
        entry.map(entry => JSON.stringify([entry])),
      ),
      async (cgroup, own, ofSandbox, indexText) => {
        writeConfig(home, cgroup, own)
        writeConfig(sandboxHome, crioCgroup(SANDBOX_ID), ofSandbox)
        writeFileSync(index, indexText)
        const { facts, detail } = await ask([storage])
        return facts === undefined ? detail !== undefined : isForm.test(facts.names.container)
      },
    ),
  )
})
