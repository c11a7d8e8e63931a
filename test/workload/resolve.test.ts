import t from 'tap'
import { resolveWorkload } from '../../src/workload/resolve.ts'
import type { ContainerNames, Source } from '../../src/workload/source.ts'

const ID = '4f1c0a9e7b3d5826f0e1d2c3b4a5968778695a4b3c2d1e0f6258d3b7e9a0c1f4'
const UID = '6f1d3a52-0c4e-4b7a-9a37-52d0b6f0a1c9'
const config = { containerdStateDir: '/nonexistent', dockerSocket: '/nonexistent', timeoutMs: 10_000 }
const POD = { cgroup: Buffer.from(`0::/kubepods/burstable/pod${UID}/${ID}\n`) }
const NAMES = { kind: 'pod', namespace: 'shop', pod: 'web-0', podUid: UID, container: 'app' } as const
const facts = { containerId: ID, podUid: UID }

const knows = (runtime: 'containerd' | 'docker', names: ContainerNames): Source => ({
  ...knowsNothing(runtime),
  ask: async () => ({ names }),
})
const knowsNothing = (runtime: 'containerd' | 'docker'): Source => ({
  name: runtime === 'containerd' ? 'containerd-bundle' : 'docker-api',
  runtime,
  ask: async () => ({ detail: 'not mine' }),
})
const resolve = async (process: { cgroup: Uint8Array }, sources: Source[], timeoutMs = config.timeoutMs) => {
  const { sources: reports, ...workload } = await resolveWorkload(process, { ...config, timeoutMs }, sources)
  return { workload, reports }
}

t.test('the first source that knows the container names it, and all that were asked report', async t => {
  const { workload, reports } = await resolve(POD, [
    knowsNothing('containerd'),
    knows('docker', NAMES),
    knowsNothing('docker'),
  ])
  t.same(workload, { ...NAMES, containerId: ID, runtime: 'docker' })
  t.match(reports, [
    { source: 'cgroup', answered: true, milliseconds: Number },
    { source: 'containerd-bundle', answered: false, milliseconds: Number, detail: 'not mine' },
    { source: 'docker-api', answered: true, milliseconds: Number },
  ])
  t.equal(reports.length, 3)
})

t.test('a source of another runtime than the cgroup tells is not asked', async t => {
  const cgroup = Buffer.from(`0::/system.slice/docker-${ID}.scope\n`)
  const plain = { kind: 'container', container: 'web_1' } as const
  const { workload, reports } = await resolve({ cgroup }, [
    knows('containerd', NAMES),
    knows('docker', plain),
  ])
  t.same(workload, { ...plain, containerId: ID, runtime: 'docker' })
  t.same(
    reports.map(report => report.source),
    ['cgroup', 'docker-api'],
  )
})

t.test("the cgroup's pod wins over another that a source names", async t => {
  const other = '11111111-2222-3333-4444-555555555555'
  const { workload } = await resolve(POD, [knows('containerd', { ...NAMES, podUid: other })])
  t.same(workload, {
    kind: 'unknown',
    ...facts,
    reason: `containerd-bundle names pod UID ${other}, the cgroup ${UID}`,
  })
})

t.test('a container in a pod is not taken for a plain one', async t => {
  const { workload } = await resolve(POD, [knows('docker', { kind: 'container', container: 'web_1' })])
  t.same(workload, { kind: 'unknown', ...facts, reason: 'docker-api names no pod, the cgroup does' })
})

t.test('a source without a UID gets the one of the cgroup', async t => {
  const { podUid: _, ...names } = NAMES
  const { workload } = await resolve(POD, [knows('containerd', names)])
  t.same(workload, { ...NAMES, containerId: ID, runtime: 'containerd' })
})

t.test('what nobody knows is unknown, with what the cgroup says', async t => {
  const { workload, reports } = await resolve(POD, [
    {
      ...knowsNothing('containerd'),
      ask: () => Promise.reject(new Error('EACCES: permission denied')),
    },
  ])
  t.same(workload, {
    kind: 'unknown',
    ...facts,
    reason: 'no container runtime that was asked knows the container',
  })
  t.match(reports[1], { answered: false, detail: 'EACCES: permission denied' })
})

t.test('a source that does not answer is given up at the deadline, and told so', async t => {
  let told = false
  const hung: Source = {
    ...knowsNothing('containerd'),
    ask: (_id, _config, signal) =>
      new Promise(() => {
        signal.addEventListener('abort', () => (told = true))
      }),
  }
  const { workload, reports } = await resolve(POD, [hung, knows('docker', NAMES)], 5)
  t.match(workload, { kind: 'pod', runtime: 'docker' })
  t.match(reports[1], { answered: false, detail: 'no answer within 5 ms' })
  t.ok(told)
})

t.test('a process of the host needs no source', async t => {
  const cgroup = Buffer.from('0::/system.slice/nginx.service\n')
  const { workload, reports } = await resolve({ cgroup }, [knows('docker', NAMES)])
  t.same(workload, { kind: 'host', unit: 'nginx.service', slice: 'system.slice' })
  t.match(reports, [{ source: 'systemd-cgroup', answered: true }])
  t.equal(reports.length, 1)
})

t.test('a process whose cgroup could not be read is unknown', async t => {
  const { workload, reports } = await resolve({ cgroup: Buffer.alloc(0) }, [knows('docker', NAMES)])
  t.same(workload, { kind: 'unknown', reason: 'the process has no cgroup that could be read' })
  t.match(reports, [{ source: 'cgroup', answered: false }])
})

t.test('the sources of a node without runtimes answer nothing, and nothing fails', async t => {
  const { sources, ...workload } = await resolveWorkload(POD, config)
  t.match(workload, { kind: 'unknown', ...facts })
  t.match(sources.slice(1), [
    { source: 'containerd-bundle', detail: 'no containerd state directory' },
    { source: 'docker-api', detail: 'no docker socket' },
  ])
})
