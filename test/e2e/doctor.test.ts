// `corelift doctor` as it is built, on this machine: its kernel, its mounts, real servers.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { PutBucketPolicyCommand } from '@aws-sdk/client-s3'
import t, { type Test } from 'tap'
import { bucketPolicies } from '../../src/commands/bucket-policies.ts'
import { EXIT } from '../../src/errors.ts'
import { corePattern } from '../../src/kernel/core-pattern.ts'
import type { DoctorReport } from '../../src/node/doctor/doctor.ts'
import { createClient } from '../../src/store/s3-client.ts'
import { cephMissing, startCephWithBucket } from '../lab/ceph.ts'
import { noKernelControl, startCrasher, underPattern } from '../lab/kernel.ts'
import { BINARY, compileFixture, makeNode, noBinary, run, type TestNode } from '../lab/node.ts'
import { type S3Server, startEmbeddedS3 } from '../lab/s3-embedded.ts'
import { s3Options, writeCredentials } from '../store/s3-options.ts'

const skip = noKernelControl() ?? noBinary() ?? false

interface Examined {
  readonly code: number
  readonly report: DoctorReport
  /** Results by the ids of their checks. */
  readonly results: Readonly<Record<string, DoctorReport['checks'][number]>>
}

async function examine(node: TestNode, env?: NodeJS.ProcessEnv): Promise<Examined> {
  const args = ['doctor', '--json', '--config', node.configFile]
  const { code, stdout } = await run(BINARY, args, undefined, env)
  const report = JSON.parse(stdout) as DoctorReport
  return { code, report, results: Object.fromEntries(report.checks.map(check => [check.id, check])) }
}

function nodeFor(t: Test, ...options: Parameters<typeof makeNode>): TestNode {
  const node = makeNode(...options)
  t.teardown(() => node.remove())
  return node
}

t.test('a pattern that is not ours is a failure', { skip }, async t => {
  const node = nodeFor(t)
  const { code, results } = await underPattern('core', () => examine(node), 0)
  t.equal(code, EXIT.node)
  t.match(results, {
    'core-pattern': { result: 'fail', found: /^not ours: the kernel writes files \(core\)/ },
    'core-pipe-limit': { result: 'fail' },
  })
})

t.test('a node whose handler works is in order, also as the last crash shows', { skip }, async t => {
  const node = nodeFor(t)
  const crasher = compileFixture('crasher', node.dir)
  await underPattern(node.pattern, () => startCrasher([crasher]).ended)
  await node.waitForManifests(1)
  await node.waitForHandlers()
  await node.cli('sweep', '--now')
  const crashes = node.manifests().length
  const { code, report, results } = await underPattern(node.pattern, () => examine(node))
  t.match(results, {
    'core-pattern': { result: 'ok', found: node.pattern },
    'core-modes': { result: 'ok' },
    binary: { result: 'ok' },
    config: { result: 'ok' },
    'last-sweep': { result: 'ok' },
    'store-write': { result: 'ok' },
    'store-upload': { result: 'ok' },
    'state-dir': { result: 'ok' },
    waiting: { result: 'ok' },
    'recent-crashes': { result: 'ok', found: '1 crash, of which 0 lost and 0 spooled' },
  })
  const failed = report.checks.filter(({ result }) => result === 'fail').map(({ id }) => id)
  // The kernel log is this machine's: others' tests may just have made it start no handler.
  t.same(
    failed.filter(id => id !== 'drops'),
    [],
  )
  t.equal(code, failed.length > 0 ? EXIT.node : EXIT.ok)
  t.equal(node.manifests().length, crashes, 'what it puts is no crash')
})

t.test('a binary that is gone fails, and so does the crash that it was missing for', { skip }, async t => {
  const node = nodeFor(t)
  const crasher = compileFixture('crasher', node.dir)
  const missing = corePattern([path.join(node.dir, 'gone'), 'handle', '--config', node.configFile])
  const { code, results } = await underPattern(missing, async () => {
    await startCrasher([crasher]).ended
    return await examine(node)
  })
  t.equal(code, EXIT.node)
  t.match(results, {
    binary: { result: 'fail', found: /gone is not there$/ },
    drops: { result: 'fail', found: /[1-9]\d* by pipe-failed.*the kernel could not start the handler/ },
  })
})

