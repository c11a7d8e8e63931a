import t from 'tap'
import { loadConfig } from '../../src/config/load.ts'
import type { Runtime, SourceName } from '../../src/crash.ts'
import { resolveWorkload, type ResolveDeps } from '../../src/workload/resolve.ts'
import type { ContainerFacts, ContainerNames, Source, SourceAnswer } from '../../src/workload/source.ts'

const ID = '4f1c0a9e7b3d5826f0e1d2c3b4a5968778695a4b3c2d1e0f6258d3b7e9a0c1f4'
const SANDBOX = 'b'.repeat(64)
const UID = '6f1d3a52-0c4e-4b7a-9a37-52d0b6f0a1c9'
const OTHER_UID = '11111111-2222-3333-4444-555555555555'
/** No test waits for it; those that are about it say another. */
const defaults = loadConfig({ searched: [], env: {} }).config.workload
const config = { ...defaults, timeoutMs: 30_000, labels: ['app', 'x/*'] }
const POD = `0::/kubepods/burstable/pod${UID}/${ID}\n`
const NAMES = { kind: 'pod', namespace: 'shop', pod: 'web-0', podUid: UID, container: 'app' } as const
const OTHER_NAMES = { ...NAMES, pod: 'other-0', podUid: OTHER_UID }
const IDS = { containerId: ID, podUid: UID }

function source(name: SourceName, runtime: Runtime, ask: Source['ask']): Source {
  return { name, runtimes: [runtime], ask }
}
const facts = (names: ContainerNames, more: Partial<ContainerFacts> = {}): SourceAnswer => ({
  facts: { runtime: 'containerd', names, ...more },
})
const bundle = (answer: SourceAnswer) => source('containerd-bundle', 'containerd', async () => answer)
const cri = (answer: SourceAnswer) => source('containerd-cri', 'containerd', async () => answer)
const NOTHING = { detail: 'not mine' }
const hung = (name: SourceName) => source(name, 'containerd', () => new Promise(() => undefined))

interface Setting {
  readonly cgroup?: string
  readonly files?: Source[]
  readonly sockets?: Source[]
  readonly cgroups?: Record<number, string>
  readonly timeoutMs?: number
}

function resolve({ cgroup = POD, files = [], sockets = [], cgroups = {}, timeoutMs }: Setting) {
  const deps: ResolveDeps = {
    sources: { files, sockets },
    readCgroup: async pid => (cgroups[pid] === undefined ? undefined : Buffer.from(cgroups[pid])),
    userName: uid => (uid === 33 ? 'www-data' : undefined),
  }
  const subject = { cgroup: Buffer.from(cgroup), uid: 33 }
  return resolveWorkload(subject, { ...config, timeoutMs: timeoutMs ?? config.timeoutMs }, deps)
}

t.test('the first file that knows the container names it; the others are not read', async t => {
  const resolution = resolve({
    files: [
      source('docker-config', 'docker', async () => NOTHING),
      bundle(facts(NAMES)),
      source('containers-storage', 'podman', () => Promise.reject(new Error('not to be asked'))),
    ],
  })
  const { sources, ...workload } = await resolution.identified
  t.same(workload, { ...NAMES, containerId: ID, runtime: 'containerd' })
  t.match(sources, [
    { source: 'cgroup', answered: true, milliseconds: Number },
    { source: 'docker-config', answered: false, milliseconds: Number, detail: 'not mine' },
    { source: 'containerd-bundle', answered: true, milliseconds: Number },
  ])
  t.equal(sources.length, 3)
})

