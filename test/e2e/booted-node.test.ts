// Crashes in pods of a node that booted with systemd, whose containerd has the systemd cgroup driver: as cgroup v2 shows
// them, below the cgroup that the node itself is in.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { bootNode, buildNodeTree, whyNoBootedNode } from '../lab/booted-node.ts'
import { crasherImage, IMAGE } from '../lab/crasher-image.ts'
import { noKernelControl, underPattern } from '../lab/kernel.ts'
import { makeNode, noBinary } from '../lab/node.ts'

const skip = noKernelControl() ?? noBinary() ?? whyNoBootedNode() ?? false

t.test('a crash in a pod of a node in this node', { skip }, async t => {
  const booted = await bootNode(t, await buildNodeTree(t))
  await booted.importImage(await crasherImage())
  const start = (pod: string, command: readonly string[]) =>
    booted.runPod({ namespace: 'shop', pod, container: 'app', image: IMAGE, command, labels: { app: pod } })

  t.test('is where the systemd driver puts it, below the node’s own cgroup', async t => {
    const { pid, uid, containerId } = await start('waiting', ['/bin/wait'])
    const slice = `kubepods-burstable-pod${uid.replaceAll('-', '_')}.slice`
    const path = `kubepods.slice/kubepods-burstable.slice/${slice}/cri-containerd-${containerId}.scope`
    t.match(readFileSync(`/proc/${pid}/cgroup`, 'utf8'), new RegExp(`^0::/.+/payload/${path}$`, 'm'))
    t.match(readFileSync(`/proc/${pid}/status`, 'utf8'), /^NSpid:\t\d+\t\d+\t1$/m, 'and its pids are its own')
  })

  t.test('has its pod’s names, where the configuration names that node’s runtime', async t => {
    const node = makeNode(
      `[workload]\ncontainerd_state_dir = "${booted.stateDir}"\ncontainerd_socket = "${booted.socketPath}"\ntimeout_ms = 30000`,
    )
    t.teardown(() => node.remove())
    const pod = await underPattern(node.pattern, async () => {
      const pod = await start('cart-0', ['/bin/crasher', '--fork'])
      await pod.waitExit()
      return pod
    })
    const [manifest] = await node.waitForManifests(1)
    t.match(manifest, {
      outcome: 'full',
      workload: {
        kind: 'pod',
        namespace: 'shop',
        pod: 'cart-0',
        podUid: pod.uid,
        container: 'app',
        containerId: pod.containerId,
        labels: { app: 'cart-0' },
        runtime: 'containerd',
      },
    })
    t.match(JSON.parse((await node.cli('ls', 'cart-0', '-n', 'shop', '--json')).stdout), [
      { outcome: 'full' },
    ])
  })

  t.test('is unknown elsewhere, with the pod UID and container id that the cgroup tells', async t => {
    const nowhere = ['containerd_state_dir', 'containerd_socket'].map(key => `${key} = "/nonexistent"`)
    const node = makeNode(`[workload]\n${nowhere.join('\n')}`)
    t.teardown(() => node.remove())
    const pod = await underPattern(node.pattern, async () => {
      const pod = await start('cart-1', ['/bin/crasher'])
      await pod.waitExit()
      return pod
    })
    const [manifest] = await node.waitForManifests(1)
    t.match(manifest, {
      outcome: 'full',
      workload: { kind: 'unknown', podUid: pod.uid, containerId: pod.containerId },
    })
  })
})
