import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ok } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { BUCKETS_MAX } from '../../src/budget/buckets.ts'
import { returnToken, takeToken } from '../../src/budget/rate.ts'
import type { TokenRequest } from '../../src/budget/rate.ts'
import { fakeLock } from './fake-lock.ts'
import { noTmpfs, stateDir } from './state-dir.ts'

const skip = noTmpfs
const FIVE_AN_HOUR = { cores: 5, seconds: 3600 }
const START = 1_800_000_000_000

/** A node: its directory, and crashes there at a number of seconds from the start. */
function node(directory: string, os = fakeLock()) {
  const request = (seconds: number, more: Partial<TokenRequest> = {}): TokenRequest => ({
    stateDir: directory,
    name: 'shop/cart-1/app#1',
    rate: FIVE_AN_HOUR,
    now: START + seconds * 1000,
    ...more,
  })
  return {
    file: join(directory, 'buckets.json'),
    take: (seconds: number, more?: Partial<TokenRequest>) => takeToken(os, request(seconds, more)),
    giveBack: (seconds: number, more?: Partial<TokenRequest>) => returnToken(os, request(seconds, more)),
  }
}

t.test('as many cores as the rate has, then one as each is refilled', { skip }, async t => {
  const { take } = node(stateDir(t))
  for (let crash = 0; crash < 5; crash++) t.strictSame(await take(0), { granted: true })
  t.strictSame(await take(0), { granted: false, waitSeconds: 720 })
  t.match(await take(719), { granted: false, waitSeconds: 1 })
  t.strictSame(await take(720), { granted: true })
  t.match(await take(721), { granted: false })
  for (let crash = 0; crash < 5; crash++)
    t.match(await take(7200), { granted: true }, 'and never more than it holds')
  t.match(await take(7200), { granted: false })
})

t.test('a crash loop gets its rate, however often it is refused', { skip }, async t => {
  const { take } = node(stateDir(t))
  const granted: number[] = []
  for (let second = 0; second <= 3600; second++) if ((await take(second)).granted) granted.push(second)
  t.strictSame(granted, [0, 1, 2, 3, 4, 720, 1440, 2160, 2880, 3600])
})

t.test('thirds of a second do not add up to a token that is late', { skip }, async t => {
  const { take } = node(stateDir(t))
  const rate = { cores: 3, seconds: 60 }
  const granted: number[] = []
  for (let second = 0; second <= 60; second++)
    if ((await take(second, { rate })).granted) granted.push(second)
  t.strictSame(granted, [0, 1, 2, 20, 40, 60])
})

t.test('every name has its own tokens', { skip }, async t => {
  const { take } = node(stateDir(t))
  const rate = { cores: 1, seconds: 60 }
  t.match(await take(0, { rate }), { granted: true })
  t.match(await take(0, { rate }), { granted: false })
  t.match(await take(0, { rate, name: 'shop/cart-2/app#1' }), { granted: true })
})

t.test('a token that was not used is given back, once', { skip }, async t => {
  const { take, giveBack } = node(stateDir(t))
  const rate = { cores: 1, seconds: 3600 }
  await take(0, { rate })
  await giveBack(0, { rate })
  await giveBack(0, { rate })
  t.strictSame(await take(0, { rate }), { granted: true })
  t.match(await take(0, { rate }), { granted: false })
})

t.test('a clock that is put back neither gives tokens nor keeps them', { skip }, async t => {
  const { take } = node(stateDir(t))
  const rate = { cores: 2, seconds: 120 }
  t.match(await take(1_000_000, { rate }), { granted: true })
  t.match(await take(0, { rate }), { granted: true })
  t.match(await take(0, { rate }), { granted: false, waitSeconds: 60 })
  t.match(await take(60, { rate }), { granted: true })
})

t.test('a rate that was lowered is not overdrawn for longer than its period', { skip }, async t => {
  const { take } = node(stateDir(t))
  for (let crash = 0; crash < 100; crash++) await take(0, { rate: { cores: 100, seconds: 60 } })
  t.strictSame(await take(0, { rate: { cores: 1, seconds: 60 } }), { granted: false, waitSeconds: 60 })
})

t.test('whatever comes when, no period has more than twice the rate', { skip }, async t => {
  const gaps = fc.array(fc.integer({ min: 0, max: 2000 }), { maxLength: 20 })
  const rates = fc.record({ cores: fc.integer({ min: 1, max: 4 }), seconds: fc.constantFrom(60, 3600) })
  const { take } = node(stateDir(t))
  let names = 0
  await fc.assert(
    fc.asyncProperty(gaps, rates, async (gaps, rate) => {
      const name = `run ${names++}`
      const granted: number[] = []
      let second = 0
      for (const gap of gaps) {
        second += gap
        if ((await take(second, { name, rate })).granted) granted.push(second)
      }
      for (const from of granted)
        ok(granted.filter(at => at >= from && at < from + rate.seconds).length <= 2 * rate.cores)
    }),
    { numRuns: 50 },
  )
})

