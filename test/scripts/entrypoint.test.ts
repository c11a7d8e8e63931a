// deploy/image/entrypoint.sh against an API server on loopback, with an nsenter that stays where it is. What a pod's end means for
// its node is decided there.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import {
  installed,
  linesOf,
  makePath,
  recordingCorelift,
  type RunningScript,
  scriptFile,
  startScript,
  writeScript,
} from '../lab/shell-script.ts'

const COMMANDS =
  'sh cat chmod cp curl date df dirname env getconf head id ldd ls mkdir mktemp mv rm sed sha256sum touch tr uname'.split(
    ' ',
  )
const lacking = [...COMMANDS, 'openssl'].filter(command => installed(command) === undefined)
const skip = lacking.length > 0 && `needs ${lacking.join(', ')}`

/** Directories of the node are the test's; the variables of the pod, which the node does not see, stay. */
const NSENTER = `
while [ "$1" != -- ]; do shift; done
shift
[ "$1" = env ] && shift && [ "$1" = -i ] && shift && shift
count=$#
while [ "$count" -gt 0 ]; do
  set -- "$@" "$(printf %s "$1" | sed "s,/etc/corelift,$NODE/etc/corelift,g; s,/var/lib/corelift,$NODE/var/lib/corelift,g")"
  shift
  count=$((count - 1))
done
exec "$@"
`
/** A minute is over at once, unless nothing else would happen. */
const SLEEP = '[ "$1" = 60 ] || exit 0\necho >>"$NODE/ticks"\nexec /bin/sleep 0.2\n'

const METADATA = { kind: 'PartialObjectMetadata', metadata: { name: 'corelift' } }
const THERE = { status: 200, body: METADATA }
const GOING = {
  status: 200,
  body: { ...METADATA, metadata: { name: 'corelift', deletionTimestamp: '2026-11-24T12:00:00Z' } },
}
const ABSENT = { status: 404, body: {} }
const FORBIDDEN = { status: 403, body: {} }
const UNAUTHORIZED = { status: 401, body: {} }
const BROKEN = { status: 500, body: {} }

interface Answer {
  readonly status: number
  readonly body: object
}

interface Api {
  daemonset: Answer
  namespace: Answer
  readonly requests: IncomingMessage[]
  readonly port: number
  stop(): void
}

async function startApi(t: Test, directory: string): Promise<Api> {
  const files = { key: path.join(directory, 'key'), cert: path.join(directory, 'ca.crt') }
  const subject = ['-subj', '/CN=api', '-addext', 'subjectAltName=IP:127.0.0.1']
  const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', files.key, '-out', files.cert]
  execFileSync('openssl', ['req', '-x509', ...key, '-days', '2', ...subject], { stdio: 'ignore' })
  writeFileSync(path.join(directory, 'token'), 'a-token')
  const server = createServer(
    { key: readFileSync(files.key), cert: readFileSync(files.cert) },
    (request, response) => {
      api.requests.push(request)
      const { status, body } = request.url?.endsWith('/daemonsets/corelift') ? api.daemonset : api.namespace
      response.writeHead(status).end(JSON.stringify(body))
    },
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const stop = () => {
    server.closeAllConnections()
    server.close()
  }
  t.teardown(stop)
  const { port } = server.address() as AddressInfo
  const api: Api = { daemonset: THERE, namespace: THERE, requests: [], port, stop }
  return api
}

interface Pod extends RunningScript {
  readonly dir: string
  readonly api: Api
  /** What corelift was asked for on the node. */
  asked(): string[]
  isReady(): boolean
  until(what: string, isSo: () => boolean): Promise<void>
  end(): Promise<string>
}

async function startPod(
  t: Test,
  env: Record<string, string> = {},
  before?: (api: Api) => void,
): Promise<Pod> {
  const dir = t.testdir({
    image: {},
    account: {},
    staging: {},
    prefix: {},
    files: { credentials: '[default]\n' },
    'config.toml': 'first',
    node: { etc: {}, var: { lib: { corelift: {} } } },
  })
  const at = (...names: string[]) => path.join(dir, ...names)
  const log = at('log')
  for (const script of ['deploy/image/entrypoint.sh', 'scripts/bootstrap.sh', 'scripts/uninstall.sh'])
    copyFileSync(scriptFile(script), at('image', path.basename(script)))
  const look = '[ "$1" != uninstall ] || ls "$NODE/etc/corelift" >"$NODE/had"\n'
  writeScript(at('image', 'corelift'), look + recordingCorelift(log))
  const state = `{\n  "binary": "${at('prefix')}/bin/corelift",\n}\n`
  if (env['INSTALL_STATUS'] === undefined) writeFileSync(at('node/var/lib/corelift/install.json'), state)
  const PATH = makePath(
    at('path'),
    COMMANDS.filter(name => !['id', 'getconf', 'uname'].includes(name)),
    { id: 'echo 0', getconf: 'echo glibc 2.36', uname: 'echo x86_64', nsenter: NSENTER, sleep: SLEEP },
  )
  const api = await startApi(t, at('account'))
  before?.(api)
  const running = startScript(['/bin/sh', at('image', 'entrypoint.sh')], {
    ...{ PATH, TMPDIR: at('staging'), NODE: at('node') },
    ...{ KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: `${api.port}` },
    ...{
      CORELIFT_NAMESPACE: 'corelift-system',
      CORELIFT_DAEMONSET: 'corelift',
      CORELIFT_PREFIX: at('prefix'),
    },
    ...{ CORELIFT_CONFIG: at('config.toml'), CORELIFT_FILES: at('files'), CORELIFT_ACCOUNT: at('account') },
    ...{ CORELIFT_READY: at('ready') },
    ...env,
  })
  const { child, ended } = running
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid ?? 0), 'SIGKILL')
    // All of its group hold its output: only then does nobody write into the directory any more.
    await ended
  })
  return {
    ...running,
    ...{ dir, api },
    asked: () => linesOf(log),
    isReady: () => existsSync(at('ready')),
    async until(what, isSo) {
      while (!isSo()) {
        if (child.exitCode !== null) throw new Error(`ended before ${what}: ${(await ended).stderr}`)
        await sleep(20)
      }
    },
    async end() {
      child.kill('SIGTERM')
      const { code, stdout, stderr } = await ended
      t.equal(code, 0, stderr)
      return stdout
    },
  }
}

