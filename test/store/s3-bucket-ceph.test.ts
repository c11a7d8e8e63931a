import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  CreateBucketCommand,
  GetBucketLifecycleConfigurationCommand,
  PutBucketAclCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutPublicAccessBlockCommand,
} from '@aws-sdk/client-s3'
import type { LifecycleRule } from '@aws-sdk/client-s3'
import t from 'tap'
import { bucketExit, bucketInit, type BucketReport, bucketShow } from '../../src/commands/bucket.ts'
import { loadConfig } from '../../src/config/load.ts'
import { EXIT } from '../../src/errors.ts'
import { keepAnswer } from '../../src/store/s3-body.ts'
import { createClient } from '../../src/store/s3-client.ts'
import { openS3Bucket } from '../../src/store/s3-bucket.ts'
import { cephMissing, startCeph } from '../lab/ceph.ts'
import { s3Options, writeCredentials } from './s3-options.ts'

const { config: facts } = loadConfig({ searched: [], env: { CORELIFT_STORE_ENCRYPTION: 'sse-s3' } })

t.test('a bucket of Ceph', { skip: cephMissing() ?? false, timeout: 300_000 }, async t => {
  const directory = await mkdtemp(join(tmpdir(), 'corelift-ceph-'))
  const ceph = await startCeph(directory)
  t.teardown(async () => {
    await ceph.stop()
    await rm(directory, { recursive: true })
  })
  const Bucket = 'cores'
  const options = { ...s3Options({ ...ceph, bucket: Bucket }, writeCredentials(t, ceph)), prefix: 'fleet/a' }
  const client = await createClient(options)
  await client.send(new CreateBucketCommand({ Bucket }))
  const admin = await openS3Bucket(options)
  t.teardown(() => (admin.close(), client.destroy()))

  const init = (days = {}, dryRun = false) => bucketInit(admin, facts, { days, dryRun })
  const rules = async () =>
    (await client.send(new GetBucketLifecycleConfigurationCommand({ Bucket }))).Rules ?? []
  const lifecycleXml = async () => {
    const command = new GetBucketLifecycleConfigurationCommand({ Bucket })
    const answer = keepAnswer(command)
    await client.send(command)
    return answer()
  }
  const states = (report: BucketReport) => report.rules.map(({ state }) => state)
  const finding = (report: BucketReport, about: string) =>
    report.findings.find(found => found.about === about)
  const theirs = {
    ID: 'theirs',
    Filter: { And: { Prefix: 'logs/', Tags: [{ Key: 'keep', Value: 'no' }] } },
    Status: 'Enabled' as const,
    Expiration: { Days: 3 },
  } satisfies LifecycleRule

  await t.test('without rules says so, and a dry run leaves it at that', async t => {
    t.same(states(await bucketShow(admin, facts)), ['absent', 'absent', 'absent', 'absent'])
    t.same(states(await init({}, true)), ['absent', 'absent', 'absent', 'absent'])
    await t.rejects(rules(), { name: 'NoSuchLifecycleConfiguration' })
  })

  await t.test("is given rules beside others', which stay", async t => {
    const LifecycleConfiguration = { Rules: [theirs] }
    await client.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration }))
    // Of a rule with tags, the SDK does not understand what Ceph says: it is what must not change.
    const before = await lifecycleXml()
    t.same(states(await init({ crashes: 14 })), ['set', 'set', 'set', 'set'])
    const [rule = 'none'] = /<Rule><ID>theirs<.*?<\/Rule>/s.exec(before) ?? []
    t.match(rule, '<Key>keep</Key>')
    t.ok((await lifecycleXml()).includes(rule))
    const found = await rules()
    t.equal(found.length, 5)
    const uploads = found.find(rule => rule.AbortIncompleteMultipartUpload !== undefined)
    t.equal(uploads?.AbortIncompleteMultipartUpload?.DaysAfterInitiation, 8)
    t.equal(uploads?.Filter?.Prefix ?? uploads?.Prefix, 'fleet/a/')
  })

  await t.test('is left as it is by another init, days and all', async t => {
    const before = await rules()
    const report = await init()
    t.same(
      report.rules.map(({ days, state, change }) => [days, state, change]),
      [14, 14, 90, 8].map(days => [days, 'set', null]),
    )
    t.same(await rules(), before)
  })

  await t.test('keeps the rules of another prefix', async t => {
    const other = await openS3Bucket({ ...options, prefix: 'fleet/b' })
    await bucketInit(other, facts, { days: {}, dryRun: false })
    other.close()
    t.equal((await rules()).length, 9)
    t.same(states(await bucketShow(admin, facts)), ['set', 'set', 'set', 'set'])
  })

  await t.test('says what it is that everybody may read, and what it does not say', async t => {
    const before = await bucketShow(admin, facts)
    t.match(finding(before, 'acl'), { verdict: 'good' })
    t.match(finding(before, 'policy'), { verdict: 'good' })
    t.match(finding(before, 'encryption'), { verdict: 'unknown', found: 'this server does not say' })
    t.match(finding(before, 'public access block'), { verdict: 'noted', found: 'off' })
    t.equal(bucketExit(before), EXIT.ok)
    const statement = {
      Effect: 'Allow',
      Principal: '*',
      Action: 's3:GetObject',
      Resource: `arn:aws:s3:::${Bucket}/*`,
    }
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] })
    await client.send(new PutBucketAclCommand({ Bucket, ACL: 'public-read' }))
    await client.send(new PutBucketPolicyCommand({ Bucket, Policy }))
    const open = await bucketShow(admin, facts)
    t.match(finding(open, 'acl'), { verdict: 'bad', found: 'READ for everybody' })
    t.match(finding(open, 'policy'), { verdict: 'bad' })
    t.equal(bucketExit(open), EXIT.store)
  })

  await t.test('that blocks public access is not public', async t => {
    const all = {
      BlockPublicAcls: true,
      IgnorePublicAcls: true,
      BlockPublicPolicy: true,
      RestrictPublicBuckets: true,
    }
    await client.send(new PutPublicAccessBlockCommand({ Bucket, PublicAccessBlockConfiguration: all }))
    const report = await bucketShow(admin, facts)
    t.match(finding(report, 'public access block'), { verdict: 'good' })
    t.match(finding(report, 'acl'), { verdict: 'noted' })
    t.equal(bucketExit(report), EXIT.ok)
  })

  await t.test('that keeps versions has them expire too', async t => {
    const VersioningConfiguration = { Status: 'Enabled' } as const
    await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }))
    t.same(states(await bucketShow(admin, facts)), ['differs', 'differs', 'differs', 'set'])
    t.same(states(await init()), ['set', 'set', 'set', 'set'])
    const expiring = (await rules()).filter(
      ({ NoncurrentVersionExpiration: old }) => old?.NoncurrentDays === 1,
    )
    t.equal(expiring.length, 3)
  })
})
