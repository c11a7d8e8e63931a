import * as fc from 'fast-check'
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { containerdBundle } from '../../src/workload/containerd.ts'
import type { ContainerRef } from '../../src/workload/source.ts'
import { askSource, ID, NAMES, SANDBOX_ID, UID } from './asking.ts'

const IMAGE = 'registry.example.com/shop/web@sha256:0123'

/** As containerd 1.6's CRI plugin writes them for a container of a pod. */
const ANNOTATIONS = {
  'io.kubernetes.cri.container-name': 'app',
  'io.kubernetes.cri.container-type': 'container',
  'io.kubernetes.cri.image-name': IMAGE,
  'io.kubernetes.cri.sandbox-id': SANDBOX_ID,
  'io.kubernetes.cri.sandbox-name': 'web-0',
  'io.kubernetes.cri.sandbox-namespace': 'shop',
  'io.kubernetes.cri.sandbox-uid': UID,
}
const FACTS = { runtime: 'containerd', names: NAMES, image: IMAGE, sandboxId: SANDBOX_ID }

const ask = (stateDir: string, container?: ContainerRef) =>
  askSource(containerdBundle, { containerdStateDir: stateDir }, container)

/** Makes the bundle's directory. @returns The path that its config.json is to have. */
function bundle(stateDir: string, namespace = 'k8s.io', id = ID): string {
  const directory = path.join(stateDir, 'io.containerd.runtime.v2.task', namespace, id)
  mkdirSync(directory, { recursive: true })
  return path.join(directory, 'config.json')
}
const oci = (annotations: object | undefined, more: object = {}) =>
  JSON.stringify({ ociVersion: '1.0.2', annotations, ...more })

t.test('a bundle names pod, container and image', async t => {
  const stateDir = t.testdir()
  writeFileSync(bundle(stateDir), oci(ANNOTATIONS))
  t.same(await ask(stateDir), { facts: FACTS })
})

t.test("a bundle has the pid of the container's first process", async t => {
  const stateDir = t.testdir()
  const config = bundle(stateDir)
  writeFileSync(config, oci(ANNOTATIONS))
  const pidFile = path.join(path.dirname(config), 'init.pid')
  writeFileSync(pidFile, '4711')
  t.same(await ask(stateDir), { facts: { ...FACTS, firstPid: 4711 } })
  for (const text of ['', 'x', '-1', '1e3', '0x10', '1 2', '99999999999']) {
    writeFileSync(pidFile, text)
    t.same(await ask(stateDir), { facts: FACTS }, `not of ${JSON.stringify(text)}`)
  }
})

t.test("a pod's own container is called POD", async t => {
  const stateDir = t.testdir()
  const { 'io.kubernetes.cri.container-name': _, ...rest } = ANNOTATIONS
  writeFileSync(bundle(stateDir), oci({ ...rest, 'io.kubernetes.cri.container-type': 'sandbox' }))
  t.same(await ask(stateDir), { facts: { ...FACTS, names: { ...NAMES, container: 'POD' } } })
  writeFileSync(bundle(stateDir), oci(rest))
  t.same(await ask(stateDir), { detail: 'annotations do not name the container' }, 'but no other')
})

t.test('other namespaces of containerd are looked at after the CRI', async t => {
  const stateDir = t.testdir()
  writeFileSync(
    bundle(stateDir, 'default'),
    oci({ ...ANNOTATIONS, 'io.kubernetes.cri.sandbox-name': 'other' }),
  )
  t.match(await ask(stateDir), { facts: { names: { pod: 'other' } } })
  writeFileSync(bundle(stateDir), oci(ANNOTATIONS))
  t.match(await ask(stateDir), { facts: { names: { pod: 'web-0' } } })
})

t.test('a container that the CRI did not make has the name that nerdctl gave it, or its id', async t => {
  const stateDir = t.testdir()
  const file = bundle(stateDir, 'default')
  writeFileSync(file, oci({ 'nerdctl/name': 'web_1', 'nerdctl/namespace': 'default', team: 'shop' }))
  t.same(await ask(stateDir), {
    facts: {
      runtime: 'containerd',
      names: { kind: 'container', container: 'web_1' },
      annotations: { team: 'shop' },
    },
  })
  writeFileSync(file, oci(undefined))
  t.match(await ask(stateDir), { facts: { names: { kind: 'container', container: ID } } })
  writeFileSync(file, oci({ 'nerdctl/name': '../x' }))
  t.same(await ask(stateDir), { detail: 'annotations not of their form: plainContainer' })
})

t.test('annotations of an older CRI do not make a plain container of one in a pod', async t => {
  const stateDir = t.testdir()
  writeFileSync(bundle(stateDir), oci({ 'io.kubernetes.cri.sandbox-id': SANDBOX_ID }))
  t.same(await ask(stateDir), { detail: 'annotations do not name the container' })
})

t.test("a bundle of the Docker Engine's names nothing", async t => {
  const stateDir = t.testdir()
  writeFileSync(bundle(stateDir, 'moby'), oci(undefined))
  t.same(await ask(stateDir), { detail: "the bundle is of the Docker Engine's" })
})

