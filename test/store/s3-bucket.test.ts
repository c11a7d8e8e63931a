// What s3-bucket.ts makes of servers that have less than AWS, or say it differently.

import t from 'tap'
import { loadConfig } from '../../src/config/load.ts'
import { openBucket } from '../../src/store/open-bucket.ts'
import { openS3Bucket } from '../../src/store/s3-bucket.ts'
import { startEmbeddedS3 } from '../lab/s3-embedded.ts'
import { asked, own, type Question, xml } from './s3-bucket-scripted.ts'
import { s3Options, writeCredentials } from './s3-options.ts'
import { type Answer, error, openScripted, status } from './s3-scripted.ts'

const QUESTIONS: readonly Question[] = [
  ...(['lifecycle', 'encryption', 'publicAccessBlock', 'policy', 'publicGrants', 'versioning'] as const),
]

t.test('what a server does not have is no answer', async t => {
  const answers: [string, Answer][] = [
    ['501', error(501, 'NotImplemented')],
    ['501 with another code', error(501, 'XNotImplemented')],
    ['405', error(405, 'MethodNotAllowed')],
    ['405 without a body', status(405)],
    ['400 NotImplemented', error(400, 'NotImplemented')],
    // Ceph 16 answers so when it is asked for the encryption.
    ['a listing', xml('ListBucketResult', '<Name>cores</Name><Prefix></Prefix>')],
  ]
  for (const [name, answer] of answers)
    for (const question of QUESTIONS)
      t.same(await asked(t, question, answer), { unanswered: 'unsupported' }, `${question}: ${name}`)
})

t.test('what credentials may not see is no answer', async t => {
  for (const question of QUESTIONS)
    t.same(await asked(t, question, error(403, 'AccessDenied')), { unanswered: 'denied' }, question)
})

t.test('what is wrong with the store is an error, whatever was asked', async t => {
  const cases: [Answer, string][] = [
    [error(404, 'NoSuchBucket'), 'E_STORE_ABSENT'],
    [error(403, 'InvalidAccessKeyId'), 'E_STORE_CREDENTIALS'],
    [error(503, 'SlowDown'), 'E_STORE_THROTTLED'],
    [error(404, 'NoSuchKey'), 'E_STORE_NO_OBJECT'],
    [status(200, '<html>log in<br></html>'), 'E_STORE_PROTOCOL'],
    [request => request.socket.destroy(), 'E_STORE_UNREACHABLE'],
  ]
  for (const [answer, code] of cases)
    for (const question of QUESTIONS) await t.rejects(asked(t, question, answer), { code }, question)
})

t.test('a body that stalls is an error in time', async t => {
  const stall: Answer = (_, response) => void response.writeHead(200, { 'content-length': '100' }).write('<')
  const { options } = await openScripted(t, [stall], { requestTimeoutSeconds: 0.3 })
  const admin = await openS3Bucket(options)
  await t.rejects(admin.versioning(), { code: 'E_STORE_UNREACHABLE' })
  admin.close()
})

t.test('a bucket that has none of it says so', async t => {
  const off = {
    blockPublicAcls: false,
    ignorePublicAcls: false,
    blockPublicPolicy: false,
    restrictPublicBuckets: false,
  }
  const cases: [Question, string, unknown][] = [
    ['lifecycle', 'NoSuchLifecycleConfiguration', []],
    ['encryption', 'ServerSideEncryptionConfigurationNotFoundError', { algorithm: null, kmsKeyId: null }],
    ['publicAccessBlock', 'NoSuchPublicAccessBlockConfiguration', off],
    ['policy', 'NoSuchBucketPolicy', 'none'],
  ]
  for (const [question, code, answer] of cases)
    t.same(await asked(t, question, error(404, code)), { answer }, question)
  t.same(await asked(t, 'versioning', xml('VersioningConfiguration')), { answer: 'off' })
})