t.test('the file is for its owner only, names nobody and is the only one', { skip }, async t => {
  const directory = stateDir(t)
  const { take, file } = node(directory)
  await take(0, { name: 'secret-project/pod/app' })
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.notMatch(readFileSync(file, 'utf8'), /secret/)
  t.strictSame(readdirSync(directory), ['buckets.json'])
})

t.test(
  'a thousand workloads are remembered, then the one used longest ago is forgotten',
  { skip },
  async t => {
    const { take, file } = node(stateDir(t))
    const rate = { cores: 1, seconds: 86_400 }
    const taken = async (name: string) => (await take(0, { name, rate })).granted
    for (let workload = 0; workload < BUCKETS_MAX; workload++) await taken(`workload ${workload}`)
    t.notOk(await taken('workload 0'), 'remembered, and so used again')
    t.ok(await taken('one more'))
    t.notOk(await taken('workload 0'))
    t.notOk(await taken('workload 2'))
    t.ok(await taken('workload 1'), 'forgotten')
    t.ok(statSync(file).size < 128 * 1024)
  },
)

t.test('a file that is none is set aside, one only, said, and costs no core', { skip }, async t => {
  const { take, file } = node(stateDir(t))
  const entry = ['A'.repeat(22), 1, START]
  for (const bad of [
    '{"version":1,"buck',
    '[]',
    'null',
    '{"version":2,"buckets":[]}',
    '{"version":1,"buckets":[["A",1,1]]}',
    JSON.stringify({ version: 1, buckets: [[...entry, 1]] }),
    JSON.stringify({ version: 1, buckets: [entry] }).replace(',1,', ',1e999,'),
    JSON.stringify({ version: 1, buckets: [entry] }).replace(',1,', ',-1,'),
    JSON.stringify({ version: 1, buckets: Array.from({ length: BUCKETS_MAX + 1 }, () => entry) }),
    'x'.repeat(300 * 1024),
    `{"version":1,"buckets":[]}${' '.repeat(300 * 1024)}`,
  ]) {
    writeFileSync(file, bad)
    const warning = /buckets\.json in budget\.state_dir was corrupt: set aside as buckets\.json\.corrupt/
    t.match(await take(0), { granted: true, warning }, bad.slice(0, 40))
    t.equal(readFileSync(`${file}.corrupt`, 'utf8'), bad)
    t.strictSame(await take(0), { granted: true }, 'and is made anew')
  }
})

t.test('what a handler that was killed left half written is not looked at', { skip }, async t => {
  const { take, file } = node(stateDir(t))
  const rate = { cores: 1, seconds: 60 }
  await take(0, { rate })
  writeFileSync(`${file}.new`, `{"version":1,"buckets":[["${'A'.repeat(1000)}`)
  t.match(await take(0, { rate }), { granted: false })
  t.notOk(existsSync(`${file}.new`))
  t.strictSame(await take(60, { rate }), { granted: true })
})

t.test('whatever the file holds, a crash gets an answer and the next a good file', { skip }, async t => {
  const { take, file } = node(stateDir(t))
  await take(0)
  const good = readFileSync(file)
  const damage = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, byte]) => {
      const bytes = Buffer.from(good)
      bytes[at] = byte
      return bytes
    }),
    fc.nat(good.length).map(length => good.subarray(0, length)),
  )
  await fc.assert(
    fc.asyncProperty(damage, async bytes => {
      writeFileSync(file, bytes)
      await take(0)
      const { warning } = await take(0)
      ok(warning === undefined)
    }),
    { numRuns: 300 },
  )
})

t.test('a state that cannot be used grants, and says why', { skip }, async t => {
  const directory = stateDir(t)
  const { take } = node(join(directory, 'absent', 'corelift'))
  t.match(await take(0), { granted: true, warning: /no rate was kept to: .*cannot be made: ENOENT/ })

  mkdirSync(join(directory, 'buckets.json.new'))
  t.match(await node(directory).take(0), { granted: true, warning: /buckets\.json .*EISDIR/ })
})

t.test('a lock that is not given up is waited for briefly', { skip }, async t => {
  let waited = 0
  const sleep = async (milliseconds: number) => void (waited += milliseconds)
  const { take } = node(stateDir(t), { tryLock: () => false })
  t.match(await take(0, { sleep }), { granted: true, warning: /stays locked/ })
  t.ok(waited > 100 && waited < 1000)
})

t.test('many handlers at once share one bucket', { skip }, async t => {
  const { take } = node(stateDir(t))
  const answers = await Promise.all(Array.from({ length: 20 }, () => take(0)))
  t.equal(answers.filter(({ granted }) => granted).length, 5)
})