/** It has installed, looked at the node and asked the API server, and sleeps. */
const settled = (pod: Pod) => pod.until('it settled', () => existsSync(path.join(pod.dir, 'node/ticks')))

t.test('installs what is mounted, with the credentials, and is ready then', { skip }, async t => {
  const pod = await startPod(t)
  await settled(pod)
  t.ok(pod.isReady())
  const prefix = path.join(pod.dir, 'prefix')
  const [install = '', ...others] = pod.asked()
  t.match(
    install,
    new RegExp(
      `^install --prefix ${prefix} --config /proc/\\d+/root${pod.dir}/config.toml --replace-config$`,
    ),
  )
  t.strictSame(others, ['doctor'])
  const credentials = path.join(pod.dir, 'node/etc/corelift/credentials')
  t.equal(readFileSync(credentials, 'utf8'), '[default]\n')
  t.equal(execFileSync('stat', ['-c', '%a', credentials], { encoding: 'utf8' }), '600\n')
  const [request] = pod.api.requests
  t.equal(request?.headers.authorization, 'Bearer a-token')
  t.match(request?.headers.accept, 'PartialObjectMetadata')
  t.notOk(readFileSync(`/proc/${pod.child.pid}/cmdline`, 'utf8').includes('a-token'))
})

t.test('a configuration that changes while it runs is installed too', { skip }, async t => {
  const pod = await startPod(t)
  await settled(pod)
  writeFileSync(path.join(pod.dir, 'config.toml'), 'second')
  await pod.until('the second installation', () => pod.asked().filter(line => line === 'doctor').length === 2)
  t.equal(pod.asked().filter(line => line.startsWith('install ')).length, 2)
})

for (const [what, variables] of Object.entries({
  'an installation that fails': { INSTALL_STATUS: '9' },
  'a doctor that finds something': { DOCTOR_STATUS: '9' },
})) {
  t.test(`${what} leaves the pod unready, says so, and lives to uninstall`, { skip }, async t => {
    const pod = await startPod(t, variables)
    await settled(pod)
    t.notOk(pod.isReady())
    pod.api.daemonset = ABSENT
    t.match(await pod.end(), /the installation failed|^checked$/m)
  })
}

const VERDICTS: [string, Partial<Pick<Api, 'daemonset' | 'namespace'>>, boolean][] = [
  ['an update, a drain or an eviction', {}, false],
  ['a DaemonSet that is gone', { daemonset: ABSENT }, true],
  ['a DaemonSet that is going', { daemonset: GOING }, true],
  ['a namespace that is going, its DaemonSet still there', { namespace: GOING }, true],
  ['a right to ask that is taken away', { daemonset: FORBIDDEN, namespace: FORBIDDEN }, true],
  ['an account that is taken away', { daemonset: UNAUTHORIZED, namespace: UNAUTHORIZED }, true],
  ['an API server that is broken', { daemonset: BROKEN, namespace: BROKEN }, false],
]
for (const [what, answers, uninstalls] of VERDICTS) {
  t.test(`${what}: ${uninstalls ? 'uninstalls' : 'leaves it installed'}`, { skip }, async t => {
    const pod = await startPod(t)
    await settled(pod)
    Object.assign(pod.api, answers)
    const said = await pod.end()
    t.equal(pod.asked().includes('uninstall'), uninstalls, said)
    t.equal(existsSync(path.join(pod.dir, 'node/etc/corelift/credentials')), !uninstalls)
    if (uninstalls) t.strictSame(linesOf(path.join(pod.dir, 'node/had')), ['credentials'])
    t.notOk(pod.isReady())
  })
}

t.test('an API server that does not answer: leaves it installed', { skip }, async t => {
  const pod = await startPod(t)
  await settled(pod)
  pod.api.stop()
  await pod.end()
  t.notOk(pod.asked().includes('uninstall'))
})

t.test('who never could ask takes no refusal for an answer', { skip }, async t => {
  const pod = await startPod(t, {}, api => Object.assign(api, { daemonset: FORBIDDEN, namespace: FORBIDDEN }))
  await settled(pod)
  await pod.end()
  t.notOk(pod.asked().includes('uninstall'))
})

t.test('CORELIFT_PURGE removes the configuration too', { skip }, async t => {
  const pod = await startPod(t, { CORELIFT_PURGE: 'true' })
  await settled(pod)
  pod.api.daemonset = ABSENT
  await pod.end()
  t.ok(pod.asked().includes('uninstall --purge'))
})