t.test('a binary on a mount without exec is one that the kernel does not start', { skip }, async t => {
  const node = nodeFor(t)
  const mountPoint = path.join(node.dir, 'mnt')
  mkdirSync(mountPoint)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'noexec', 'tmpfs', mountPoint])
  t.teardown(() => execFileSync('umount', [mountPoint]))
  const binary = path.join(mountPoint, 'b')
  writeFileSync(binary, '#!/bin/sh\n', { mode: 0o755 })
  const pattern = corePattern([binary, 'handle', '--config', node.configFile])
  const { results } = await underPattern(pattern, () => examine(node))
  t.match(results, {
    binary: { result: 'fail', found: new RegExp(`${binary} is on ${mountPoint}, which is mounted noexec`) },
  })
})

const storeOn = (server: Pick<S3Server, 'endpoint' | 'bucket'>, credentials?: string) =>
  `[store]\nurl = "s3://${server.bucket}/fleet/a"\nendpoint = "${server.endpoint}"\npath_style = true\nregion = "us-east-1"\nretry_seconds = 0\n` +
  (credentials === undefined ? '' : `credentials_file = "${credentials}"\n`)

t.test('credentials that only a shell has are none of the handler’s', { skip, timeout: 120_000 }, async t => {
  const server = await startEmbeddedS3()
  t.teardown(() => server.stop())
  const credentials = writeCredentials(t, server)
  t.match((await examine(nodeFor(t, '', storeOn(server, credentials)))).results, {
    'store-write': { result: 'ok' },
    'store-upload': { result: 'ok' },
    'store-read': { found: /^get is allowed and list is allowed/ },
    'store-clock': { result: 'ok' },
  })
  const shell = { PATH: process.env['PATH'], AWS_ACCESS_KEY_ID: 'shell', AWS_SECRET_ACCESS_KEY: 'shell' }
  t.match((await examine(nodeFor(t, '', storeOn(server)), shell)).results, {
    'store-write': { result: 'fail', found: /no credentials found/, fix: /store\.credentials_file/ },
    'store-upload': { result: 'skipped' },
  })
})

t.test('a store that does not answer is told by one check', { skip, timeout: 120_000 }, async t => {
  const credentials = writeCredentials(t, { accessKey: 'k', secretKey: 's' })
  const node = nodeFor(t, '', storeOn({ endpoint: 'http://127.0.0.1:1', bucket: 'cores' }, credentials))
  t.match((await examine(node)).results, {
    'store-write': { result: 'fail', found: /no answer/ },
    'store-upload': { result: 'skipped' },
    'store-read': { result: 'skipped' },
  })
})

t.test(
  'a node with the rights that we recommend may put, and not read',
  { skip: skip || (cephMissing() ?? false), timeout: 300_000 },
  async t => {
    const directory = mkdtempSync(path.join(tmpdir(), 'corelift-ceph-'))
    const ceph = await startCephWithBucket(directory)
    t.teardown(async () => {
      await ceph.stop()
      rmSync(directory, { recursive: true })
    })
    const credentials = writeCredentials(t, ceph)
    const node = nodeFor(t, '', storeOn(ceph, credentials))
    t.match((await examine(node)).results, { 'store-read': { found: /^get is allowed/ } })

    const client = await createClient(s3Options(ceph, credentials))
    t.teardown(() => client.destroy())
    const facts = { bucket: ceph.bucket, prefix: 'fleet/a', region: 'us-east-1', kmsKeyId: null }
    // The owner may do everything: what the node's policy does not name is denied.
    const allowed = bucketPolicies(facts).nodes.Statement.find(({ Sid }) => Sid === 'CoreliftPut')!.Action
    const denied = ['s3:GetObject', 's3:DeleteObject', 's3:ListBucket'].filter(
      action => !allowed.includes(action),
    )
    const Resource = [`arn:aws:s3:::${ceph.bucket}`, `arn:aws:s3:::${ceph.bucket}/*`]
    const Statement = [{ Effect: 'Deny', Principal: '*', Action: denied, Resource }]
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
    await client.send(new PutBucketPolicyCommand({ Bucket: ceph.bucket, Policy }))
    t.match((await examine(node)).results, {
      'store-write': { result: 'ok' },
      'store-upload': { result: 'ok' },
      'store-read': { result: 'ok', found: 'get and list are denied, as recommended' },
    })
  },
)