t.test('answers are read', async t => {
  const key = 'arn:aws:kms:eu-central-1:111122223333:key/1'
  const encryption = (rule: string) =>
    xml(
      'ServerSideEncryptionConfiguration',
      `<Rule><ApplyServerSideEncryptionByDefault>${rule}</ApplyServerSideEncryptionByDefault></Rule>`,
    )
  const block =
    '<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>false</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy>'
  const found = {
    blockPublicAcls: true,
    ignorePublicAcls: false,
    blockPublicPolicy: true,
    restrictPublicBuckets: false,
  }
  const cases: [Question, Answer, unknown][] = [
    [
      'encryption',
      encryption('<SSEAlgorithm>AES256</SSEAlgorithm>'),
      { algorithm: 'AES256', kmsKeyId: null },
    ],
    [
      'encryption',
      encryption(`<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>${key}</KMSMasterKeyID>`),
      { algorithm: 'aws:kms', kmsKeyId: key },
    ],
    ['encryption', xml('ServerSideEncryptionConfiguration'), { algorithm: null, kmsKeyId: null }],
    ['publicAccessBlock', xml('PublicAccessBlockConfiguration', block), found],
    // As Ceph spells it.
    ['publicAccessBlock', xml('BlockPublicAccessBlockConfiguration', block), found],
    ['policy', xml('PolicyStatus', '<IsPublic>true</IsPublic>'), 'public'],
    ['policy', xml('PolicyStatus', '<IsPublic>false</IsPublic>'), 'private'],
    ['versioning', xml('VersioningConfiguration', '<Status>Enabled</Status>'), 'on'],
    ['versioning', xml('VersioningConfiguration', '<Status>Suspended</Status>'), 'suspended'],
  ]
  for (const [question, answer, expected] of cases)
    t.same(await asked(t, question, answer), { answer: expected }, question)
  t.same(await asked(t, 'policy', xml('PolicyStatus')), { unanswered: 'unsupported' })
  t.same(await asked(t, 'publicGrants', xml('AccessControlPolicy')), { unanswered: 'unsupported' })
})

t.test('grants to people whom nobody named are found among the others', async t => {
  const group = (name: string) =>
    `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group"><URI>http://acs.amazonaws.com/groups/${name}</URI></Grantee>`
  const user = `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>1</ID></Grantee>`
  const grant = (grantee: string, permission: string) =>
    `<Grant>${grantee}<Permission>${permission}</Permission></Grant>`
  const grants = [
    grant(user, 'FULL_CONTROL'),
    grant(group('s3/LogDelivery'), 'WRITE'),
    grant(group('global/AllUsers'), 'READ'),
    grant(group('global/AuthenticatedUsers'), 'WRITE'),
  ]
  const acl = xml(
    'AccessControlPolicy',
    `<Owner><ID>1</ID></Owner><AccessControlList>${grants.join('')}</AccessControlList>`,
  )
  t.same(await asked(t, 'publicGrants', acl), {
    answer: [
      { to: 'everybody', permission: 'READ' },
      { to: 'every AWS account', permission: 'WRITE' },
    ],
  })
})

t.test('the embedded server answers listings, and nothing is taken for good', async t => {
  const server = await startEmbeddedS3()
  t.teardown(() => server.stop())
  const admin = await openS3Bucket(s3Options(server, writeCredentials(t, server)))
  t.teardown(() => admin.close())
  for (const question of QUESTIONS) t.same(await admin[question](), { unanswered: 'unsupported' }, question)
  await t.rejects(admin.setRules([own]), { code: 'E_STORE_DENIED', message: /has no lifecycle rules/ })
})

t.test('the bucket of a store is the one in its URL, and a directory has none', async t => {
  const store = (url: string) => loadConfig({ searched: [], env: { CORELIFT_STORE_URL: url } }).config.store
  const admin = await openBucket({ ...store('s3://cores/fleet/a/'), region: 'eu-central-1' })
  t.same([admin.bucket, admin.prefix, admin.region], ['cores', 'fleet/a', 'eu-central-1'])
  admin.close()
  await t.rejects(openBucket(store('file:///srv/cores')), { code: 'E_USAGE', message: /is for buckets/ })
})