t.test('the names are there while a socket is still asked, and what it adds comes later', async t => {
  let answer: (answer: SourceAnswer) => void = () => undefined
  let asked: unknown
  const slow = source('containerd-cri', 'containerd', container => {
    asked = container
    return new Promise(resolve => (answer = resolve))
  })
  const resolution = resolve({
    files: [bundle(facts(NAMES, { sandboxId: SANDBOX, image: 'web:1' }))],
    sockets: [slow],
  })
  t.match(await resolution.identified, { ...NAMES, image: 'web:1', labels: undefined })
  t.equal(asked, undefined, 'nor is it asked before somebody wants to know')
  const describing = resolution.describe()
  await new Promise(setImmediate)
  t.same(asked, { containerId: ID, sandboxId: SANDBOX })

  const labels = { app: 'web', 'x/y': '1', other: 'o' }
  const annotations = { 'corelift.io/capture': 'mini', 'secret/x': 's' }
  const more = {
    restartCount: 3,
    imageDigest: 'sha256:ab',
    logPath: '/var/log/pods/a/0.log',
    labels,
    annotations,
  }
  answer(facts(NAMES, more))
  const described = await describing
  t.match(described.workload, {
    ...NAMES,
    image: 'web:1',
    imageDigest: 'sha256:ab',
    restartCount: 3,
    logPath: '/var/log/pods/a/0.log',
  })
  t.match(described, { labels, annotations }, 'all of them for the policy')
  const { workload } = described
  if (workload.kind !== 'pod') return t.fail('not a pod')
  t.same(workload.labels, { app: 'web', 'x/y': '1' }, 'the configured ones for the record')
  t.same(workload.annotations, { 'corelift.io/capture': 'mini' })
  t.match(workload.sources.at(-1), { source: 'containerd-cri', answered: true })
})

t.test('no socket is asked where files told all, nor for a container that is in no pod', async t => {
  const never = source('containerd-cri', 'containerd', () => Promise.reject(new Error('not to be asked')))
  const told = resolve({ files: [bundle(facts(NAMES, { labels: {} }))], sockets: [never] })
  t.equal((await told.describe()).workload.sources.length, 2)
  const plain = facts({ kind: 'container', container: 'web_1' })
  const outside = resolve({ cgroup: `0::/default/${ID}\n`, files: [bundle(plain)], sockets: [never] })
  t.match((await outside.describe()).workload, { kind: 'container', sources: { length: 2 } })
})

t.test('a container of podman has its labels from the socket', async t => {
  const names = { kind: 'container', container: 'web_1' } as const
  const podman = (name: SourceName, more: Partial<ContainerFacts>) =>
    source(name, 'podman', async () => facts(names, { runtime: 'podman', ...more }))
  const resolution = resolve({
    cgroup: `0::/machine.slice/libpod-${ID}.scope\n`,
    files: [podman('containers-storage', {})],
    sockets: [podman('podman-api', { labels: { app: 'web' } })],
  })
  t.match((await resolution.describe()).workload, { ...names, labels: { app: 'web' } })
})

t.test('without files all sockets are asked at once, and the first that knows it is taken', async t => {
  let asked: unknown
  const crio = source('crio-cri', 'crio', async container => {
    asked = container
    return NOTHING
  })
  const resolution = resolve({
    files: [bundle(NOTHING)],
    sockets: [crio, cri(facts(NAMES, { labels: { app: 'web' } }))],
  })
  t.match(await resolution.identified, NAMES)
  t.same(asked, { containerId: ID, wantsFirstPid: true }, 'no file vouched for the process')
  const { workload } = await resolution.describe()
  t.match(workload, { ...NAMES, labels: { app: 'web' } })
  t.same(
    workload.sources.map(report => [report.source, report.answered]),
    [
      ['cgroup', true],
      ['containerd-bundle', false],
      ['crio-cri', false],
      ['containerd-cri', true],
    ],
  )
})

t.test('a source of another runtime than the cgroup tells is not asked', async t => {
  const docker = source('docker-config', 'docker', async () =>
    facts({ kind: 'container', container: 'web_1' }, { runtime: 'docker' }),
  )
  const resolution = resolve({
    cgroup: `0::/system.slice/docker-${ID}.scope\n`,
    files: [bundle(facts(NAMES)), docker],
  })
  const { sources, ...workload } = await resolution.identified
  t.same(workload, { kind: 'container', container: 'web_1', containerId: ID, runtime: 'docker' })
  t.same(
    sources.map(report => report.source),
    ['cgroup', 'docker-config'],
  )
})

