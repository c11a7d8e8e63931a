import t from 'tap'
import { ruleId } from '../../src/commands/bucket-rules.ts'
import {
  bucketExit,
  type BucketFacts,
  bucketInit,
  type BucketReport,
  bucketShow,
  parseDays,
} from '../../src/commands/bucket.ts'
import { renderBucket } from '../../src/commands/render-bucket.ts'
import { colorsFor } from '../../src/commands/terminal.ts'
import { loadConfig } from '../../src/config/load.ts'
import { CoreliftError, EXIT } from '../../src/errors.ts'
import type { BucketAdmin } from '../../src/store/bucket.ts'
import { FakeBucket, otherRule } from './fake-bucket.ts'
import { testIo } from './terminal.ts'

const colors = colorsFor(testIo().stdout, {}, false)

function facts(env: Record<string, string> = {}): BucketFacts {
  return loadConfig({ searched: [], env }).config
}

function init(bucket: FakeBucket, days = {}, env: Record<string, string> = {}): Promise<BucketReport> {
  return bucketInit(bucket, facts(env), { days, dryRun: false })
}

const daysOf = ({ rules }: BucketReport) => Object.fromEntries(rules.map(({ kind, days }) => [kind, days]))
const statesOf = ({ rules }: BucketReport) => rules.map(({ state }) => state)
const changesOf = ({ rules }: BucketReport) => rules.map(({ change }) => change)
const findingsOf = ({ findings }: BucketReport, about: string) =>
  findings.filter(found => found.about === about)

/** What is found of a bucket of which one thing is so. */
async function found(about: string, answers: Partial<BucketAdmin>, env: Record<string, string> = {}) {
  const bucket = new FakeBucket([], answers)
  await init(bucket).catch(() => undefined)
  const report = await bucketShow(bucket, facts(env))
  return { ...findingsOf(report, about)[0], exit: bucketExit(report), report }
}

t.test('init sets a rule for each kind, for the prefix alone', async t => {
  const bucket = new FakeBucket()
  const report = await init(bucket)
  const none = { enabled: true, expireDays: null, noncurrentDays: null, abortDays: null, more: false }
  const id = (kind: string) => `corelift-8e217c66-${kind}`
  t.match(bucket.rules, [
    { ...none, id: id('crashes'), prefix: 'fleet/a/crashes/', expireDays: 30 },
    { ...none, id: id('index'), prefix: 'fleet/a/index/', expireDays: 30 },
    { ...none, id: id('buildid'), prefix: 'fleet/a/buildid/', expireDays: 90 },
    { ...none, id: id('uploads'), prefix: 'fleet/a/', abortDays: 8 },
  ])
  t.same(changesOf(report), ['added', 'added', 'added', 'added'])
  t.same(statesOf(report), ['set', 'set', 'set', 'set'])
  t.equal(bucketExit(report), EXIT.ok)
})

t.test('a store without a prefix has rules on its own kinds, not on all of the bucket', async t => {
  const bucket = new FakeBucket([], {}, '')
  await init(bucket)
  t.same(
    bucket.rules.map(({ prefix, expireDays }) => [prefix, expireDays !== null]),
    [
      ['crashes/', true],
      ['index/', true],
      ['buildid/', true],
      ['', false],
    ],
  )
})

t.test('a second init changes nothing and writes nothing', async t => {
  const bucket = new FakeBucket()
  await init(bucket, { crashes: 7, buildid: 365, uploads: 20 })
  const before = bucket.rules
  const report = await init(bucket)
  t.equal(bucket.rules, before)
  t.equal(bucket.writes, 1)
  t.same(changesOf(report), [null, null, null, null])
  t.same(daysOf(report), { crashes: 7, index: 7, buildid: 365, uploads: 20 })
})

t.test('days that are asked for change their rules, the index with its crashes', async t => {
  const bucket = new FakeBucket()
  await init(bucket)
  const report = await init(bucket, { crashes: 60 })
  t.same(changesOf(report), ['changed', 'changed', null, null])
  t.same(daysOf(report), { crashes: 60, index: 60, buildid: 90, uploads: 8 })
})

t.test('a rule that somebody disabled, moved or added to is set right', async t => {
  for (const change of [
    { enabled: false },
    { prefix: 'elsewhere/' },
    { more: true },
    { noncurrentDays: 9 },
  ]) {
    const bucket = new FakeBucket()
    await init(bucket)
    bucket.rules = bucket.rules.map((rule, index) => (index === 0 ? { ...rule, ...change } : rule))
    const shown = await bucketShow(bucket, facts())
    t.equal(statesOf(shown)[0], 'differs')
    t.equal(bucketExit(shown), EXIT.store)
    t.same(changesOf(await init(bucket)), ['changed', null, null, null])
    t.equal(bucketExit(await bucketShow(bucket, facts())), EXIT.ok)
  }
})

