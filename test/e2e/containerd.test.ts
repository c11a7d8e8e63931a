// Crashes in real pods of containerd, through the real kernel: found by their pod's name, whichever of its processes it
// was, and whatever became of pod or runtime.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Manifest } from '../../src/store/manifest.ts'
import { startContainerd, whyNoContainerd, type Containerd } from '../lab/containerd.ts'
import { compileCrasher, crasherImage, IMAGE } from '../lab/crasher-image.ts'
import { childOf, noKernelControl, underPattern } from '../lab/kernel.ts'
import { gdb, makeNode, noBinary, sha256OfFile } from '../lab/node.ts'
import type { Pod, PodRequest } from '../lab/pods.ts'

const skip = noKernelControl() ?? noBinary() ?? whyNoContainerd() ?? false
const CRASH = ['/bin/crasher']
const WAIT = ['/bin/wait']
/** Waits until it is killed, and the crash is that of a child: the kernel lets nobody send a signal to a first process. */
const CRASH_WHEN_KILLED = ['/bin/crasher', '--fork', '--sleep-ms', '3600000']

const configOf = ({ stateDir, socketPath }: Containerd, timeoutMs: number, policy = ''): string =>
  `[workload]\ncontainerd_state_dir = "${stateDir}"\ncontainerd_socket = "${socketPath}"\ntimeout_ms = ${timeoutMs}\n${policy}`
/** No machine is so busy that a runtime that works needs it. */
const ANSWER_MS_MAX = 30_000

const ofNamespace = (manifests: readonly Manifest[], namespace: string): Manifest | undefined =>
  manifests.find(({ workload }) => workload.kind === 'pod' && workload.namespace === namespace)

