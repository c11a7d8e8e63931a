import { mkdirSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import path from 'node:path'
import t, { type Test } from 'tap'
import { examineConfig } from '../../../src/config/load.ts'
import { CoreliftError } from '../../../src/errors.ts'
import type { CheckResult } from '../../../src/node/doctor/doctor.ts'
import {
  storeClockCheck,
  storeLatencyCheck,
  storeReadCheck,
  storeRoomCheck,
  storeUploadCheck,
  storeWriteCheck,
} from '../../../src/node/doctor/store-checks.ts'
import { probeStore } from '../../../src/node/doctor/store-probe.ts'
import { doctorKey } from '../../../src/store/keys.ts'
import { openStore } from '../../../src/store/open.ts'
import { MemoryStore } from '../../store/memory.ts'
import { listening } from '../../store/s3-scripted.ts'
import { examined, fakeNode, NOW } from './examining.ts'

const CHECKS = [storeWriteCheck, storeUploadCheck, storeReadCheck, storeClockCheck, storeLatencyCheck]

const { config } = examineConfig({
  searched: [],
  env: { CORELIFT_STORE_URL: 's3://bucket/cluster', CORELIFT_NODE_NAME: 'node-17' },
})

/** What all checks say of a store. */
async function checked(
  t: Test,
  open: Parameters<typeof probeStore>[0]['openStore'],
  store = config.store,
): Promise<Record<string, CheckResult>> {
  const settings = { ...config, store: { ...store, retrySeconds: 0 } }
  const probing = probeStore({ config: settings, openStore: open, now: () => NOW })
  const node = { ...fakeNode(t, {}), config: settings, probe: () => probing }
  const results = await Promise.all(CHECKS.map(check => examined(t, check, node)))
  return Object.fromEntries(results.map(result => [result.id, result]))
}

/** An S3 server on which a node may do what it is allowed to, by the method of the request. */
async function server(
  t: Test,
  { denied = [], date, code = 'AccessDenied' }: { denied?: readonly string[]; date?: Date; code?: string },
) {
  const asked: string[] = []
  const http = createServer((request, response) => {
    request.resume()
    const what = operationOf(request)
    asked.push(`${what} ${request.url!.split('?')[0]}`)
    if (date !== undefined) response.setHeader('Date', date.toUTCString())
    else response.sendDate = false
    response.setHeader('ETag', '"e"')
    if (denied.includes(what)) response.writeHead(403).end(`<Error><Code>${code}</Code></Error>`)
    else response.writeHead(what === 'abort' || what === 'delete' ? 204 : 200).end(BODIES[what] ?? '')
  }).listen(0, '127.0.0.1')
  const { endpoint, credentialsFile } = await listening(t, http, 'http')
  return { asked, store: { ...config.store, endpoint, credentialsFile, pathStyle: true } }
}

function operationOf({ method, url = '' }: IncomingMessage): string {
  const { pathname, searchParams } = new URL(url, 'http://localhost')
  if (method === 'POST') return 'begin'
  if (method === 'PUT') return searchParams.has('partNumber') ? 'part' : 'put'
  if (method === 'DELETE') return searchParams.has('uploadId') ? 'abort' : 'delete'
  return pathname.split('/').length > 3 ? 'get' : 'list'
}

const BODIES: Readonly<Record<string, string>> = {
  begin: '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>',
  list: '<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated></ListBucketResult>',
}

t.test('a node that may put and nothing else is as recommended', async t => {
  const { asked, store } = await server(t, { denied: ['get', 'list', 'delete'], date: NOW })
  t.match(await checked(t, openStore, store), {
    'store-write': { result: 'ok', found: /^s3:\/\/bucket\/cluster: a small object in \d+ ms$/ },
    'store-upload': { result: 'ok' },
    'store-read': { result: 'ok', found: 'get and list are denied, as recommended' },
    'store-clock': { result: 'ok', found: "as the store's" },
    'store-latency': { result: 'ok' },
  })
  const key = '/bucket/cluster/doctor/node-17'
  t.same(asked, [
    `put ${key}`,
    `begin ${key}`,
    `part ${key}`,
    `abort ${key}`,
    `get ${key}`,
    'list /bucket/',
    `delete ${key}`,
  ])
})

t.test('a node that may read more is told so, and what it leaves is removed', async t => {
  const store = new MemoryStore()
  const results = await checked(t, async () => store)
  t.match(results, {
    'store-read': { result: 'ok', found: /^get is allowed and list is allowed; a node needs neither/ },
  })
  t.match(results, { 'store-clock': { result: 'skipped' } })
  t.same([store.objects.size, store.uploads.size, store.isClosed], [0, 0, true])
})

t.test('what is denied of writing is a failure, with the policy that allows it', async t => {
  const { store } = await server(t, { denied: ['put', 'begin'], date: NOW })
  t.match(await checked(t, openStore, store), {
    'store-write': { result: 'fail', found: /access denied/, fix: 'corelift bucket show --policies' },
    'store-upload': { result: 'fail', found: /access denied/ },
    'store-latency': { result: 'skipped' },
  })
})

t.test('uploads that cannot be aborted are noted', async t => {
  const { store } = await server(t, { denied: ['abort'], date: NOW })
  t.match(await checked(t, openStore, store), {
    'store-upload': {
      result: 'warn',
      found: /begun, but not aborted/,
      fix: 'corelift bucket show --policies',
    },
  })
})

t.test('a clock that is off is told by the store’s answers, refusals too', async t => {
  const at = (seconds: number) => new Date(NOW.getTime() + seconds * 1000)
  for (const [seconds, denied, clock] of [
    [30, [], { result: 'ok', found: "30 s behind the store's" }],
    [-90, [], { result: 'warn', found: "this node's clock is 90 s ahead of the store's" }],
    [1200, ['put'], { result: 'fail', found: /1200 s behind/, fix: 'timedatectl set-ntp true' }],
  ] as const) {
    await t.test(`by ${seconds} s`, async t => {
      const { store } = await server(t, { denied, date: at(seconds), code: 'RequestTimeTooSkewed' })
      t.match(await checked(t, openStore, store), { 'store-clock': clock })
    })
  }
})

t.test('of a store that does not answer nothing more is asked', async t => {
  const store = { ...config.store, endpoint: 'http://127.0.0.1:1', pathStyle: true }
  const { credentialsFile } = (await server(t, {})).store
  t.match(await checked(t, openStore, { ...store, credentialsFile }), {
    'store-write': { result: 'fail', found: /no answer/, fix: /check store\.endpoint/ },
    'store-upload': { result: 'skipped', found: /see store-write/ },
    'store-read': { result: 'skipped' },
    'store-latency': { result: 'skipped' },
  })
})

t.test('a store that cannot be opened fails one check', async t => {
  const results = await checked(t, () =>
    Promise.reject(new CoreliftError('E_CONFIG', 'no CA file', { hint: 'name one' })),
  )
  t.match(results, { 'store-write': { result: 'fail', found: 'no CA file', fix: 'name one' } })
  t.equal(Object.values(results).filter(({ result }) => result === 'fail').length, 1)
})

t.test('the environment is not the handler’s, and is there again afterwards', async t => {
  process.env['AWS_ACCESS_KEY_ID'] = 'of the shell'
  t.teardown(() => delete process.env['AWS_ACCESS_KEY_ID'])
  let seen: NodeJS.ProcessEnv = {}
  await checked(t, async () => {
    seen = { ...process.env }
    return new MemoryStore()
  })
  t.same(seen, {})
  t.equal(process.env['AWS_ACCESS_KEY_ID'], 'of the shell')
})

t.test('a directory is written to as a store, and its room looked at', async t => {
  const directory = path.join(t.testdir(), 'store')
  mkdirSync(directory)
  const store = { ...config.store, url: `file://${directory}`, allowRootFilesystem: true }
  t.match(await checked(t, openStore, store), {
    'store-write': { result: 'ok' },
    'store-upload': { result: 'ok' },
    'store-read': { result: 'ok', found: /a directory/ },
    'store-clock': { result: 'skipped' },
  })
  const node = { ...fakeNode(t, {}), config: { ...config, store } }
  t.match(await examined(t, storeRoomCheck, node), { result: /ok|warn/, found: / free/ })
  const gone = { ...config, store: { ...store, url: 'file:///nonexistent' } }
  t.match(await examined(t, storeRoomCheck, { ...node, config: gone }), { result: 'fail' })
  t.match(await examined(t, storeRoomCheck, fakeNode(t, {})), { result: 'skipped' })
})

t.test('nothing is asked where no store is configured', async t => {
  const { store } = examineConfig({ searched: [], env: {} }).config
  const node = { ...fakeNode(t, {}), config: { ...config, store } }
  for (const check of CHECKS)
    t.match(await examined(t, check, node), { result: 'skipped', found: 'store.url is not set' })
})

t.test('the key is the node’s own, as docs/format.md has it', async t => {
  t.equal(doctorKey('node-17'), 'doctor/node-17')
  t.equal(doctorKey('../x'), 'doctor/=2E.=2Fx')
  t.match(readFileSync(new URL('../../../docs/format.md', import.meta.url), 'utf8'), /^doctor\/<node>/m)
})
