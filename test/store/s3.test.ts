// What s3.ts does when servers and networks misbehave.

import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createTlsServer } from 'node:https'
import { join } from 'node:path'
import t from 'tap'
import type { ErrorCode } from '../../src/errors.ts'
import { withRetry } from '../../src/store/retry.ts'
import { openS3Store } from '../../src/store/s3.ts'
import { writeCredentials } from './s3-options.ts'
import { type Answer, error, listening, openScripted, started, status } from './s3-scripted.ts'

/** Of a CoreliftError. */
type Expected = { code: ErrorCode; retryable: boolean; hint?: RegExp; message?: RegExp }

const stored = status(200, '', { etag: '"e"' })
const hang: Answer = () => {}
const reset: Answer = request => request.socket.destroy()
const noRetry = { retryable: false }
const retry = { retryable: true }

t.test('answers are errors that say what to do', async t => {
  const cases: [string, Answer, Expected][] = [
    [
      '403 AccessDenied',
      error(403, 'AccessDenied'),
      { code: 'E_STORE_DENIED', ...noRetry, hint: /PutObject/ },
    ],
    ['403 InvalidAccessKeyId', error(403, 'InvalidAccessKeyId'), { code: 'E_STORE_CREDENTIALS', ...noRetry }],
    [
      '403 clock',
      error(403, 'RequestTimeTooSkewed'),
      { code: 'E_STORE_CREDENTIALS', ...noRetry, hint: /clock/ },
    ],
    ['400 ExpiredToken', error(400, 'ExpiredToken'), { code: 'E_STORE_CREDENTIALS', ...retry }],
    [
      '403 KMS',
      error(403, 'KMS.DisabledException'),
      { code: 'E_STORE_DENIED', ...noRetry, hint: /kms_key_id/ },
    ],
    ['404 NoSuchBucket', error(404, 'NoSuchBucket'), { code: 'E_STORE_ABSENT', ...noRetry }],
    ['404 NoSuchKey', error(404, 'NoSuchKey'), { code: 'E_STORE_NO_OBJECT', ...noRetry }],
    ['403 QuotaExceeded', error(403, 'QuotaExceeded'), { code: 'E_STORE_FULL', ...noRetry }],
    ['503 SlowDown', error(503, 'SlowDown'), { code: 'E_STORE_THROTTLED', ...retry }],
    ['500 InternalError', error(500, 'InternalError'), { code: 'E_STORE_UNREACHABLE', ...retry }],
    ['500 without body', status(500), { code: 'E_STORE_UNREACHABLE', ...retry }],
    ['301', error(301, 'PermanentRedirect'), { code: 'E_STORE_DENIED', ...noRetry, hint: /store\.region/ }],
    ['400 of an unknown code', error(400, 'Odd'), { code: 'E_STORE_DENIED', ...noRetry, message: /400 Odd/ }],
    ['502 from a proxy', status(502, '<html><h1>Bad gateway'), { code: 'E_STORE_PROTOCOL', ...retry }],
    ['404 from a web server', status(404, '<html>no<br></html>'), { code: 'E_STORE_PROTOCOL', ...noRetry }],
    ['200 from a captive portal', status(200, '<html>log in'), { code: 'E_STORE_PROTOCOL', ...retry }],
    ['a reset connection', reset, { code: 'E_STORE_UNREACHABLE', ...retry }],
    ['a hang', hang, { code: 'E_STORE_UNREACHABLE', ...retry, message: /in time/ }],
  ]
  for (const [name, answer, expected] of cases) {
    const { store } = await openScripted(t, [answer], { requestTimeoutSeconds: 0.3 })
    await t.rejects(store.put('key', Buffer.from('x')), expected, name)
  }
})