t.test('a source that names another pod than the cgroup is recorded, and not used', async t => {
  const detail = `not used: it names pod UID ${OTHER_UID}, but ${UID} was known already`
  const corrected = resolve({
    files: [bundle(facts(OTHER_NAMES)), source('docker-config', 'docker', async () => facts(NAMES))],
  })
  t.match(await corrected.identified, {
    ...NAMES,
    sources: [{}, { answered: true, detail }, { answered: true }],
  })

  const alone = resolve({ files: [bundle(facts(OTHER_NAMES))] })
  t.match(await alone.identified, { kind: 'unknown', ...IDS, sources: [{}, { answered: true, detail }] })

  const later = resolve({
    files: [bundle(facts(NAMES))],
    sockets: [cri(facts(OTHER_NAMES, { labels: { app: 'theirs' } }))],
  })
  const described = await later.describe()
  t.match(described.workload, { ...NAMES, sources: [{}, {}, { source: 'containerd-cri', detail }] })
  t.equal(described.labels, undefined, 'nothing of it is used')
})

t.test('where the cgroup tells no pod, the file’s UID is the one to agree with', async t => {
  const resolution = resolve({
    cgroup: `0::/own-parent/${ID}\n`,
    files: [bundle(facts(NAMES))],
    sockets: [cri(facts(OTHER_NAMES, { labels: {} }))],
  })
  t.match((await resolution.describe()).workload, {
    ...NAMES,
    sources: [{}, {}, { detail: /not used: it names pod UID 1111/ }],
  })
})

t.test('what names another runtime than the cgroup is not used', async t => {
  const forged = source('containers-storage', 'podman', async () => facts(NAMES, { runtime: 'crio' }))
  const resolution = resolve({ cgroup: `0::/libpod_parent/libpod-${ID}\n`, files: [forged] })
  t.match(await resolution.identified, {
    kind: 'unknown',
    containerId: ID,
    sources: [{}, { detail: 'not used: it is of crio, the container of podman' }],
  })
})

t.test('a container in a pod is not taken for a plain one', async t => {
  const resolution = resolve({ files: [bundle(facts({ kind: 'container', container: 'web_1' }))] })
  t.match(await resolution.identified, {
    kind: 'unknown',
    ...IDS,
    sources: [{}, { detail: 'not used: it names no pod, the cgroup does' }],
  })
})

t.test('a cgroup that was only named after somebody’s container is not that container', async t => {
  const forged = `0::/system.slice/mine.service/kubepods/burstable/pod${UID}/${ID}\n`
  const files = [bundle(facts(NAMES, { firstPid: 7 }))]
  const unknown = {
    kind: 'unknown',
    ...IDS,
    reason: 'the process is not in the container whose name its cgroup has',
  }
  const detail = /not used: the container's first process is in another cgroup/
  const trusting = cri(facts(NAMES, { labels: {} }))
  const byFile = resolve({ cgroup: forged, files, sockets: [trusting], cgroups: { 7: POD } })
  t.match(await byFile.identified, { ...unknown, sources: [{}, { detail }] })
  t.equal((await byFile.describe()).workload.sources.length, 2, 'nobody else’s word is asked for')
  const bySocket = resolve({
    cgroup: forged,
    sockets: [trusting, cri(facts(NAMES, { firstPid: 7 }))],
    cgroups: { 7: POD },
  })
  t.match(await bySocket.identified, unknown)
  t.match((await bySocket.describe()).workload, {
    ...unknown,
    sources: [{}, { answered: true }, { answered: true, detail }],
  })
  t.match(await resolve({ files, cgroups: { 7: POD } }).identified, NAMES, 'its own process is')
  t.match(
    await resolve({ cgroup: forged, files, cgroups: { 7: '0::/init.scope\n' } }).identified,
    NAMES,
    'in a nested node',
  )
  t.match(await resolve({ files }).identified, NAMES, 'when the first process is gone')
})

t.test('a source without a UID gets the one of the cgroup', async t => {
  const { podUid: _, ...names } = NAMES
  t.match(await resolve({ files: [bundle(facts(names))] }).identified, NAMES)
})

