// The table of faults: the real handler and the real sweep before Ceph's S3, through a proxy that fails as it is told. Whatever
// it does, the process is let go, what was promised is in the store in the end, and nothing half-done counts as done.
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateBucketCommand } from '@aws-sdk/client-s3'
import t, { type Test } from 'tap'
import { createClient } from '../../../src/store/s3-client.ts'
import { buildCore } from '../../core/build-core.ts'
import { cephMissing, startCeph } from '../../lab/ceph.ts'
import { type FaultProxy, startFaultProxy } from '../../lab/fault-proxy.ts'
import { startFaultyServers } from '../../lab/faulty-servers.ts'
import { makeNode, noBinary, run, sha256OfFile, type TestNode } from '../../lab/node.ts'
import { s3Options, writeCredentials } from '../../store/s3-options.ts'
import { type Scenario, SCENARIOS } from './scenarios.ts'
import { faultsPaper, PAPER, type Outcome } from './paper.ts'

const skip = noBinary() ?? cephMissing() ?? false
const BUCKET = 'cores'
const HOLD_SECONDS = 5
/** Not a measurement: a process that is held for as long as a store hangs would be held for minutes. */
const HELD_SECONDS_MAX = HOLD_SECONDS + 5
const AT_ONCE = 3
/** Five parts, which nothing compresses. */
const CORE = incompressible(22 << 20)

function incompressible(bytes: number): Buffer {
  const built = buildCore({ segments: [{ vaddr: 0x10000n, filesz: bytes }] })
  const core = built.whole()
  randomBytes(bytes).copy(core, core.length - bytes)
  return core
}

const specifiers = [
  process.pid,
  process.pid,
  11,
  Math.floor(Date.now() / 1000),
  2n ** 64n - 1n,
  1,
  0,
  0,
  'web-0',
  '',
].map(String)

interface Lab {
  readonly endpoint: string
  readonly credentials: string
  readonly caFile: string
  readonly faulty: Readonly<Record<string, string>>
}

async function makeLab(t: Test): Promise<Lab> {
  const directory = mkdtempSync(join(tmpdir(), 'corelift-faults-'))
  const server = { ...(await startCeph(directory)), bucket: BUCKET }
  const faulty = await startFaultyServers(mkdtempSync(join(directory, 'tls-')))
  t.teardown(async () => {
    await faulty.stop()
    await server.stop()
    rmSync(directory, { recursive: true })
  })
  const credentials = writeCredentials(t, server)
  const client = await createClient(s3Options(server, credentials))
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }))
  client.destroy()
  return { endpoint: server.endpoint, credentials, caFile: faulty.caFile, faulty: faulty.servers }
}

function storeConfig(
  lab: Lab,
  url: string,
  changes: Readonly<Record<string, string>>,
  timeoutSeconds = 2,
): string {
  const keys: Record<string, string> = {
    ...{ url, endpoint: lab.endpoint, region: 'us-east-1', credentials_file: lab.credentials },
    ...(changes['endpoint']?.startsWith('https') && { ca_file: lab.caFile }),
    ...changes,
  }
  const lines = Object.entries(keys).map(([key, value]) => `${key} = ${JSON.stringify(value)}`)
  return `[store]\n${lines.join('\n')}\npath_style = true\nretry_seconds = 2\nrequest_timeout_seconds = ${timeoutSeconds}`
}

