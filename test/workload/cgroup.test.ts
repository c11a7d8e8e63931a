import * as fc from 'fast-check'
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { parseCgroup, sharesContainer } from '../../src/workload/cgroup.ts'
import type { CgroupOwner } from '../../src/workload/cgroup.ts'

// The files are /proc/<pid>/cgroup as the kernel prints it, in the forms of containerd 1.6, CRI-O, docker 20.10,
// podman 4.3, kind and systemd 252, with these ids in place of real ones.
const FIXTURES = new URL('fixtures/cgroup/', import.meta.url)
const ID = '4f1c0a9e7b3d5826f0e1d2c3b4a5968778695a4b3c2d1e0f6258d3b7e9a0c1f4'
const OTHER_ID = `${'0'.repeat(62)}aa`
const UID = '6f1d3a52-0c4e-4b7a-9a37-52d0b6f0a1c9'
const OTHER_UID = '11111111-2222-3333-4444-555555555555'
const STATIC_UID = '92f23c5f5ffe802d909b9ce35d39b6c0'

const inPod = { kind: 'container', containerId: ID, podUid: UID } as const
const noContainer = {
  kind: 'unclear',
  podUid: UID,
  reason: 'the cgroup names a pod and no container',
} as const

const EXPECTED: Readonly<Record<string, CgroupOwner>> = {
  'pod-v1-cgroupfs': inPod,
  'pod-v2-cgroupfs': inPod,
  'pod-hybrid': inPod,
  'pod-guaranteed': inPod,
  'pod-static': { ...inPod, podUid: STATIC_UID },
  'pod-containerd-systemd': { ...inPod, runtime: 'containerd' },
  'pod-systemd-path-on-cgroupfs': { ...inPod, runtime: 'containerd' },
  'pod-crio': { ...inPod, runtime: 'crio' },
  'pod-docker-systemd': { ...inPod, runtime: 'docker' },
  'pod-nested-node': { ...inPod, runtime: 'containerd' },
  'pod-kind': { ...inPod, runtime: 'containerd' },
  'pod-in-one-hierarchy': inPod,
  'pod-forged-below': { ...inPod, runtime: 'containerd' },
  'pod-nested-container': { ...inPod, runtime: 'containerd' },

  'unclear-monitor-in-pod': noContainer,
  'unclear-upper-case': noContainer,
  'unclear-63-digits': noContainer,
  'unclear-65-digits': noContainer,
  'unclear-32-digits': noContainer,
  'unclear-forged-shell': noContainer,
  'unclear-no-pod-uid': {
    kind: 'unclear',
    containerId: ID,
    reason: 'the cgroup is below kubepods and names no pod',
  },
  'unclear-two-containers': {
    kind: 'unclear',
    podUid: UID,
    reason: 'the cgroup hierarchies name different containers',
  },
  'unclear-two-pods': { kind: 'unclear', reason: 'the cgroup hierarchies name different pods' },
  'unclear-empty': { kind: 'unclear', reason: 'the process has no cgroup that could be read' },

  'container-docker-cgroupfs': { kind: 'container', containerId: ID, runtime: 'docker' },
  'container-docker-systemd': { kind: 'container', containerId: ID, runtime: 'docker' },
  'container-podman-systemd': { kind: 'container', containerId: ID, runtime: 'podman' },
  'container-podman-split': { kind: 'container', containerId: ID, runtime: 'podman' },
  'container-podman-cgroupfs': { kind: 'container', containerId: ID, runtime: 'podman' },
  'container-nerdctl-systemd': { kind: 'container', containerId: ID, runtime: 'containerd' },
  'container-own-parent': { kind: 'container', containerId: ID },

  'host-service': { kind: 'host', unit: 'nginx.service', slice: 'system.slice' },
  'host-service-hybrid': { kind: 'host', unit: 'ssh.service', slice: 'system.slice' },
  'host-template': { kind: 'host', unit: 'getty@tty1.service', slice: 'system-getty.slice' },
  'host-escaped': { kind: 'host', unit: 'dev-disk-by\\x2dlabel-swap.swap', slice: 'system.slice' },
  'host-session': { kind: 'host', unit: 'session-3.scope', slice: 'user-1000.slice' },
  'host-user-service': { kind: 'host', unit: 'user@1000.service', slice: 'user-1000.slice' },
  'host-forged-by-user': { kind: 'host', unit: 'user@1000.service', slice: 'user-1000.slice' },
  'host-monitor': { kind: 'host', unit: `crio-conmon-${ID}.scope`, slice: 'system.slice' },
  'host-init': { kind: 'host', unit: 'init.scope' },
  'host-no-unit': {
    kind: 'host',
    plain: { namespace: 'process_api', id: '92f23c5f5ffe802d909b9ce35d39b6c0' },
  },
  'host-or-plain-ctr': { kind: 'host', plain: { namespace: 'default', id: 'redis-1' } },
  'host-forged-shell': { kind: 'host' },
  'host-malformed-unit': { kind: 'host', slice: 'system.slice' },
  'host-named-like-kubepods': { kind: 'host', unit: 'kubepods-exporter.service', slice: 'system.slice' },
}

