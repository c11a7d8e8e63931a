import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateBucketCommand } from '@aws-sdk/client-s3'
import t from 'tap'
import { createClient } from '../../src/store/s3-client.ts'
import { openS3Store } from '../../src/store/s3.ts'
import { cephMissing, startCeph } from '../lab/ceph.ts'
import { testStoreContract } from './contract.ts'
import { s3Options, writeCredentials } from './s3-options.ts'

t.test('Ceph RADOS Gateway', { skip: cephMissing() ?? false, timeout: 300_000 }, async t => {
  const directory = await mkdtemp(join(tmpdir(), 'corelift-ceph-'))
  const ceph = await startCeph(directory)
  t.teardown(async () => {
    await ceph.stop()
    await rm(directory, { recursive: true })
  })
  const server = { ...ceph, bucket: 'cores' }
  const options = s3Options(server, writeCredentials(t, server))
  const client = await createClient(options)
  await client.send(new CreateBucketCommand({ Bucket: server.bucket }))
  client.destroy()

  await testStoreContract(t, {
    open: place => openS3Store({ ...options, prefix: `cluster/${place}` }),
    openAbsent: () => openS3Store({ ...options, bucket: 'no-such-bucket' }),
  })

  await t.test('a wrong secret and an unknown key are errors of the credentials', async t => {
    for (const wrong of [{ secretKey: 'WRONG' }, { accessKey: 'NOBODY' }]) {
      const credentials = writeCredentials(t, { ...ceph, ...wrong })
      const store = await openS3Store(s3Options(server, credentials))
      await t.rejects(store.put('a', Buffer.from('x')), {
        code: 'E_STORE_CREDENTIALS',
        retryable: false,
        hint: /credentials_file/,
      })
      store.close()
    }
  })
})
