// What an S3 upload makes of answers that leave its end open.

import { createHash } from 'node:crypto'
import t from 'tap'
import type { Test } from 'tap'
import type { Store } from '../../src/store/store.ts'
import { type Answer, error, openScripted, started, status } from './s3-scripted.ts'

const md5 = (body: string | Buffer) => createHash('md5').update(body).digest('hex')
const stored = (etag: string) => status(200, '', { etag })
const found = (bytes: number, etag: string) => status(200, '', { 'content-length': String(bytes), etag })
const completed = (etag: string) =>
  status(
    200,
    `<CompleteMultipartUploadResult><ETag>${etag}</ETag><Key>key</Key></CompleteMultipartUploadResult>`,
  )
const gone = error(404, 'NoSuchUpload')

/** Of parts `abc` and `de`. */
const COMPOSITE = `"${md5(Buffer.from(md5('abc') + md5('de'), 'hex'))}-2"`
const RECEIPTS = [
  { number: 1, etag: `"${md5('abc')}"`, bytes: 3 },
  { number: 2, etag: `"${md5('de')}"`, bytes: 2 },
]

async function completing(t: Test, answers: readonly Answer[], receipts = RECEIPTS) {
  const { store, requests } = await openScripted(t, answers)
  const outcome = await store
    .resumeUpload('key', 'id')
    .complete(receipts)
    .catch((error: { code: string }) => error.code)
  return { outcome, requests: requests.map(request => request.split(' ')[0]).join(' ') }
}

t.test('a completion whose answer was lost is found to have succeeded, by size and content', async t => {
  for (const [name, head, expected] of [
    ['the very object', found(5, COMPOSITE), COMPOSITE],
    ['another size', found(4, COMPOSITE), 'E_STORE_NO_UPLOAD'],
    ['another content', found(5, `"${md5('x')}-2"`), 'E_STORE_NO_UPLOAD'],
    ['other parts', found(5, COMPOSITE.replace('-2', '-3')), 'E_STORE_NO_UPLOAD'],
    ['no object', status(404), 'E_STORE_NO_UPLOAD'],
    ['reading is denied', status(403), 'E_STORE_NO_UPLOAD'],
    ['reading fails: it has to be asked again', status(503), 'E_STORE_UNREACHABLE'],
  ] as const) {
    const { outcome, requests } = await completing(t, [gone, head])
    t.equal(outcome, expected, name)
    t.equal(requests, 'POST HEAD')
  }
})

t.test('where a server names parts in its own way, the size has to do', async t => {
  const receipts = RECEIPTS.map(receipt => ({ ...receipt, etag: `"part-${receipt.number}"` }))
  t.equal((await completing(t, [gone, found(5, '"any"')], receipts)).outcome, '"any"')
  t.equal((await completing(t, [gone, found(6, '"any"')], receipts)).outcome, 'E_STORE_NO_UPLOAD')
})

t.test('a server that fails at completing an upload is asked whether there is one', async t => {
  const failure = error(500, 'InternalError')
  const parts = status(200, '<ListPartsResult><UploadId>id</UploadId></ListPartsResult>')
  for (const [name, answers, expected] of [
    ['it is there', [parts, status(404)], 'E_STORE_UNREACHABLE'],
    ['the parts may not be listed', [error(403, 'AccessDenied'), status(404)], 'E_STORE_UNREACHABLE'],
    ['nobody knows', [error(503, 'SlowDown'), status(404)], 'E_STORE_UNREACHABLE'],
    ['it is gone, as S3 says it', [gone, status(404)], 'E_STORE_NO_UPLOAD'],
    ['it is gone, as Ceph says it', [error(404, 'NoSuchKey'), status(404)], 'E_STORE_NO_UPLOAD'],
    ['it was completed', [error(404, 'NoSuchKey'), found(5, COMPOSITE)], COMPOSITE],
  ] as const) {
    t.equal((await completing(t, [failure, ...answers])).outcome, expected, name)
  }
})

t.test('an etag is the same text whether a server quotes it or not', async t => {
  t.equal((await completing(t, [completed('abc-2')])).outcome, '"abc-2"')
  t.equal((await completing(t, [completed('&quot;abc-2&quot;')])).outcome, '"abc-2"')
  const { store } = await openScripted(t, [stored('abc'), found(1, 'abc')])
  t.equal(await store.put('key', Buffer.from('x')), '"abc"')
  t.match(await store.stat('key'), { bytes: 1, etag: '"abc"' })
})

t.test('an etag that a completion leaves empty is what S3 would call the object', async t => {
  t.equal((await completing(t, [completed('')])).outcome, COMPOSITE)
})

t.test('a new object is put on a condition, where the server knows it', async t => {
  const put = async (answers: readonly Answer[]) => {
    const conditions: (string | undefined)[] = []
    const noting = answers.map((answer): Answer => (request, response) => {
      conditions.push(request.headers['if-none-match'])
      answer(request, response)
    })
    const { store } = await openScripted(t, noting)
    return { etag: await store.put('key', Buffer.from('x'), { ifAbsent: true }), conditions }
  }
  t.same(await put([stored('abc')]), { etag: '"abc"', conditions: ['*'] })
  t.same(await put([error(412, 'PreconditionFailed')]), { etag: '', conditions: ['*'] })
  t.same(await put([error(409, 'ConditionalRequestConflict')]), { etag: '', conditions: ['*'] })
  t.same(await put([error(501, 'NotImplemented'), stored('abc')]), {
    etag: '"abc"',
    conditions: ['*', undefined],
  })
  await t.rejects(put([error(403, 'AccessDenied')]), { code: 'E_STORE_DENIED' })
})