t.test('a cgroup names its container, pod or unit', async t => {
  const files = readdirSync(FIXTURES).map(file => file.replace('.txt', ''))
  t.same(files.sort(), Object.keys(EXPECTED).sort(), 'every fixture has its expectation')
  for (const [name, expected] of Object.entries(EXPECTED))
    t.strictSame(parseCgroup(readFileSync(new URL(`${name}.txt`, FIXTURES))), expected, name)
})

t.test('a process is in a container only where the container’s first process is', async t => {
  const lines = (...paths: string[]) =>
    Buffer.from(paths.map((path, index) => `${index}:${index || ''}:${path}\n`).join(''))
  const own = `/kubepods/burstable/pod${UID}/${ID}`
  const other = `/kubepods/burstable/pod${OTHER_UID}/${OTHER_ID}`
  t.ok(sharesContainer(lines(own), lines(own)))
  t.ok(sharesContainer(lines(`${own}/init.scope`), lines(`${own}/system.slice/x.service`)), 'below it')
  t.ok(sharesContainer(lines(own, '/'), lines(own, '/')), 'a hierarchy without containers')
  t.notOk(
    sharesContainer(lines(`/system.slice/own.service${own}`), lines(own)),
    'made below a service of one’s own',
  )
  t.notOk(
    sharesContainer(lines(`/docker/${OTHER_ID}${own}`), lines(own)),
    'made below a container of one’s own',
  )
  t.notOk(sharesContainer(lines(own, `/x${own}`), lines(own, own)), 'in one hierarchy only')
  t.notOk(sharesContainer(lines(`/a.service/docker-${ID}.scope`), lines(`/system.slice/docker-${ID}.scope`)))
  t.ok(sharesContainer(lines(`/payload${own}`), lines('/init.scope')), 'a nested node’s pid says nothing')
  t.ok(sharesContainer(lines(`/payload${own}`), lines(other)), 'a pid of another container says nothing')
  t.ok(sharesContainer(lines(own), Buffer.alloc(0)), 'nor does one that is gone')
})

const STRICT_ID = /^[0-9a-f]{64}$/
const STRICT_UID = /^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32})$/

/** Text that is made of what the grammar looks for, and of what breaks it. */
const hostileText = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '0::',
        '1:name=systemd:',
        '/',
        ':',
        '\n',
        '\r',
        'kubepods',
        '.slice',
        '.scope',
        '.service',
      ),
      fc.constantFrom('pod', UID, UID.replaceAll('-', '_'), UID.toUpperCase(), 'kubepods-burstable-pod'),
      fc.constantFrom(
        ID,
        ID.toUpperCase(),
        ID.slice(1),
        `${ID}0`,
        'cri-containerd-',
        'docker',
        'constructor',
        '..',
      ),
      fc.string({ unit: 'binary', maxLength: 8 }),
    ),
    { maxLength: 40 },
  )
  .map(pieces => Buffer.from(pieces.join('')))
const hostileBytes = fc.oneof(hostileText, fc.uint8Array({ maxLength: 200 }))

t.test('any bytes have an answer, and every name in it has its strict form', async () => {
  fc.assert(
    fc.property(hostileBytes, bytes => {
      const owner = parseCgroup(bytes)
      if (owner.kind === 'host')
        return [owner.unit, owner.slice].every(name => name === undefined || /^[\w:.\\@-]{1,255}$/.test(name))
      if (owner.containerId !== undefined && !STRICT_ID.test(owner.containerId)) return false
      return owner.podUid === undefined || STRICT_UID.test(owner.podUid)
    }),
    { numRuns: 2000 },
  )
})

/** What a workload may call a cgroup below its own: anything but a slash and a newline. */
const component = fc
  .oneof(
    fc.constantFrom(
      'kubepods',
      'kubepods.slice',
      `pod${OTHER_UID}`,
      OTHER_ID,
      `crio-${OTHER_ID}.scope`,
      'user@0.service',
    ),
    fc.constantFrom(
      `kubepods-pod${OTHER_UID.replaceAll('-', '_')}.slice:cri-containerd:${OTHER_ID}`,
      'system.slice',
    ),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }),
  )
  .filter(name => !/[/\n]/.test(name))

t.test('names below its own cgroup change neither the pod nor the container of a process', async () => {
  const own = [
    `/kubepods/burstable/pod${UID}/${ID}`,
    `/kubepods.slice/kubepods-pod${UID.replaceAll('-', '_')}.slice/cri-containerd-${ID}.scope`,
    `/docker/${OTHER_ID}/kubepods/pod${UID}/${ID}`,
    `/lxc/kubelet/kubepods/besteffort/pod${UID}/${ID}`,
  ]
  fc.assert(
    fc.property(fc.constantFrom(...own), fc.array(component, { maxLength: 6 }), (path, below) => {
      const owner = parseCgroup(Buffer.from(`0::${[path, ...below].join('/')}\n`))
      return owner.kind === 'container' && owner.podUid === UID && owner.containerId === ID
    }),
    { numRuns: 2000 },
  )
})

t.test("names below a user's manager make no container of a process", async () => {
  const manager = '0::/user.slice/user-1000.slice/user@1000.service'
  fc.assert(
    fc.property(fc.array(component, { maxLength: 6 }), below => {
      const owner = parseCgroup(Buffer.from(`${[manager, ...below].join('/')}\n`))
      return owner.kind === 'host' && owner.unit === 'user@1000.service'
    }),
    { numRuns: 1000 },
  )
})
