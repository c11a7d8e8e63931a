import * as fc from 'fast-check'
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { containerdBundle } from '../../src/workload/containerd.ts'

const ID = '4f1c0a9e7b3d5826f0e1d2c3b4a5968778695a4b3c2d1e0f6258d3b7e9a0c1f4'
const UID = '6f1d3a52-0c4e-4b7a-9a37-52d0b6f0a1c9'
const IMAGE = 'registry.example.com/shop/web@sha256:0123'

/** As containerd 1.6's CRI plugin writes them for a container of a pod. */
const ANNOTATIONS = {
  'io.kubernetes.cri.container-name': 'app',
  'io.kubernetes.cri.container-type': 'container',
  'io.kubernetes.cri.image-name': IMAGE,
  'io.kubernetes.cri.sandbox-id': 'b'.repeat(64),
  'io.kubernetes.cri.sandbox-name': 'web-0',
  'io.kubernetes.cri.sandbox-namespace': 'shop',
  'io.kubernetes.cri.sandbox-uid': UID,
}
const NAMES = { kind: 'pod', namespace: 'shop', pod: 'web-0', podUid: UID, container: 'app', image: IMAGE }

const ask = (stateDir: string) =>
  containerdBundle.ask(
    ID,
    { containerdStateDir: stateDir, dockerSocket: '/nonexistent', timeoutMs: 1 },
    new AbortController().signal,
  )

/** Makes the bundle's directory. @returns The path that its config.json is to have. */
function bundle(stateDir: string, namespace = 'k8s.io'): string {
  const directory = path.join(stateDir, 'io.containerd.runtime.v2.task', namespace, ID)
  mkdirSync(directory, { recursive: true })
  return path.join(directory, 'config.json')
}
const oci = (annotations: object) => JSON.stringify({ ociVersion: '1.0.2', annotations })

t.test('a bundle names pod, container and image', async t => {
  const stateDir = t.testdir()
  writeFileSync(bundle(stateDir), oci(ANNOTATIONS))
  t.same(await ask(stateDir), { names: NAMES })
})

t.test("a pod's own container is called POD", async t => {
  const stateDir = t.testdir()
  const { 'io.kubernetes.cri.container-name': _, ...rest } = ANNOTATIONS
  writeFileSync(bundle(stateDir), oci({ ...rest, 'io.kubernetes.cri.container-type': 'sandbox' }))
  t.same(await ask(stateDir), { names: { ...NAMES, container: 'POD' } })
})

t.test('other namespaces of containerd are looked at after the CRI', async t => {
  const stateDir = t.testdir()
  writeFileSync(
    bundle(stateDir, 'default'),
    oci({ ...ANNOTATIONS, 'io.kubernetes.cri.sandbox-name': 'other' }),
  )
  t.match(await ask(stateDir), { names: { pod: 'other' } })
  writeFileSync(bundle(stateDir), oci(ANNOTATIONS))
  t.match(await ask(stateDir), { names: { pod: 'web-0' } })
})

t.test('a bundle that the CRI did not make names nothing', async t => {
  const stateDir = t.testdir()
  writeFileSync(bundle(stateDir, 'moby'), JSON.stringify({ ociVersion: '1.0.2' }))
  t.same(await ask(stateDir), { detail: 'the bundle has no annotations of the CRI' })
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
  const { image: _, ...unpictured } = NAMES
  t.same(await answerWith({ 'io.kubernetes.cri.image-name': 'a\nb' }), {
    names: unpictured,
    detail: 'annotations not of their form: image',
  })
  for (const pod of ['../../x', 'Web', '-web', 'a'.repeat(254), 'a\n', 7, {}])
    t.same(await answerWith({ 'io.kubernetes.cri.sandbox-name': pod }), {
      detail: 'annotations not of their form: pod',
    })
  t.match(await answerWith({ 'io.kubernetes.cri.sandbox-namespace': 'a.b' }), { names: undefined })
  t.match(await answerWith({ 'io.kubernetes.cri.container-name': '' }), { names: undefined })
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
    symlinkSync(
      path.join(stateDir, 'elsewhere'),
      path.join(stateDir, 'io.containerd.runtime.v2.task/k8s.io', ID),
    )
    t.same(await ask(stateDir), { detail: 'the bundle is no directory' })
  })
  t.test('not a FIFO, which would block', async t => {
    const stateDir = t.testdir()
    execFileSync('mkfifo', [bundle(stateDir)])
    t.same(await ask(stateDir), { detail: "the bundle's config.json is no regular file" })
  })
  t.test('not a directory', async t => {
    const stateDir = t.testdir()
    mkdirSync(bundle(stateDir))
    t.same(await ask(stateDir), { detail: "the bundle's config.json is no regular file" })
  })
  t.test('not a file without end', async t => {
    const stateDir = t.testdir()
    const file = bundle(stateDir)
    writeFileSync(file, '')
    truncateSync(file, 2 ** 40)
    t.same(await ask(stateDir), { detail: "the bundle's config.json is over 4194304 bytes" })
  })
})

t.test('a config.json of any content has an answer', async t => {
  const stateDir = t.testdir()
  const file = bundle(stateDir)
  const content = fc.oneof(
    fc.json().map(json => Buffer.from(json)),
    fc.json().map(json => Buffer.from(`{"annotations":${json}}`)),
    fc
      .constantFrom('', '{', 'null', '[]', '{"annotations":null}', '{"annotations":[1]}')
      .map(text => Buffer.from(text)),
    fc.uint8Array({ maxLength: 64 }),
  )
  await fc.assert(
    fc.asyncProperty(content, async bytes => {
      writeFileSync(file, bytes)
      const answer = await ask(stateDir)
      return answer.names === undefined && answer.detail !== undefined
    }),
  )
})
