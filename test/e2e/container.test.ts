// Crashes in real containers, through the real kernel: found by their pod's name, also when pod and container are gone.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startContainerd, whyNoContainerd } from '../lab/containerd.ts'
import { startDocker, whyNoDocker } from '../lab/docker.ts'
import { compileStatic, imageArchive } from '../lab/image.ts'
import { noKernelControl, underPattern } from '../lab/kernel.ts'
import { gdb, makeNode, noBinary, sha256OfFile } from '../lab/node.ts'

const UID = '0b7d6a52-1c4e-4b7a-9a37-52d0b6f0a1c9'
const IMAGE = 'docker.io/library/crasher:1'
const FIXTURE = join(import.meta.dirname, '..', 'fixtures', 'crasher.c')

const crasherImage = async (program: Uint8Array): Promise<Buffer> =>
  imageArchive({ reference: IMAGE, programs: { '/bin/crasher': program }, entrypoint: ['/bin/crasher'] })

const unable = noKernelControl() ?? noBinary()

t.test(
  'a crash in a pod of containerd is found by the pod’s name once the pod is gone, byte for byte',
  { skip: unable ?? whyNoContainerd() ?? false },
  async t => {
    const containerd = await startContainerd(t)
    const node = makeNode(`[workload]\ncontainerd_state_dir = "${containerd.stateDir}"`)
    t.teardown(() => node.remove())
    const program = await compileStatic(readFileSync(FIXTURE, 'utf8'), ['-pthread'])
    await containerd.importImage(await crasherImage(program))
    const pod = await underPattern(node.teePattern, async () => {
      const pod = await containerd.runPod({
        namespace: 'shop',
        pod: 'cart-0',
        uid: UID,
        container: 'app',
        image: IMAGE,
        command: ['/bin/crasher', '--sleep-ms', '300', '--threads', '2'],
      })
      await pod.waitExit()
      return pod
    })
    const [manifest] = await node.waitForManifests(1)
    await pod.remove()

    t.match(manifest, {
      outcome: 'full',
      workload: {
        kind: 'pod',
        namespace: 'shop',
        pod: 'cart-0',
        podUid: UID,
        container: 'app',
        containerId: pod.containerId,
        image: IMAGE,
        runtime: 'containerd',
      },
      process: { comm: 'crasher', exe: '/bin/crasher' },
      core: { complete: true, threads: 3 },
    })
    const listed = await node.cli('ls', 'cart-0', '-n', 'shop', '--json')
    t.match(JSON.parse(listed.stdout), [
      {
        id: manifest!.id,
        namespace: 'shop',
        pod: 'cart-0',
        container: 'app',
        signal: 'SIGSEGV',
        complete: true,
      },
    ])
    const core = join(node.dir, 'core')
    t.match(await node.cli('get', 'cart-0', '-o', core), { code: 0 })
    t.equal(await sha256OfFile(core), await sha256OfFile(node.teeFile))
    const executable = join(node.dir, 'executable')
    writeFileSync(executable, program)
    t.match(gdb(executable, core, 'bt'), /crash_here.*middle.*outer.*main/s)
  },
)

t.test(
  'crashes in containers of docker are found by pod, and without a pod by the container’s name',
  { skip: unable ?? whyNoDocker() ?? false },
  async t => {
    const docker = await startDocker(t)
    const node = makeNode(`[workload]\ndocker_socket = "${docker.socketPath}"\ntimeout_ms = 10000`)
    t.teardown(() => node.remove())
    await docker.importImage(
      await crasherImage(await compileStatic(readFileSync(FIXTURE, 'utf8'), ['-pthread'])),
    )
    const command = ['/bin/crasher', '--sleep-ms', '300']
    await underPattern(node.pattern, async () => {
      const pod = await docker.runContainer({
        name: 'k8s_app_web-0_shop',
        image: IMAGE,
        command,
        labels: {
          'io.kubernetes.pod.namespace': 'shop',
          'io.kubernetes.pod.name': 'web-0',
          'io.kubernetes.pod.uid': UID,
          'io.kubernetes.container.name': 'app',
        },
        cgroupParent: `/kubepods/burstable/pod${UID}`,
      })
      await pod.waitExit()
      const plain = await docker.runContainer({ name: 'plain_1', image: IMAGE, command })
      await plain.waitExit()
    })
    await node.waitForManifests(2)

    t.match(JSON.parse((await node.cli('ls', 'web-0', '--json')).stdout), [
      { namespace: 'shop', pod: 'web-0', container: 'app', outcome: 'full' },
    ])
    t.match(JSON.parse((await node.cli('ls', 'plain_1', '--json')).stdout), [
      { namespace: '_container', pod: 'plain_1', outcome: 'full' },
    ])
  },
)