t.test('rules of others and of other prefixes stay', async t => {
  const other = new FakeBucket([], {}, 'fleet/b')
  await init(other)
  const theirs = [otherRule({ prefix: 'logs/', expireDays: 1 }), ...other.rules]
  const bucket = new FakeBucket(theirs)
  t.same(findingsOf(await init(bucket), 'lifecycle'), [
    { about: 'lifecycle', verdict: 'good', found: 'no rule of others comes in the way', advice: null },
  ])
  t.same(bucket.rules.slice(0, 5), theirs)
  t.not(ruleId('fleet/a', 'crashes'), ruleId('fleet/b', 'crashes'))
})

t.test('show and a dry run change nothing, and say what is to be done', async t => {
  const bucket = new FakeBucket()
  const shown = await bucketShow(bucket, facts())
  const dry = await bucketInit(bucket, facts(), { days: { crashes: 5 }, dryRun: true })
  t.equal(bucket.writes, 0)
  t.same([statesOf(shown), changesOf(shown)], [Array(4).fill('absent'), Array(4).fill(null)])
  t.same([statesOf(dry), changesOf(dry)], [Array(4).fill('absent'), Array(4).fill('added')])
  t.same([bucketExit(shown), bucketExit(dry)], [EXIT.store, EXIT.ok])
  t.match(
    renderBucket(shown, false, colors),
    /fleet\/a\/crashes\/ +30 days +absent: corelift bucket init sets it/,
  )
  t.match(renderBucket(dry, false, colors), /fleet\/a\/crashes\/ +5 days +absent: would be added/)
})

t.test('what is told after init is what the store has', async t => {
  const bucket = new FakeBucket([], { lifecycle: async () => ({ answer: [] }) })
  const report = await init(bucket)
  t.same(statesOf(report), Array(4).fill('absent'))
  t.equal(bucketExit(report), EXIT.store)
  t.match(renderBucket(report, false, colors), /the store took it, and does not have it/)
})

t.test('in a bucket that keeps versions, they expire too', async t => {
  for (const versioning of ['on', 'suspended'] as const) {
    const bucket = new FakeBucket([], { versioning: async () => ({ answer: versioning }) })
    t.match(findingsOf(await init(bucket), 'versioning'), [{ verdict: 'noted', found: /a day later/ }])
    t.same(
      bucket.rules.map(({ noncurrentDays }) => noncurrentDays),
      [1, 1, 1, null],
    )
  }
})

t.test('uploads are not aborted while a spool may still finish them', async t => {
  const env = { CORELIFT_SPOOL_AGE_MAX: '36h' }
  t.equal(daysOf(await init(new FakeBucket(), {}, env))['uploads'], 3)
  const report = await init(new FakeBucket(), { uploads: 6 })
  t.match(findingsOf(report, 'lifecycle'), [
    { verdict: 'bad', found: /after 6 days.*for 7d/, advice: /--uploads-days 8/ },
  ])
  t.equal(bucketExit(report), EXIT.store)
  t.match(findingsOf(await init(new FakeBucket(), { uploads: 7 }), 'lifecycle'), [{ verdict: 'good' }])
})

t.test("others' rules that reach into the prefix are told", async t => {
  const cases = [
    [{ abortDays: 1 }, { verdict: 'bad', found: /aborts unfinished uploads in fleet\/a\/ after 1 day$/ }],
    [
      { expireDays: 7, prefix: 'fleet/' },
      { verdict: 'noted', found: /fleet\/a\/crashes\/ after 7 days/ },
    ],
    [
      { expireDays: 7, prefix: 'fleet/a/crashes/shop/' },
      { verdict: 'noted', found: /"theirs" of others/ },
    ],
    [{ more: true }, { verdict: 'noted', advice: /archive/ }],
    [{ expireDays: 7, enabled: false }, { verdict: 'good' }],
    [{ expireDays: 400 }, { verdict: 'good' }],
    [{ abortDays: 1, prefix: 'logs/' }, { verdict: 'good' }],
  ] as const
  for (const [rule, expected] of cases) {
    const findings = findingsOf(await init(new FakeBucket([otherRule(rule)])), 'lifecycle')
    t.match(findings[0], expected)
  }
  const reaching = await init(new FakeBucket([otherRule({ more: true })]))
  t.equal(findingsOf(reaching, 'lifecycle').length, 1, 'once, however many prefixes')
})