t.test(
  'nothing of an answer but its error code is in the message, and that without control bytes',
  async t => {
    const body =
      '<Error><Code>Odd&#10;&#27;[31m</Code><Message>AKIASECRET</Message><Token>AKIASECRET</Token></Error>'
    const { store } = await openScripted(t, [status(400, body)])
    const thrown = await store.put('key\u001b[31m', Buffer.from('x')).catch((error: unknown) => error)
    const { message, hint = '' } = thrown as { message: string; hint?: string }
    t.match(message, /^PUT key\\x1b\[31m: .*Odd\\n\\x1b\[31m/)
    t.notMatch(message + hint, /AKIASECRET|\p{Cc}/u)
  },
)

t.test('a refused connection and an unknown host are worth another try', async t => {
  const { store, options, server } = await openScripted(t, [])
  server.close()
  await t.rejects(store.stat('key'), { code: 'E_STORE_UNREACHABLE', ...retry, hint: /store\.endpoint/ })
  const nowhere = await openS3Store({ ...options, endpoint: 'http://host.invalid' })
  await t.rejects(nowhere.stat('key'), { code: 'E_STORE_UNREACHABLE', ...retry })
})

t.test('a 503 and a reset are ridden out, and the body is sent again whole', async t => {
  const { store, requests } = await openScripted(t, [error(503, 'SlowDown'), reset, stored])
  const retrying = withRetry(store, { seconds: 60, sleep: async () => {} })
  await retrying.put('cluster/key', Buffer.from('the body'))
  t.same(requests, Array(3).fill('PUT /cores/cluster/key the body'))
})

t.test('a part is sent with its length, not in chunks that older servers refuse', async t => {
  const headers: unknown[] = []
  const answer: Answer = (request, response) => {
    headers.push([request.headers['content-length'], request.headers['transfer-encoding']])
    stored(request, response)
  }
  const { store, requests } = await openScripted(t, [answer])
  const body = Buffer.alloc(1_000_001, 'part')
  await store.put('key', body)
  t.same(headers, [[String(body.length), undefined]])
  t.equal(requests[0], `PUT /cores/key ${body.toString()}`)
})

t.test('when the budget is spent the last error is thrown', async t => {
  const { store, requests } = await openScripted(t, [error(503, 'SlowDown'), error(503, 'SlowDown'), reset])
  let now = 0
  const clock = { now: () => now, sleep: async () => void (now += 600), random: () => 0.999 }
  const retrying = withRetry(store, { seconds: 1, ...clock })
  await t.rejects(retrying.put('key', Buffer.from('x')), { code: 'E_STORE_UNREACHABLE' })
  t.equal(requests.length, 3)
})

t.test('a part without ETag did not arrive', async t => {
  const { store } = await openScripted(t, [started('id'), status(200), stored])
  const upload = await store.startUpload('key')
  await t.rejects(upload.putPart(1, 0, Buffer.from('x')), { code: 'E_STORE_PROTOCOL', ...retry })
  t.same(await upload.putPart(1, 0, Buffer.from('x')), { number: 1, etag: '"e"', bytes: 1 })
})

t.test('a completion that answers 200 with an error, or nothing, is none', async t => {
  for (const [answer, code] of [
    [error(200, 'InternalError'), 'E_STORE_UNREACHABLE'],
    [status(200), 'E_STORE_UNREACHABLE'],
    [status(200, '<CompleteMultipartUploadResult/>'), 'E_STORE_PROTOCOL'],
  ] as const) {
    const { store } = await openScripted(t, [started('id'), stored, answer])
    const upload = await store.startUpload('key')
    const receipt = await upload.putPart(1, 0, Buffer.from('x'))
    await t.rejects(upload.complete([receipt]), { code, ...retry })
  }
})

t.test('a body that stalls or breaks off is an error, not a shorter object', async t => {
  const half: Answer = (_, response) => {
    response.writeHead(200, { 'content-length': 100, etag: '"e"' })
    response.write('half')
  }
  const broken: Answer = (request, response) => {
    half(request, response)
    setTimeout(() => request.socket.destroy(), 50)
  }
  for (const answer of [half, broken]) {
    const { store } = await openScripted(t, [answer], { requestTimeoutSeconds: 0.3 })
    await t.rejects(store.get('key'), { code: 'E_STORE_UNREACHABLE', ...retry })
  }
})

t.test('a server that ignores the range is not taken for one that honours it', async t => {
  const { store } = await openScripted(t, [status(200, 'whole object', { etag: '"e"' })])
  await t.rejects(store.getRange('key', 5, 3), { code: 'E_STORE_PROTOCOL', ...retry })
})

t.test('a listing that repeats its page ends', async t => {
  const page = status(
    200,
    '<ListBucketResult><Name>cores</Name><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken><Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>',
  )
  const { store } = await openScripted(t, [page, page, page])
  const listing = async () => {
    for await (const { objects } of store.list('')) t.equal(objects.length, 1)
  }
  await t.rejects(listing(), { code: 'E_STORE_PROTOCOL' })
})

t.test('encryption is asked for on objects and uploads', async t => {
  const headers: unknown[] = []
  const keep: (answer: Answer) => Answer = answer => (request, response) => {
    const { 'x-amz-server-side-encryption': kind, 'x-amz-server-side-encryption-aws-kms-key-id': key } =
      request.headers
    headers.push([kind, key])
    answer(request, response)
  }
  for (const encryption of ['bucket-default', 'sse-s3', 'sse-kms'] as const) {
    const answers = [keep(stored), keep(started('id'))]
    const { store } = await openScripted(t, answers, { encryption, kmsKeyId: 'alias/cores' })
    await store.put('key', Buffer.from('x'))
    await store.startUpload('key')
  }
  const [none, s3, kms] = [
    [undefined, undefined],
    ['AES256', undefined],
    ['aws:kms', 'alias/cores'],
  ]
  t.same(headers, [none, none, s3, s3, kms, kms])
})

t.test('credentials that were replaced in the file are used by the next try', async t => {
  const seen: string[] = []
  const answer: Answer = (request, response) => {
    seen.push(/Credential=(\w+)/.exec(request.headers.authorization ?? '')![1]!)
    stored(request, response)
  }
  const { store, options } = await openScripted(t, [answer, answer])
  await store.put('key', Buffer.from('x'))
  rmSync(options.credentialsFile!)
  writeCredentials(t, { accessKey: 'NEW', secretKey: 'SECRET' })
  await store.put('key', Buffer.from('x'))
  t.same(seen, ['OLD', 'NEW'])
})

t.test('a credentials file that is not there is an error of the credentials', async t => {
  const { options } = await openScripted(t, [])
  const store = await openS3Store({ ...options, credentialsFile: '/nonexistent/credentials' })
  await t.rejects(store.stat('key'), { code: 'E_STORE_CREDENTIALS', ...noRetry, hint: /credentials_file/ })
})

t.test(
  'a certificate is trusted when store.ca_file signs it, and only then',
  { skip: opensslMissing() },
  async t => {
    const directory = t.testdir({})
    const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
    const subject = ['-subj', '/CN=store', '-addext', 'subjectAltName=IP:127.0.0.1']
    const files = ['-keyout', key, '-out', cert, '-days', '2']
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...subject, ...files], {
      stdio: 'ignore',
    })
    const tls = { key: readFileSync(key), cert: readFileSync(cert) }
    const server = createTlsServer(tls, stored).listen(0, '127.0.0.1')
    const options = { ...(await listening(t, server, 'https')), requestTimeoutSeconds: 5 }
    const ca = join(t.testdirName, 'ca.pem')
    writeFileSync(ca, tls.cert)

    const trusting = await openS3Store({ ...options, caFile: ca })
    t.teardown(() => trusting.close())
    await t.resolves(trusting.put('key', Buffer.from('x')))
    const wary = await openS3Store(options)
    await t.rejects(wary.put('key', Buffer.from('x')), {
      code: 'E_STORE_UNREACHABLE',
      ...noRetry,
      hint: /store\.ca_file/,
    })
    await t.rejects(openS3Store({ ...options, caFile: '/nonexistent/ca.pem' }), {
      code: 'E_CONFIG',
      hint: /ca_file/,
    })
  },
)

function opensslMissing(): string | false {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return false
  } catch {
    return 'openssl is not installed'
  }
}
