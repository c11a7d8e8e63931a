import t from 'tap'
import { openS3Store } from '../../src/store/s3.ts'
import { startEmbeddedS3 } from '../lab/s3-embedded.ts'
import { testStoreContract } from './contract.ts'
import { s3Options, writeCredentials } from './s3-options.ts'

t.test('the embedded S3 server', async t => {
  const server = await startEmbeddedS3()
  t.teardown(() => server.stop())
  const options = s3Options(server, writeCredentials(t, server))
  await testStoreContract(t, {
    open: place => openS3Store({ ...options, prefix: `cluster/${place}` }),
    openAbsent: () => openS3Store({ ...options, bucket: 'no-such-bucket' }),
    uploadsUnlisted: 'fauxqs knows no ListMultipartUploads',
    conditionsIgnored: 'fauxqs knows no If-None-Match',
    uploadsOfAnyKey: 'fauxqs looks at the id alone',
  })
})