t.test('what nobody knows is unknown, with what the cgroup says', async t => {
  const failing = source('containerd-bundle', 'containerd', () =>
    Promise.reject(new Error('EACCES: permission denied')),
  )
  const resolution = resolve({ files: [failing], sockets: [cri(NOTHING)] })
  const { sources, ...workload } = await resolution.identified
  t.same(workload, {
    kind: 'unknown',
    ...IDS,
    reason: 'no container runtime that was asked knows the container',
  })
  t.match(sources[1], { answered: false, detail: 'EACCES: permission denied' })
  t.match(await resolution.describe(), { labels: undefined, annotations: undefined })
})

t.test('all sockets that hang are given up at one deadline, files later, and told so', async t => {
  let told = 0
  const listening = (name: SourceName) =>
    source(name, 'containerd', (_container, _config, signal) => {
      signal.addEventListener('abort', () => told++)
      return new Promise(() => undefined)
    })
  const known = resolve({
    files: [bundle(facts(NAMES))],
    sockets: [listening('containerd-cri')],
    timeoutMs: 5,
  })
  t.match((await known.describe()).workload, {
    ...NAMES,
    sources: [{}, {}, { answered: false, detail: 'no answer within 5 ms' }],
  })
  const unknown = resolve({
    files: [hung('containerd-bundle'), hung('docker-config')].slice(0, 1),
    sockets: [listening('containerd-cri'), listening('docker-api')],
    timeoutMs: 5,
  })
  t.match(await unknown.identified, { kind: 'unknown', ...IDS })
  t.equal(
    (await unknown.describe()).workload.sources.filter(({ detail }) => detail?.startsWith('no answer'))
      .length,
    3,
  )
  t.equal(told, 3, 'whoever hung was told')
})

t.test('a process of the host needs no source, and has a user', async t => {
  const never = bundle(facts(NAMES))
  const { sources, ...workload } = await resolve({
    cgroup: '0::/system.slice/nginx.service\n',
    files: [never],
  }).identified
  t.same(workload, { kind: 'host', unit: 'nginx.service', slice: 'system.slice', user: 'www-data' })
  t.match(sources, [{ source: 'systemd-cgroup', answered: true }])
  t.equal(sources.length, 1)
})

t.test(
  'a container with an id of somebody’s choice is one where its bundle says so, else of the host',
  async t => {
    let asked: unknown
    const plain = (answer: SourceAnswer) =>
      source('containerd-bundle', 'containerd', async container => {
        asked = container
        return answer
      })
    const cgroup = '0::/default/redis-1\n'
    const names = { kind: 'container', container: 'redis-1' } as const
    const { sources: _, ...workload } = await resolve({ cgroup, files: [plain(facts(names))] }).identified
    t.same(workload, { ...names, containerId: 'redis-1', runtime: 'containerd' })
    t.same(asked, { containerId: 'redis-1', namespace: 'default' })
    t.match(await resolve({ cgroup, files: [plain(NOTHING)], sockets: [cri(facts(NAMES))] }).identified, {
      kind: 'host',
      plain: undefined,
    })
  },
)

t.test('a process whose cgroup could not be read is unknown', async t => {
  const { sources, ...workload } = await resolve({ cgroup: '' }).identified
  t.same(workload, { kind: 'unknown', reason: 'the process has no cgroup that could be read' })
  t.match(sources, [{ source: 'cgroup', answered: false }])
})

t.test('the sources of a node without runtimes answer nothing, and nothing fails', async t => {
  const nowhere = Object.fromEntries(
    Object.entries(config).map(([key, value]) => [
      key,
      /Socket$|Dir$|Root$/.test(key) ? '/nonexistent' : value,
    ]),
  ) as typeof config
  const subject = { cgroup: Buffer.from(POD), uid: 0 }
  const { workload } = await resolveWorkload(subject, { ...nowhere, containersStorageDirs: [] }).describe()
  t.match(workload, { kind: 'unknown', ...IDS })
  t.ok(workload.sources.slice(1).every(({ answered, detail }) => !answered && detail))
  t.same(
    workload.sources.map(({ source }) => source),
    [
      'cgroup',
      'containerd-bundle',
      'docker-config',
      'containers-storage',
      'containerd-cri',
      'crio-cri',
      'docker-api',
      'podman-api',
    ],
  )
})
