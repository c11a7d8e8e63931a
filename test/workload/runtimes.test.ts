// Names of live processes, in real container runtimes.
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { resolveWorkload } from '../../src/workload/resolve.ts'
import { startContainerd, whyNoContainerd } from '../lab/containerd.ts'
import { startDocker, whyNoDocker } from '../lab/docker.ts'
import { compileStatic, imageArchive, PAUSE_SOURCE } from '../lab/image.ts'

/** Far above what an answer takes: no machine is so busy that a test fails for it. */
const ANSWER_MS_MAX = 30_000
const ABSENT = '/nonexistent'
const config = { timeoutMs: ANSWER_MS_MAX, containerdStateDir: ABSENT, dockerSocket: ABSENT }
const UID = '6f1d3a52-0c4e-4b7a-9a37-52d0b6f0a1c9'
const IMAGE = 'docker.io/library/waiting:1'

const waitingImage = async () =>
  imageArchive({
    reference: IMAGE,
    programs: { '/bin/wait': await compileStatic(PAUSE_SOURCE) },
    entrypoint: ['/bin/wait'],
  })
const cgroupOf = async (pid: number) => ({ cgroup: await readFile(`/proc/${pid}/cgroup`) })

const noContainerd = whyNoContainerd()
t.test(
  'a process in a pod of containerd has the names of its pod',
  { skip: noContainerd ?? false },
  async t => {
    const containerd = await startContainerd(t)
    await containerd.importImage(await waitingImage())
    const pod = await containerd.runPod({
      namespace: 'shop',
      pod: 'web-0',
      uid: UID,
      container: 'app',
      image: IMAGE,
      command: ['/bin/wait'],
    })
    const { sources, ...workload } = await resolveWorkload(await cgroupOf(pod.pid), {
      ...config,
      containerdStateDir: containerd.stateDir,
    })
    t.same(workload, {
      kind: 'pod',
      namespace: 'shop',
      pod: 'web-0',
      podUid: UID,
      container: 'app',
      containerId: pod.containerId,
      image: IMAGE,
      runtime: 'containerd',
    })
    t.same(
      sources.map(report => [report.source, report.answered]),
      [
        ['cgroup', true],
        ['containerd-bundle', true],
      ],
    )

    await pod.remove()
    const gone = await readFile(`/proc/${pod.pid}/cgroup`).catch(() => undefined)
    t.equal(gone, undefined, 'the lab ends what it started')
  },
)

const noDocker = whyNoDocker()
t.test('a process in a container of docker', { skip: noDocker ?? false }, async t => {
  const docker = await startDocker(t)
  await docker.importImage(await waitingImage())
  const dockerConfig = { ...config, dockerSocket: docker.socketPath }

  t.test('has the names of its pod, where the container has the labels of one', async t => {
    const container = await docker.runContainer({
      name: 'k8s_app_web-0_shop',
      image: IMAGE,
      command: ['/bin/wait'],
      labels: {
        'io.kubernetes.pod.namespace': 'shop',
        'io.kubernetes.pod.name': 'web-0',
        'io.kubernetes.pod.uid': UID,
        'io.kubernetes.container.name': 'app',
      },
      cgroupParent: `/kubepods/burstable/pod${UID}`,
    })
    const { sources: _, ...workload } = await resolveWorkload(await cgroupOf(container.pid), dockerConfig)
    t.same(workload, {
      kind: 'pod',
      namespace: 'shop',
      pod: 'web-0',
      podUid: UID,
      container: 'app',
      containerId: container.containerId,
      image: IMAGE,
      runtime: 'docker',
    })
  })

  t.test('has the name of its container, where it is in no pod', async t => {
    const container = await docker.runContainer({ name: 'plain_1', image: IMAGE, command: ['/bin/wait'] })
    const { sources: _, ...workload } = await resolveWorkload(await cgroupOf(container.pid), dockerConfig)
    t.match(workload, { kind: 'container', container: 'plain_1', containerId: container.containerId })
  })
})
