import t from 'tap'
import { bucketPolicies } from '../../src/commands/bucket-policies.ts'
import { bucketShow } from '../../src/commands/bucket.ts'
import { loadConfig } from '../../src/config/load.ts'
import { FakeBucket } from './fake-bucket.ts'

const plain = { bucket: 'cores', prefix: 'fleet/a', region: 'eu-central-1', kmsKeyId: null }
const statement = (Sid: string, Action: string[], Resource: string, more = {}) => ({
  Sid,
  Effect: 'Allow',
  Action,
  Resource: [Resource],
  ...more,
})
const objects = 'arn:aws:s3:::cores/fleet/a/*'
const list = statement('CoreliftList', ['s3:ListBucket'], 'arn:aws:s3:::cores', {
  Condition: { StringLike: { 's3:prefix': ['fleet/a/*'] } },
})

t.test('policies allow the least', t => {
  t.same(bucketPolicies(plain), {
    nodes: {
      Version: '2012-10-17',
      Statement: [
        statement('CoreliftPut', ['s3:PutObject', 's3:AbortMultipartUpload'], objects),
        statement('CoreliftKnow', ['s3:GetObject'], 'arn:aws:s3:::cores/fleet/a/buildid/*'),
      ],
    },
    developers: {
      Version: '2012-10-17',
      Statement: [statement('CoreliftGet', ['s3:GetObject'], objects), list],
    },
    admins: {
      Version: '2012-10-17',
      Statement: [
        statement(
          'CoreliftRepair',
          ['s3:GetObject', 's3:PutObject', 's3:DeleteObject', 's3:AbortMultipartUpload'],
          objects,
        ),
        list,
        statement(
          'CoreliftBucket',
          [
            's3:ListBucketMultipartUploads',
            's3:GetLifecycleConfiguration',
            's3:PutLifecycleConfiguration',
            's3:GetEncryptionConfiguration',
            's3:GetBucketPublicAccessBlock',
            's3:GetBucketPolicyStatus',
            's3:GetBucketAcl',
            's3:GetBucketVersioning',
          ],
          'arn:aws:s3:::cores',
        ),
      ],
    },
    bucket: {
      Version: '2012-10-17',
      Statement: [
        {
          Sid: 'CoreliftTlsOnly',
          Effect: 'Deny',
          Principal: '*',
          Action: ['s3:*'],
          Resource: [objects],
          Condition: { Bool: { 'aws:SecureTransport': 'false' } },
        },
      ],
    },
  })
  t.end()
})

t.test('policies take a prefix as it is, without one the whole bucket, and a region at its word', t => {
  const resource = (facts: object) => bucketPolicies({ ...plain, ...facts }).nodes.Statement[0]?.Resource[0]
  t.equal(resource({ prefix: 'a*b' }), 'arn:aws:s3:::cores/a${*}b/*')
  t.equal(resource({ prefix: '' }), 'arn:aws:s3:::cores/*')
  t.equal(resource({ region: 'cn-north-1' }), 'arn:aws-cn:s3:::cores/fleet/a/*')
  t.equal(resource({ region: 'us-gov-west-1' }), 'arn:aws-us-gov:s3:::cores/fleet/a/*')
  t.same(
    bucketPolicies({ ...plain, prefix: '' }).developers.Statement[1],
    statement('CoreliftList', ['s3:ListBucket'], 'arn:aws:s3:::cores'),
  )
  t.end()
})

t.test('with a key of KMS, nodes may use it through S3, and only so', async t => {
  const arn = 'arn:aws:kms:eu-central-1:111122223333:key/1234'
  const viaS3 = { StringEquals: { 'kms:ViaService': 's3.eu-central-1.amazonaws.com' } }
  const both = ['kms:GenerateDataKey', 'kms:Decrypt']
  const alias = { ...viaS3, 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': ['alias/cores'] } }
  const any = 'arn:aws:kms:eu-central-1:*:key/'
  for (const [kmsKeyId, resource, Condition] of [
    [arn, arn, viaS3],
    ['1234', `${any}1234`, viaS3],
    ['alias/cores', `${any}*`, alias],
    ['arn:aws:kms:eu-central-1:111122223333:alias/cores', `${any}*`, alias],
  ] as const) {
    const { nodes, developers, admins } = bucketPolicies({ ...plain, kmsKeyId })
    t.same(nodes.Statement[2], statement('CoreliftKey', both, resource, { Condition }))
    t.same(developers.Statement[2], statement('CoreliftKey', ['kms:Decrypt'], resource, { Condition }))
    t.same(admins.Statement[3], statement('CoreliftKey', both, resource, { Condition }))
  }
  const encryption = async () => ({ answer: { algorithm: 'aws:kms', kmsKeyId: arn } })
  const keyOf = async (env: Record<string, string>) =>
    (await bucketShow(new FakeBucket([], { encryption }), loadConfig({ searched: [], env }).config)).policies
      .nodes.Statement[2]?.Resource[0]
  t.equal(await keyOf({}), arn)
  t.equal(await keyOf({ CORELIFT_STORE_ENCRYPTION: 'sse-s3' }), undefined)
  t.equal(await keyOf({ CORELIFT_STORE_ENCRYPTION: 'sse-kms', CORELIFT_STORE_KMS_KEY_ID: '99' }), `${any}99`)
})