/** Runs the handler. @returns How long it held the process: until it took the last byte, or closed its end. */
async function crash(node: TestNode): Promise<{ exit: number; heldSeconds: number }> {
  const handler = spawn(node.binary, ['handle', '--config', node.configFile, ...specifiers], {
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  const exited = once(handler, 'close')
  const begun = performance.now()
  const released = new Promise<number>(resolve => {
    const done = () => resolve((performance.now() - begun) / 1000)
    handler.stdin.on('error', done)
    handler.stdin.end(CORE, done)
  })
  const [exit] = (await exited) as [number | null]
  return { exit: exit ?? -1, heldSeconds: await released }
}

async function around(scenario: Scenario, proxy: FaultProxy): Promise<() => Promise<void>> {
  if (scenario.around === undefined) return async () => undefined
  await proxy.fall()
  if (scenario.around === 'server-down') return () => proxy.rise()
  setTimeout(() => void proxy.rise(), 1000)
  return async () => undefined
}

async function play(t: Test, lab: Lab, scenario: Scenario, index: number): Promise<Outcome> {
  const url = `s3://${BUCKET}/${index}`
  const proxy = await startFaultProxy(lab.endpoint)
  t.teardown(() => proxy.stop())
  proxy.set(...(scenario.rules ?? []))
  const changes = { endpoint: proxy.endpoint, ...scenario.store }
  changes.endpoint = changes.endpoint.replace(/^\$(\w+)$/, (_, name: string) => lab.faulty[name]!)
  const budget = `[hold]\nseconds_max = ${HOLD_SECONDS}\n[sweep]\ngrace_seconds = 0\n`
  const spool = scenario.spool ? '[spool]\ndir = "$DIR/spool"\nfree_bytes_min = 0\n' : ''
  const node = makeNode(budget + spool, storeConfig(lab, url, changes, scenario.timeoutSeconds))
  t.teardown(() => node.remove())

  const undo = await around(scenario, proxy)
  const { exit, heldSeconds } = await crash(node)
  t.ok(heldSeconds < HELD_SECONDS_MAX, `let go after ${heldSeconds.toFixed(1)} s`)
  t.equal(exit, scenario.exit, 'exit code')
  const before = await inStore(lab, url)

  await undo()
  proxy.set()
  const mended = storeConfig(lab, url, {})
  writeFileSync(
    node.configFile,
    readFileSync(node.configFile, 'utf8').replace(/^\[store\][^[]*/, `${mended}\n`),
  )
  const swept = await node.cli('sweep', '--now')
  t.equal(swept.code, 0, `${swept.stdout}${swept.stderr}`)
  t.match(
    JSON.parse((await node.cli('status', '--json')).stdout),
    { waiting: [] },
    'nothing is left on the node',
  )

  const [found] = await crashesIn(lab, url)
  if (found === undefined) return t.fail('it is in the store') as never
  const kept = found.outcome === 'full' && !found.complete ? 'incomplete' : found.outcome
  t.equal(kept, scenario.expected)
  t.equal(found.reason, scenario.reason ?? null)
  await checkCore(t, lab, url, node, found)
  if (scenario.leavesUpload) {
    const left = await people(lab, url, 'verify', '--all', '--settled', '0s', '--repair')
    t.match(left, { code: 0, stdout: /upload left over: .*; aborted/ })
  }
  const verified = await people(lab, url, 'verify', '--all', '--content', '--settled', '0s')
  t.equal(verified.code, 0, verified.stdout)
  return { scenario, before, after: kept, delivered: found.delivery !== undefined }
}

interface Found {
  readonly id: string
  readonly outcome: string
  readonly complete: boolean
  readonly reason: string | null
  readonly delivery: object | undefined
}

const people = (lab: Lab, url: string, ...args: string[]) =>
  run('dist/corelift', [...args, '--store-url', url], undefined, {
    PATH: process.env['PATH'],
    AWS_SHARED_CREDENTIALS_FILE: lab.credentials,
    AWS_REGION: 'us-east-1',
    CORELIFT_STORE_ENDPOINT: lab.endpoint,
    CORELIFT_STORE_PATH_STYLE: 'true',
  })

/** Those of the tests: the sweep also brings what the kernel log has of others. */
async function crashesIn(lab: Lab, url: string): Promise<Found[]> {
  const listed = await people(lab, url, 'ls', '--since', '1h', '--json')
  const crashes = (JSON.parse(listed.stdout) as Found[]).filter(({ reason }) => !reason?.startsWith('pipe-'))
  return await Promise.all(
    crashes.map(async crash => {
      const { stdout } = await people(lab, url, 'info', crash.id, '--json')
      return { ...crash, delivery: (JSON.parse(stdout) as { delivery?: object }).delivery }
    }),
  )
}

/** By its pod, which also finds what has no manifest yet. */
async function inStore(lab: Lab, url: string): Promise<string> {
  const { stdout } = await people(lab, url, 'ls', hostname(), '-n', '_host', '--json')
  const [crash] = JSON.parse(stdout || '[]') as Found[]
  if (crash === undefined) return 'nothing'
  if (crash.outcome === 'unfinished') return 'mini core'
  return crash.complete || crash.outcome !== 'full' ? crash.outcome : 'incomplete'
}

async function checkCore(t: Test, lab: Lab, url: string, node: TestNode, { id, outcome, complete }: Found) {
  if (outcome !== 'full') return
  const output = join(node.dir, 'core')
  const { code, stderr } = await people(lab, url, 'get', id, '--full', '-o', output)
  t.equal(code, 0, stderr)
  const got = complete ? CORE : CORE.subarray(0, readFileSync(output).length)
  t.equal(await sha256OfFile(output), createHash('sha256').update(got).digest('hex'), 'as it was sent')
  t.equal(complete, got.length === CORE.length)
}

t.test('whatever a store does, nothing is lost and nobody held', { skip, timeout: 600_000 }, async t => {
  const lab = await makeLab(t)
  const only = process.env['FAULT']
  const wanted = SCENARIOS.filter(({ fault }) => only === undefined || fault.includes(only))
  const outcomes: Outcome[] = []
  t.jobs = AT_ONCE
  await Promise.all(
    wanted.map((scenario, index) =>
      t.test(scenario.fault + (scenario.spool ? '' : ' (no spool)'), { buffered: true }, async t => {
        outcomes[index] = await play(t, lab, scenario, index)
      }),
    ),
  )
  if (only !== undefined) return
  const paper = faultsPaper(outcomes)
  if (t.writeSnapshot) writeFileSync(PAPER, paper)
  t.equal(
    readFileSync(PAPER, 'utf8'),
    paper,
    'docs/faults.md says what came of them (npx tap --snapshot writes it)',
  )
})
