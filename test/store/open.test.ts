import t from 'tap'
import type { Config } from '../../src/config/table.ts'
import { openStore } from '../../src/store/open.ts'

const settings: Config['store'] = {
  url: undefined,
  endpoint: undefined,
  region: undefined,
  pathStyle: false,
  credentialsFile: undefined,
  caFile: undefined,
  encryption: 'bucket-default',
  kmsKeyId: undefined,
  allowRootFilesystem: false,
  requestTimeoutSeconds: 1,
  retrySeconds: 0,
}

t.test('a file URL opens a directory, retries and all', async t => {
  const directory = t.testdir({})
  const store = await openStore({ ...settings, url: `file://${directory}/`, allowRootFilesystem: true })
  await store.put('a', Buffer.from('x'))
  t.equal((await store.stat('a'))?.bytes, 1)
  t.equal(store.url, `file://${directory}`)
})

t.test('an S3 URL opens a bucket with its prefix, without asking it anything', async t => {
  for (const [url, shown] of [
    ['s3://cores', 's3://cores'],
    ['s3://cores/', 's3://cores'],
    ['s3://cores/fleet/cluster/', 's3://cores/fleet/cluster'],
  ]) {
    const store = await openStore({ ...settings, url })
    t.equal(store.url, shown)
    store.close()
  }
})

t.test('a file store on the root file system is refused', async t => {
  const opening = openStore({ ...settings, url: 'file:///' })
  await t.rejects(opening, { code: 'E_STORE_ROOT_FILESYSTEM' })
})

t.test('without a URL, or with one of no known kind, the hint says what one looks like', async t => {
  for (const url of [undefined, '', 'http://x', 'file://host/path', 'file://']) {
    await t.rejects(openStore({ ...settings, url }), { code: 'E_CONFIG', hint: /s3:\/\/BUCKET.*file:\/\// })
  }
})