t.test('where the cgroup names a namespace', async t => {
  const plain = { containerId: 'web-1', namespace: 'default' }
  const stateDir = t.testdir()
  const linux = { linux: { cgroupsPath: '/default/web-1' } }
  writeFileSync(bundle(stateDir, 'default', 'web-1'), oci(undefined, linux))

  t.test('the container of this id there is the one', async t => {
    t.match(await ask(stateDir, plain), { facts: { names: { kind: 'container', container: 'web-1' } } })
  })
  t.test('no other namespace is looked at', async t => {
    t.same(await ask(stateDir, { ...plain, namespace: 'other' }), { detail: 'no bundle of this container' })
  })
  t.test('a container of the same id whose cgroup is another is not meant', async t => {
    const detail = "the container's cgroup is another, this one only has its name"
    writeFileSync(bundle(stateDir, 'elsewhere', 'web-1'), oci(undefined, linux))
    t.same(await ask(stateDir, { ...plain, namespace: 'elsewhere' }), { detail })
    writeFileSync(bundle(stateDir, 'none', 'web-1'), oci(undefined))
    t.same(await ask(stateDir, { ...plain, namespace: 'none' }), { detail })
  })
  t.test('nothing that is no id becomes a path', async t => {
    for (const text of ['..', '.', '', 'a/b', '../default', 'a..b', '-a', 'a\n', 'a\0', 'a'.repeat(77)]) {
      const detail = 'no id that containerd gives'
      t.same(await ask(stateDir, { ...plain, containerId: text }), { detail })
      t.same(await ask(stateDir, { ...plain, namespace: text }), { detail })
      t.same(await ask(stateDir, { containerId: text }), { detail })
    }
  })
})

t.test('without state directory or bundle there is no answer', async t => {
  const stateDir = t.testdir({ 'io.containerd.runtime.v2.task': { 'k8s.io': {} } })
  t.same(await ask(stateDir), { detail: 'no bundle of this container' })
  t.same(await ask(path.join(stateDir, 'absent')), { detail: 'no containerd state directory' })
})

t.test('a name that has not its form counts as absent', async t => {
  const stateDir = t.testdir()
  const file = bundle(stateDir)
  const answerWith = (annotations: object) => {
    writeFileSync(file, oci({ ...ANNOTATIONS, ...annotations }))
    return ask(stateDir)
  }
  const { image: _, ...unpictured } = FACTS
  t.same(await answerWith({ 'io.kubernetes.cri.image-name': 'a\nb' }), {
    facts: unpictured,
    detail: 'annotations not of their form: image',
  })
  for (const pod of ['../../x', 'Web', '-web', 'a'.repeat(254), 'a\n', 7, {}])
    t.same(await answerWith({ 'io.kubernetes.cri.sandbox-name': pod }), {
      detail: 'annotations not of their form: pod',
    })
  t.match(await answerWith({ 'io.kubernetes.cri.sandbox-namespace': 'a.b' }), { facts: undefined })
  t.match(await answerWith({ 'io.kubernetes.cri.container-name': '' }), { facts: undefined })
})

t.test('nothing but a regular file of sane size in the state directory is read', async t => {
  const secret = path.join(t.testdir({ secret: oci(ANNOTATIONS) }), 'secret')

  t.test('not a symbolic link', async t => {
    const stateDir = t.testdir()
    symlinkSync(secret, bundle(stateDir))
    await t.rejects(ask(stateDir), { code: 'ELOOP' })
  })
  t.test('not through a symbolic link', async t => {
    const stateDir = t.testdir({ 'io.containerd.runtime.v2.task': { 'k8s.io': {} }, elsewhere: {} })
    writeFileSync(path.join(stateDir, 'elsewhere/config.json'), oci(ANNOTATIONS))
    const link = path.join(stateDir, 'io.containerd.runtime.v2.task/k8s.io', ID)
    symlinkSync(path.join(stateDir, 'elsewhere'), link)
    t.same(await ask(stateDir), { detail: `${link} is no directory` })
  })
  t.test('not a FIFO, which would block', async t => {
    const stateDir = t.testdir()
    execFileSync('mkfifo', [bundle(stateDir)])
    t.same(await ask(stateDir), { detail: 'config.json is no regular file' })
  })
  t.test('not a directory', async t => {
    const stateDir = t.testdir()
    mkdirSync(bundle(stateDir))
    t.same(await ask(stateDir), { detail: 'config.json is no regular file' })
  })
  t.test('not a file without end', async t => {
    const stateDir = t.testdir()
    const file = bundle(stateDir)
    writeFileSync(file, '')
    truncateSync(file, 2 ** 40)
    t.same(await ask(stateDir), { detail: 'config.json is over 4194304 bytes' })
  })
})

t.test('a config.json of any content has an answer', async t => {
  const stateDir = t.testdir()
  const file = bundle(stateDir)
  const content = fc.oneof(
    fc.json().map(json => Buffer.from(json)),
    fc.json().map(json => Buffer.from(`{"annotations":${json}}`)),
    fc
      .dictionary(fc.constantFrom(...Object.keys(ANNOTATIONS)), fc.jsonValue())
      .map(annotations => Buffer.from(oci(annotations))),
    fc
      .constantFrom('', '{', 'null', '[]', '{"annotations":null}', '{"annotations":[1]}')
      .map(text => Buffer.from(text)),
    fc.uint8Array({ maxLength: 64 }),
  )
  await fc.assert(
    fc.asyncProperty(content, async bytes => {
      writeFileSync(file, bytes)
      const answer = await ask(stateDir)
      // A bundle without annotations is a container of ctr's: its name is the id, whatever else is there.
      return answer.facts === undefined
        ? answer.detail !== undefined
        : answer.facts.names.kind === 'container' && answer.facts.names.container === ID
    }),
  )
})
