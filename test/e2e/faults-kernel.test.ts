// Faults through the real kernel, which holds the crashed process until the handler closes its end of the pipe: what a
// handler that is called by hand cannot show. All crashes share one hold of kernel.core_pattern.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CreateBucketCommand, ListMultipartUploadsCommand, type S3Client } from '@aws-sdk/client-s3'
import t, { type Test } from 'tap'
import { corePattern } from '../../src/kernel/core-pattern.ts'
import { createClient } from '../../src/store/s3-client.ts'
import { cephMissing, startCeph } from '../lab/ceph.ts'
import { type FaultProxy, type FaultRule, startFaultProxy } from '../lab/fault-proxy.ts'
import { noKernelControl, startCrasher, underPattern } from '../lab/kernel.ts'
import { compileFixture, makeNode, noBinary, sha256OfFile, type TestNode } from '../lab/node.ts'
import { s3Options, writeCredentials } from '../store/s3-options.ts'

const skip = noKernelControl() ?? noBinary() ?? cephMissing() ?? false
/** Five minutes of a server that is away are longer than anybody waits for a test. */
const long = process.env['CORELIFT_TEST_LONG'] === '1'
const BUCKET = 'cores'
/** Where a store that hangs must not hold anybody for longer: it is tried for much longer than the deadline and the margin. */
const SHORT = { hold: 4, retry: 40 }
/**
 * Where the whole core is expected: the handler is niced, and a busy machine alone makes 48 MiB take seconds. A core that
 * waited for the store all the same would be cut by this, and say so.
 */
const AMPLE = { hold: 60, retry: 2 }
/** Not a measurement: a process that is held for as long as a store hangs would be held for a minute and more. */
const MARGIN_SECONDS = 5

const PART = /^PUT .*[?&]partNumber=/
const hang = (match: RegExp, afterBytes: number): FaultRule => ({
  match,
  fault: { kind: 'hang', afterBytes },
})

interface Scenario {
  readonly name: string
  readonly rules?: readonly FaultRule[]
  /** The server is away from before the crash for so long. */
  readonly awaySeconds?: number
  readonly spool?: true
  /** `hold.seconds_max` and `store.retry_seconds`, where others are needed than what is expected asks for. */
  readonly patience?: { readonly hold: number; readonly retry: number }
  /** What the store has in the end: the core as it was, or less, and the record says why. */
  readonly expected: 'full' | 'less'
  /** Who brought it there, where that is no matter of chance. */
  readonly by?: 'handler' | 'sweep'
  /** Whether a copy of what the kernel sends is kept; the copier then stands between kernel and handler. */
  readonly copied?: true
  readonly skip?: string | false
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'a store that hangs from the beginning, with a spool',
    rules: [hang(/./, 0)],
    spool: true,
    expected: 'full',
  },
  { name: 'a store that hangs from the beginning, without a spool', rules: [hang(/./, 0)], expected: 'less' },
  { name: 'a store that hangs in the middle of every part', rules: [hang(PART, 100_000)], expected: 'less' },
  {
    name: 'a store that takes 100 KB/s',
    rules: [{ match: PART, fault: { kind: 'trickle', bytesPerSecond: 100_000 } }],
    spool: true,
    expected: 'full',
  },
  {
    name: 'parts that are reset in the middle, compared with what the kernel sent',
    rules: [{ match: PART, fault: { kind: 'reset', afterBytes: 100_000 } }],
    spool: true,
    expected: 'full',
    copied: true,
  },
  {
    name: 'a server that is away for ten seconds, longer than the handler tries',
    awaySeconds: 10,
    spool: true,
    expected: 'full',
    by: 'sweep',
  },
  {
    name: 'a server that is away for ten seconds, without a spool, within the time to retry',
    awaySeconds: 10,
    patience: { hold: 60, retry: 60 },
    expected: 'full',
    by: 'handler',
  },
  {
    name: 'a server that is away for five minutes, with the default deadlines',
    awaySeconds: 300,
    spool: true,
    patience: { hold: 60, retry: 60 },
    expected: 'full',
    by: 'sweep',
    skip: long ? false : 'CORELIFT_TEST_LONG is not 1',
  },
]

interface Lab {
  readonly endpoint: string
  readonly credentials: string
  readonly client: S3Client
  /** Tells handlers apart, by the crasher's comm. */
  readonly nodes: string
}

interface Played {
  readonly node: TestNode
  readonly proxy: FaultProxy
  readonly url: string
  readonly config: string
  readonly heldSeconds: number
  /** Fulfilled when the server is back. */
  readonly back: Promise<void>
}

async function makeLab(t: Test): Promise<Lab> {
  const directory = mkdtempSync(join(tmpdir(), 'corelift-faults-'))
  const nodes = mkdtempSync(join('/dev/shm', 'cf-'))
  const server = { ...(await startCeph(directory)), bucket: BUCKET }
  const credentials = writeCredentials(t, server)
  const client = await createClient(s3Options(server, credentials))
  t.teardown(async () => {
    client.destroy()
    await server.stop()
    for (const dir of [directory, nodes]) rmSync(dir, { recursive: true })
  })
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }))
  // $1 is %P, the first of the specifiers. exec: the handler itself has the kernel's pipe.
  writeFileSync(join(nodes, 'h'), `#!/bin/sh\nexec ${nodes}/$(cat /proc/$1/comm) "$@"\n`, { mode: 0o755 })
  return { endpoint: server.endpoint, credentials, client, nodes }
}

const patienceOf = ({ patience, expected }: Scenario) => patience ?? (expected === 'full' ? AMPLE : SHORT)