t.test('a bucket is found good only where that was seen', async t => {
  const off = {
    blockPublicAcls: false,
    ignorePublicAcls: false,
    blockPublicPolicy: false,
    restrictPublicBuckets: false,
  }
  const open: Partial<BucketAdmin> = { publicAccessBlock: async () => ({ answer: off }) }
  const plain: Partial<BucketAdmin> = {
    encryption: async () => ({ answer: { algorithm: null, kmsKeyId: null } }),
  }
  const isPublic: Partial<BucketAdmin> = { policy: async () => ({ answer: 'public' }) }
  const grants: Partial<BucketAdmin> = {
    publicGrants: async () => ({ answer: [{ to: 'everybody', permission: 'READ' }] }),
  }
  const cases = [
    ['encryption', {}, {}, 'good', EXIT.ok],
    ['encryption', plain, {}, 'bad', EXIT.store],
    ['encryption', plain, { CORELIFT_STORE_ENCRYPTION: 'sse-s3' }, 'good', EXIT.ok],
    ['policy', {}, {}, 'good', EXIT.ok],
    ['policy', { ...isPublic, ...open }, {}, 'bad', EXIT.store],
    ['policy', isPublic, {}, 'noted', EXIT.ok],
    ['acl', {}, {}, 'good', EXIT.ok],
    ['acl', { ...grants, ...open }, {}, 'bad', EXIT.store],
    ['acl', grants, {}, 'noted', EXIT.ok],
    ['public access block', {}, {}, 'good', EXIT.ok],
    ['public access block', open, {}, 'noted', EXIT.ok],
    ['versioning', {}, {}, 'good', EXIT.ok],
  ] as const
  for (const [about, answers, env, verdict, exit] of cases)
    t.match(await found(about, answers, env), { verdict, exit }, `${about}: ${verdict}`)
})

t.test('what the server or the credentials do not show is unknown', async t => {
  const questions = [
    ['lifecycle', 'lifecycle', 's3:GetLifecycleConfiguration'],
    ['encryption', 'encryption', 's3:GetEncryptionConfiguration'],
    ['policy', 'policy', 's3:GetBucketPolicyStatus'],
    ['publicGrants', 'acl', 's3:GetBucketAcl'],
    ['publicAccessBlock', 'public access block', 's3:GetBucketPublicAccessBlock'],
    ['versioning', 'versioning', 's3:GetBucketVersioning'],
  ] as const
  for (const [question, about, action] of questions) {
    const denied = await found(about, { [question]: async () => ({ unanswered: 'denied' }) })
    t.match(denied, { verdict: 'unknown', found: /may not see/, exit: EXIT.ok })
    t.match(denied.advice, action)
    const unsupported = await found(about, { [question]: async () => ({ unanswered: 'unsupported' }) })
    t.match(unsupported, { verdict: 'unknown', found: 'this server does not say', exit: EXIT.ok })
    t.equal(findingsOf(unsupported.report, about).length, 1)
  }
})

t.test('rules that are not known are unknown, and init fails with the store', async t => {
  const error = new CoreliftError('E_STORE_DENIED', 'the store has no lifecycle rules')
  const bucket = new FakeBucket([], {
    lifecycle: async () => ({ unanswered: 'unsupported' }),
    setRules: () => Promise.reject(error),
  })
  t.same(statesOf(await bucketShow(bucket, facts())), Array(4).fill('unknown'))
  await t.rejects(init(bucket), error)
  t.same(changesOf(await bucketInit(bucket, facts(), { days: {}, dryRun: true })), Array(4).fill(null))
})

t.test('days are whole and some', t => {
  t.same(parseDays({ crashesDays: '14', uploadsDays: '99999' }), {
    crashes: 14,
    buildid: undefined,
    uploads: 99_999,
  })
  for (const text of ['0', '-1', '1.5', '', '14d', '100000', ' 3', '1e3'])
    t.throws(() => parseDays({ buildidDays: text }), { code: 'E_USAGE', message: /--buildid-days/ }, text)
  t.end()
})

t.test('a report is read from top to bottom, and shows nothing of others raw', async t => {
  const bucket = new FakeBucket([otherRule({ id: 'x\u001b[31m', expireDays: 2 })])
  const report = await init(bucket)
  const text = renderBucket(report, false, colors)
  t.match(text, /^bucket  cores\nprefix  fleet\/a\n\nRULE +OBJECTS +AFTER +NOW\n/)
  t.match(text, /uploads +fleet\/a\/ +8 days +set, added\n/)
  t.match(text, /lifecycle +noted +rule "x\\x1b\[31m" of others/)
  t.match(text, /To do:\nlifecycle  what comes first/)
  t.notMatch(text, '\u001b')
  t.ok(text.endsWith('IAM policies: corelift bucket show --policies\n'))
  const policies = renderBucket(report, true, colors)
  t.match(policies, /Nodes \(handle, sweep\).*:\n\{\n/)
  t.match(policies, '"s3:AbortMultipartUpload"')
  t.notMatch(policies, '--policies')
})