t.test('a crash in a pod of containerd', { skip }, async t => {
  const containerd = await startContainerd(t)
  await containerd.importImage(await crasherImage())
  const start = (request: Partial<PodRequest> & Pick<PodRequest, 'namespace'>): Promise<Pod> =>
    containerd.runPod({ pod: 'cart-0', container: 'app', image: IMAGE, command: WAIT, ...request })

  t.test('is found by the pod’s name once the pod is gone, byte for byte', async t => {
    const node = makeNode(configOf(containerd, ANSWER_MS_MAX))
    t.teardown(() => node.remove())
    const command = [...CRASH, '--threads', '2']
    const pod = await underPattern(node.teePattern, async () => {
      const pod = await start({ namespace: 'shop', command, labels: { app: 'cart', team: 'x' } })
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
        podUid: pod.uid,
        container: 'app',
        containerId: pod.containerId,
        image: IMAGE,
        imageDigest: /sha256:[0-9a-f]{64}/,
        restartCount: 0,
        logPath: pod.logPath,
        labels: { app: 'cart', team: undefined },
        runtime: 'containerd',
      },
      process: { comm: 'crasher', exe: '/bin/crasher' },
      core: { complete: true, threads: 3 },
    })
    t.same(
      manifest!.workload.sources.map(({ source, answered }) => [source, answered]),
      [
        ['cgroup', true],
        ['containerd-bundle', true],
        ['containerd-cri', true],
      ],
    )
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
    writeFileSync(executable, await compileCrasher())
    t.match(gdb(executable, core, 'bt'), /crash_here.*middle.*outer.*main/s)
  })

  const node = makeNode(configOf(containerd, ANSWER_MS_MAX))
  t.teardown(() => node.remove())
  /** Crashes one process. @returns The record of it. */
  const recordOf = async (crash: () => Promise<unknown>): Promise<Manifest> => {
    const before = new Set(node.manifests().map(({ id }) => id))
    await underPattern(node.pattern, crash)
    const manifests = await node.waitForManifests(before.size + 1)
    return manifests.find(({ id }) => !before.has(id))!
  }

  t.test('is that of the container in which it was', async t => {
    const pod = await start({ namespace: 'sidecar', labels: { app: 'both' } })
    const manifest = await recordOf(async () => {
      const sidecar = await pod.runContainer({ container: 'proxy', image: IMAGE, command: CRASH })
      await sidecar.waitExit()
    })
    t.match(manifest.workload, {
      pod: 'cart-0',
      podUid: pod.uid,
      container: 'proxy',
      labels: { app: 'both' },
    })
  })

  const PROCESSES: Record<string, Partial<PodRequest>> = {
    'a child of the first process': { command: [...CRASH, '--fork'] },
    'a process in a user namespace of its own': { command: [...CRASH, '--unshare-user'] },
    'a process in a pid namespace that the pod shares': { command: CRASH, pidNamespace: 'POD' },
  }
  for (const [index, [what, request]] of Object.entries(PROCESSES).entries()) {
    t.test(`may be that of ${what}`, async t => {
      const namespace = `process-${index}`
      let pod: Pod | undefined
      const manifest = await recordOf(async () => {
        pod = await start({ namespace, ...request })
        await pod.waitExit()
      })
      t.match(manifest.workload, {
        kind: 'pod',
        pod: 'cart-0',
        podUid: pod!.uid,
        containerId: pod!.containerId,
      })
      t.equal(manifest.outcome, 'full')
    })
  }

  t.test('may be that of a process that entered the container by exec', async t => {
    const pod = await start({ namespace: 'exec' })
    const manifest = await recordOf(() => containerd.execSync(pod.containerId, CRASH))
    t.match(manifest.workload, { container: 'app', containerId: pod.containerId })
    t.equal(manifest.process!.comm, 'crasher')
  })

  t.test('counts the restarts, and has the end of the log of that very start', async t => {
    const pod = await start({ namespace: 'restarted', command: [...CRASH, '--lines', '300'] })
    await pod.waitExit()
    const manifest = await recordOf(async () => {
      const command = [...CRASH, '--print', 'second start', '--lines', '300']
      const again = await pod.runContainer({ container: 'app', image: IMAGE, command, attempt: 1 })
      await again.waitExit()
    })
    t.match(manifest.workload, { restartCount: 1, logPath: /\/1\.log$/ })
    const log = readFileSync(join(node.unpackKit(manifest), 'log'), 'utf8')
      .trimEnd()
      .split('\n')
    t.equal(log.length, 200)
    t.match(log[0], / stdout F line 101$/)
    t.match(log.at(-1), / stdout F line 300$/)
  })

  t.test('has its pod’s names although the pod is killed in mid-dump', async t => {
    const namespace = 'killed'
    const command = [...CRASH, '--sleep-ms', '200', '--mib', '1024']
    let pod: Pod | undefined
    const manifest = await recordOf(async () => {
      pod = await start({ namespace, command })
      await node.waitForUpload()
      await pod.remove()
    })
    t.match(manifest, {
      workload: { kind: 'pod', podUid: pod!.uid, container: 'app' },
      core: { complete: false },
    })
  })

  t.test('may be captured less than the node would, as its annotations say, never more', async t => {
    const policy = `[[policy.rules]]\nnamespace = "limited"\ncapture = "record"\n`
    const node = makeNode(configOf(containerd, ANSWER_MS_MAX, policy))
    t.teardown(() => node.remove())
    const crash = async (namespace: string, annotations: Record<string, string>) => {
      const pod = await start({ namespace, command: CRASH, annotations })
      await pod.waitExit()
    }
    await underPattern(node.pattern, async () => {
      await crash('lowers', { 'corelift.io/capture': 'record' })
      await crash('limited', { 'corelift.io/capture': 'full' })
      await crash('small', { 'corelift.io/core-bytes-max': '4Ki' })
      await crash('hostile', { 'corelift.io/capture': '$(reboot)' })
      await crash('nothing', { 'corelift.io/capture': 'off' })
    })
    const manifests = await node.waitForManifests(4)
    const [lowers, limited, small, hostile] = ['lowers', 'limited', 'small', 'hostile'].map(namespace =>
      ofNamespace(manifests, namespace),
    )
    t.match(lowers, { outcome: 'record', reason: 'policy', reasonText: /annotation corelift.io\/capture/ })
    t.match(lowers!.policy, { capture: 'record', from: { capture: 'annotation corelift.io/capture' } })
    t.match(limited, { outcome: 'record', reason: 'policy', reasonText: /policy.rules\[1\].capture/ })
    t.match(small, {
      outcome: 'record',
      reason: 'size',
      reasonText: /annotation corelift.io\/core-bytes-max/,
    })
    t.match(hostile, { outcome: 'full', warnings: [/annotation corelift.io\/capture is none of/] })
    t.equal(manifests.length, 4, 'of one that asked for nothing there is nothing')
  })

  t.test('has the right names while containerd hangs, and says so', async t => {
    const node = makeNode(configOf(containerd, 300))
    t.teardown(() => node.remove())
    const pod = await start({ namespace: 'frozen', command: CRASH_WHEN_KILLED })
    await underPattern(node.pattern, async () => {
      await containerd.freeze()
      process.kill(await childOf(pod.pid), 'SIGSEGV')
      await node.waitForManifests(1)
      containerd.thaw()
    })
    const [manifest] = node.manifests()
    t.match(manifest, {
      outcome: 'full',
      workload: { namespace: 'frozen', pod: 'cart-0', podUid: pod.uid, container: 'app', labels: undefined },
    })
    t.match(manifest!.workload.sources, [
      { source: 'cgroup', answered: true },
      { source: 'containerd-bundle', answered: true },
      { source: 'containerd-cri', answered: false, detail: 'no answer within 300 ms' },
    ])
  })

  t.test('would be the one that `whose` says', async t => {
    const pod = await start({ namespace: 'live', labels: { app: 'cart' } })
    const json = await node.cli('whose', String(pod.pid), '--json')
    t.match(JSON.parse(json.stdout), {
      pid: pod.pid,
      comm: 'wait',
      workload: { namespace: 'live', pod: 'cart-0', container: 'app', labels: { app: 'cart' } },
      place: { namespace: 'live', pod: 'cart-0', container: 'app' },
      policy: { capture: 'full' },
    })
    const { stdout } = await node.cli('whose', String(pod.pid))
    t.match(stdout, /namespace  live\n +pod  cart-0\n/)
    t.match(stdout, /containerd-bundle  answered in [\d.]+ ms\n/)
    t.match(stdout, /containerd-cri  answered in [\d.]+ ms\n/)
    t.match(stdout, /found as  live\/cart-0\n/)
  })

  t.test('of a container outside Kubernetes has the name that it was given', async t => {
    const manifest = await recordOf(async () => {
      const container = await containerd.runPlain('redis-1', IMAGE, CRASH)
      await container.waitExit()
    })
    t.match(manifest.workload, {
      kind: 'container',
      container: 'redis-1',
      containerId: 'redis-1',
      runtime: 'containerd',
    })
    t.match(JSON.parse((await node.cli('ls', 'redis-1', '--json')).stdout), [{ namespace: '_container' }])
  })
})
