// What the labs promise to the tests that use them, where those would not notice that it is broken.
import { existsSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { startContainerd, whyNoContainerd } from './containerd.ts'
import { makeCrioStorage, whyNoCrioBundle } from './crio-bundle.ts'
import { startDocker, whyNoDocker } from './docker.ts'
import { compileStatic, imageArchive, PAUSE_SOURCE } from './image.ts'
import { startPodman, whyNoPodman } from './podman.ts'

const UID = '3c5e7f90-1c4e-4b7a-9a37-52d0b6f0a1c9'
const IMAGE = 'docker.io/library/lab:1'
const ECHO = '#include <stdio.h>\nint main(int n, char **words) { puts(words[n - 1]); return 7; }'

const labImage = async (): Promise<Buffer> =>
  imageArchive({
    reference: IMAGE,
    programs: { '/bin/wait': await compileStatic(PAUSE_SOURCE), '/bin/echo': await compileStatic(ECHO) },
    entrypoint: ['/bin/wait'],
  })
const waiting = { image: IMAGE, command: ['/bin/wait'] }
const cgroupOf = (pid: number): string =>
  /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1] ?? ''

t.test('containerd', { skip: whyNoContainerd() ?? false }, async t => {
  const containerd = await startContainerd(t)
  await containerd.importImage(await labImage())
  const pod = await containerd.runPod({
    namespace: 'shop',
    pod: 'web-0',
    uid: UID,
    container: 'app',
    pidNamespace: 'POD',
    ...waiting,
    command: ['/bin/echo', 'first'],
  })

  t.test('a container of a pod ends, and starts again beside a sidecar with a log of its own', async t => {
    t.match(await pod.waitExit(), { exitCode: 7 })
    const sidecar = await pod.runContainer({ container: 'proxy', ...waiting })
    const again = await pod.runContainer({
      container: 'app',
      image: IMAGE,
      command: ['/bin/echo', 'second'],
      attempt: 1,
    })
    await again.waitExit()
    t.match(readFileSync(pod.logPath, 'utf8'), / stdout F first\n$/)
    t.match(readFileSync(again.logPath, 'utf8'), / stdout F second\n$/)
    t.equal(cgroupOf(sidecar.pid), `/kubepods/burstable/pod${UID}/${sidecar.containerId}`)
    t.not(readFileSync(`/proc/${sidecar.pid}/status`, 'utf8').match(/^NSpid:\t\d+\t(\d+)$/m)?.[1], '1')
    t.same(await containerd.execSync(sidecar.containerId, ['/bin/echo', 'exec']), {
      exitCode: 7,
      stdout: 'exec\n',
      stderr: '',
    })
  })

  t.test('a plain container has the id that was asked for and is gone when removed', async t => {
    const plain = await containerd.runPlain('my-job.1', IMAGE, ['/bin/wait'])
    t.equal(cgroupOf(plain.pid), '/default/my-job.1')
    await plain.remove()
    await plain.remove()
    t.notOk(existsSync(`/proc/${plain.pid}`))
  })

  t.test('frozen, it still takes connections; thawed, it goes on', async t => {
    await containerd.freeze()
    t.match(readFileSync(`/proc/${containerd.pid}/status`, 'utf8'), /^State:\tT/m)
    const client = connect(containerd.socketPath)
    await new Promise((resolve, reject) => client.once('connect', resolve).once('error', reject))
    client.destroy()
    containerd.thaw()
    const sidecar = await pod.runContainer({ container: 'late', ...waiting })
    t.ok(existsSync(`/proc/${sidecar.pid}`))
  })
})

t.test(
  'docker: commands run in containers, whose files are below its data root',
  { skip: whyNoDocker() ?? false },
  async t => {
    const docker = await startDocker(t)
    await docker.importImage(await labImage())
    const container = await docker.runContainer({ name: 'web_1', ...waiting })
    t.same(await docker.exec(container.containerId, ['/bin/echo', 'exec']), {
      exitCode: 7,
      stdout: 'exec\n',
      stderr: '',
    })
    const files = join(docker.dataRoot, 'containers', container.containerId)
    t.equal(container.logPath, join(files, `${container.containerId}-json.log`))
    t.ok(existsSync(container.logPath))
    t.ok(existsSync(join(files, 'config.v2.json')))
    await docker.freeze()
    t.match(readFileSync(`/proc/${docker.pid}/status`, 'utf8'), /^State:\tT/m)
  },
)

t.test(
  'podman: containers in its storage, and its API service',
  { skip: whyNoPodman() ?? false },
  async t => {
    const podman = await startPodman(t)
    await podman.importImage(await labImage())
    const container = await podman.runContainer({ name: 'web_1', ...waiting, labels: { team: 'shop' } })
    const [runRoot, graphRoot] = podman.storageDirs
    const files = join('overlay-containers', container.containerId, 'userdata')
    t.equal(cgroupOf(container.pid), `/libpod_parent/libpod-${container.containerId}`)
    t.equal(readFileSync(join(runRoot, files, 'pidfile'), 'utf8'), String(container.pid))
    t.ok(existsSync(join(graphRoot, files, 'config.json')))
    t.match(await podman.exec(container.containerId, ['/bin/echo', 'exec']), {
      exitCode: 7,
      stdout: 'exec\n',
    })
    const echo = await podman.runContainer({ name: 'echo_1', image: IMAGE, command: ['/bin/echo', 'hello'] })
    t.same(await echo.waitExit(), { exitCode: 7 })
    t.match(readFileSync(echo.logPath, 'utf8'), / stdout F hello\n$/)
    t.ok(existsSync((await podman.startService()).socketPath))
  },
)

t.test(
  'CRI-O’s files: two containers of one pod, the first of them ended',
  { skip: whyNoCrioBundle() ?? false },
  async t => {
    const storage = await makeCrioStorage(t)
    const pod = { namespace: 'shop', pod: 'web-0', uid: UID, image: IMAGE }
    const program = await compileStatic(ECHO)
    const app = await storage.runContainer({ ...pod, container: 'app', program, args: ['hello'], attempt: 2 })
    t.same(await app.waitExit(), { exitCode: 7 })
    t.match(readFileSync(app.logPath, 'utf8'), / stdout F hello\n$/)
    const sidecar = await storage.runContainer({
      ...pod,
      sandboxId: app.sandboxId,
      container: 'proxy',
      program: await compileStatic(PAUSE_SOURCE),
      args: [],
    })
    t.equal(sidecar.sandboxId, app.sandboxId)
    t.equal(cgroupOf(sidecar.pid), `/kubepods/burstable/pod${UID}/crio-${sidecar.containerId}`)
    const files = join(storage.storageDir, 'overlay-containers', sidecar.containerId, 'userdata')
    t.equal(readFileSync(join(files, 'pidfile'), 'utf8'), String(sidecar.pid))
  },
)