const configOf = (lab: Lab, endpoint: string, url: string, retrySeconds: number): string =>
  `[store]\nurl = "${url}"\nendpoint = "${endpoint}"\npath_style = true\nregion = "us-east-1"\n` +
  `credentials_file = "${lab.credentials}"\nretry_seconds = ${retrySeconds}\nrequest_timeout_seconds = 3\n`

async function crash(t: Test, lab: Lab, crasher: string, scenario: Scenario, index: number): Promise<Played> {
  const { rules = [], spool, awaySeconds } = scenario
  const patience = patienceOf(scenario)
  const proxy = await startFaultProxy(lab.endpoint)
  t.teardown(() => proxy.stop())
  proxy.set(...rules)
  const url = `s3://${BUCKET}/k${index}`
  const config =
    `[hold]\nseconds_max = ${patience.hold}\n[sweep]\ngrace_seconds = 0\n` +
    (spool ? '[spool]\ndir = "$DIR/spool"\nfree_bytes_min = 0\n' : '')
  const node = makeNode(config, configOf(lab, proxy.endpoint, url, patience.retry))
  t.teardown(() => node.remove())
  const handler = `${node.binary} handle --config ${node.configFile} "$@"`
  const script = scenario.copied ? `/usr/bin/tee ${node.teeFile} | ${handler}` : `exec ${handler}`
  writeFileSync(join(lab.nodes, `f${index}`), `#!/bin/sh\n${script}\n`, { mode: 0o755 })

  if (awaySeconds !== undefined) await proxy.fall()
  const back =
    awaySeconds === undefined ? Promise.resolve() : sleep(awaySeconds * 1000).then(() => proxy.rise())
  const begun = performance.now()
  const comm = Buffer.from(`f${index}`).toString('hex')
  await startCrasher([crasher, '--comm', comm, '--mib', '48']).ended
  return { node, proxy, url, config, back, heldSeconds: (performance.now() - begun) / 1000 }
}

/** Mends what was wrong and sweeps until nothing waits: a handler that is still at work holds its entry. */
async function mend({ node, proxy, back }: Played): Promise<void> {
  await back
  proxy.set()
  for (let tries = 0; tries < 240; tries++) {
    await node.cli('sweep', '--now')
    const { stdout } = await node.cli('status', '--json')
    if ((JSON.parse(stdout) as { waiting: unknown[] }).waiting.length === 0 && (await crashOf(node))) return
    await sleep(500)
  }
  throw new Error(`something waits for ever: ${(await node.cli('status')).stdout}`)
}

interface Listed {
  readonly id: string
  readonly comm: string
  readonly outcome: string
  readonly complete: boolean
  readonly reason: string | null
}

/** That of the test: a sweep also brings what the kernel log has of others. */
async function crashOf(node: TestNode): Promise<Listed | undefined> {
  const { stdout } = await node.cli('ls', '--json')
  return (JSON.parse(stdout || '[]') as Listed[]).find(({ comm }) => /^f\d+$/.test(comm))
}

async function check(t: Test, lab: Lab, played: Played, scenario: Scenario): Promise<void> {
  const { node, url, heldSeconds } = played
  const { hold } = patienceOf(scenario)
  t.ok(heldSeconds < hold + MARGIN_SECONDS, `let go after ${heldSeconds.toFixed(1)} s`)
  await mend(played)
  const listed = await crashOf(node)
  const prefix = `${url.slice(`s3://${BUCKET}/`.length)}/`
  const { Uploads = [] } = await lab.client.send(
    new ListMultipartUploadsCommand({ Bucket: BUCKET, Prefix: prefix }),
  )
  t.strictSame(Uploads, [], 'no upload is left unfinished')
  const verified = await node.cli('verify', '--all', '--content', '--settled', '0s')
  t.equal(verified.code, 0, verified.stdout)
  if (scenario.expected === 'less') {
    t.ok(listed!.reason !== null, 'the record says why it is not all')
    t.notOk(listed!.outcome === 'full' && listed!.complete)
    return
  }
  t.match(listed, { outcome: 'full', complete: true, reason: null })
  const { stdout } = await node.cli('info', listed!.id, '--json')
  const { delivery } = JSON.parse(stdout) as { delivery?: { by: string } }
  if (scenario.by) t.equal(delivery?.by ?? 'handler', scenario.by, 'who brought it')
  const core = join(node.dir, 'core')
  const got = await node.cli('get', listed!.id, '--full', '-o', core)
  t.equal(got.code, 0, got.stderr)
  if (scenario.copied)
    t.equal(await sha256OfFile(core), await sha256OfFile(node.teeFile), 'as the kernel sent it')
}

t.test(
  'whatever the store does, the kernel is given its process back in time',
  { skip, timeout: 900_000 },
  async t => {
    const lab = await makeLab(t)
    const crasher = compileFixture('crasher', lab.nodes)
    const played = new Map<Scenario, Played>()
    await underPattern(corePattern([join(lab.nodes, 'h')]), async () => {
      // Two at once, as the machine has processors: the others would wait for those, not for the store.
      const queue = SCENARIOS.filter(scenario => !scenario.skip).values()
      const lane = async () => {
        for (const scenario of queue)
          played.set(scenario, await crash(t, lab, crasher, scenario, SCENARIOS.indexOf(scenario)))
      }
      await Promise.all([lane(), lane()])
    })
    for (const scenario of SCENARIOS)
      await t.test(scenario.name, { skip: scenario.skip ?? false }, t =>
        check(t, lab, played.get(scenario)!, scenario),
      )
  },
)