t.test('objects have the type and the encoding that they are put with', async t => {
  const headers: unknown[] = []
  const noting =
    (answer: Answer): Answer =>
    (request, response) => {
      headers.push([request.headers['content-type'], request.headers['content-encoding']])
      answer(request, response)
    }
  const { store } = await openScripted(t, [noting(stored('abc')), noting(started('the-id'))])
  const about = { contentType: 'application/octet-stream', contentEncoding: 'zstd' }
  await store.put('key', Buffer.from('x'), about)
  await store.startUpload('key', about)
  t.same(headers, [
    ['application/octet-stream', 'zstd'],
    ['application/octet-stream', 'zstd'],
  ])
})

t.test('an object without ETag is no answer', async t => {
  const { store } = await openScripted(t, [status(200, '', { 'content-length': '5' }), status(200)])
  await t.rejects(store.stat('key'), { code: 'E_STORE_PROTOCOL', retryable: true })
  await t.rejects(store.put('key', Buffer.from('x')), { code: 'E_STORE_PROTOCOL', retryable: true })
})

t.test('an upload that is gone says what may have aborted it, and keeps what the server said', async t => {
  const { store } = await openScripted(t, [gone, gone, status(404)])
  const upload = store.resumeUpload('key', 'id')
  const expected = {
    code: 'E_STORE_NO_UPLOAD',
    retryable: false,
    hint: /spool\.age_max/,
    cause: { name: 'NoSuchUpload' },
  }
  await t.rejects(upload.putPart(1, 0, Buffer.from('x')), expected)
  await t.rejects(upload.complete(RECEIPTS), expected)
})

t.test('an abort that is denied is an error, of an upload that is gone none', async t => {
  const { store } = await openScripted(t, [error(403, 'AccessDenied'), gone])
  await t.rejects(store.resumeUpload('key', 'id').abort(), { code: 'E_STORE_DENIED' })
  await t.resolves(store.resumeUpload('key', 'id').abort())
})

t.test('removing what is not there is no error, whatever the server answers to that', async t => {
  const { store } = await openScripted(t, [status(204), error(404, 'NoSuchKey'), error(403, 'AccessDenied')])
  await t.resolves(store.remove('key'))
  await t.resolves(store.remove('key'))
  await t.rejects(store.remove('key'), { code: 'E_STORE_DENIED' })
})

t.test('uploads are listed below the store’s prefix, page after page', async t => {
  const urls: string[] = []
  const keep: (answer: Answer) => Answer = answer => (request, response) => {
    urls.push(request.url!)
    answer(request, response)
  }
  const answers = [keep(page(['a', '1'], true)), keep(page(['b', '2'], false))]
  const { store } = await openScripted(t, answers, { prefix: 'fleet' })
  const [first, second] = await uploadsOf(store)
  t.match(first, { key: 'a', id: '1', startedAt: new Date('2026-11-24T00:00:00Z') })
  t.match(second, { key: 'b', id: '2' })
  t.match(urls[0], /prefix=fleet%2Fcrashes%2F/)
  t.notMatch(urls[0], /marker/)
  t.match(urls[1], /key-marker=fleet%2Fa/)
  t.match(urls[1], /upload-id-marker=1/)
})

t.test('a listing of uploads that repeats its page ends, and what is none is an error', async t => {
  const repeated = page(['a', '1'], true)
  for (const answers of [[repeated, repeated, repeated], [status(200, '<ListBucketResult/>')]]) {
    const { store } = await openScripted(t, answers, { prefix: 'fleet' })
    await t.rejects(uploadsOf(store), { code: 'E_STORE_PROTOCOL' })
  }
})

t.test('an upload without id or date is not listed: it must not be taken for an old one', async t => {
  const upload = '<Upload><Key>a</Key><UploadId>1</UploadId></Upload>'
  const odd = '<Upload><Key>a</Key><Initiated>2026-11-24T00:00:00.000Z</Initiated></Upload>'
  const body = `<ListMultipartUploadsResult><Bucket>cores</Bucket>${upload}${odd}</ListMultipartUploadsResult>`
  const { store } = await openScripted(t, [status(200, body)])
  t.same(await uploadsOf(store), [])
})

t.test('an upload that is started has the id that the server gave it', async t => {
  const { store } = await openScripted(t, [started('the-id')])
  t.equal((await store.startUpload('key')).id, 'the-id')
})

function page([key, id]: readonly [string, string], goesOn: boolean): Answer {
  const markers = goesOn
    ? `<NextKeyMarker>fleet/${key}</NextKeyMarker><NextUploadIdMarker>${id}</NextUploadIdMarker>`
    : ''
  const upload = `<Upload><Key>fleet/${key}</Key><UploadId>${id}</UploadId><Initiated>2026-11-24T00:00:00.000Z</Initiated></Upload>`
  return status(
    200,
    `<ListMultipartUploadsResult><Bucket>cores</Bucket><IsTruncated>${goesOn}</IsTruncated>${markers}${upload}</ListMultipartUploadsResult>`,
  )
}

async function uploadsOf(store: Store) {
  const found = []
  for await (const page of store.listUploads('crashes/')) found.push(...page)
  return found
}
