import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { ok } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { changeLedger } from '../../src/budget/ledger-file.ts'
import { tally } from '../../src/budget/ledger.ts'
import { fakeLock } from './fake-lock.ts'
import { noTmpfs, stateDir } from './state-dir.ts'

const skip = noTmpfs
const START = 1_800_000_000_000

/** A node: its directory, and crashes that are counted there. */
function node(directory: string, os = fakeLock(), sleep?: (milliseconds: number) => Promise<unknown>) {
  const options = { stateDir: directory, wall: () => START, ...(sleep && { sleep }) }
  return {
    file: join(directory, 'ledger.json'),
    /** @returns How many were counted before. */
    count: () =>
      changeLedger(os, options, (ledger, at) => {
        const before = [...ledger.tallies.values()].reduce((sum, { count }) => sum + count, 0)
        tally(ledger, { namespace: 'shop', rung: 'record', reason: 'rate', at }, ['shop', 'cart', 'app'])
        return before
      }),
  }
}

t.test('what one handler writes the next one reads', { skip }, async t => {
  const { count } = node(stateDir(t))
  for (const result of [0, 1, 2]) t.strictSame(await count(), { result })
})

t.test('the file is for its owner only, and is the only one', { skip }, async t => {
  const directory = join(stateDir(t), 'corelift')
  const { count, file } = node(directory)
  await count()
  t.equal(statSync(directory).mode & 0o777, 0o700)
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.strictSame(readdirSync(directory), ['ledger.json'])
})

t.test('many handlers at once lose nothing', { skip }, async t => {
  const { count } = node(stateDir(t))
  const answers = await Promise.all(Array.from({ length: 20 }, count))
  t.strictSame(
    answers.map(({ result }) => result).sort((a, b) => a - b),
    [...Array(20).keys()],
  )
})

t.test('a file that is none is set aside, one only, said, and made anew', { skip }, async t => {
  const { count, file } = node(stateDir(t))
  await count()
  const good = readFileSync(file, 'utf8')
  for (const bad of [
    '',
    good.slice(0, 40),
    '[]',
    'null',
    good.replace('"version":1', '"version":2'),
    good.replace('"accounts":[]', '"accounts":[["A","workload",[],[]]]'),
    good.replace('"rate"', '"r\u0000te"'),
    good.replace('"record"', '"none"'),
    good.replace(',1,', ',1e999,'),
    good.replace(',1,', ',-1,'),
    `${good}${' '.repeat(5 * 1024 * 1024)}`,
  ]) {
    t.not(bad, good)
    writeFileSync(file, bad)
    const warning = /ledger\.json in budget\.state_dir was corrupt: set aside as ledger\.json\.corrupt/
    t.match(await count(), { result: 0, warning }, bad.slice(0, 60))
    t.equal(readFileSync(`${file}.corrupt`, 'utf8'), bad)
    t.strictSame(await count(), { result: 1 })
  }
})

t.test('what a handler that was killed left half written is not looked at', { skip }, async t => {
  const { count, file } = node(stateDir(t))
  await count()
  writeFileSync(`${file}.new`, '{"version":1,"since"')
  t.strictSame(await count(), { result: 1 })
  t.notOk(existsSync(`${file}.new`))
})

t.test('whatever the file holds, a crash gets an answer and the next a good file', { skip }, async t => {
  const { count, file } = node(stateDir(t))
  await count()
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
      await count()
      ok((await count()).warning === undefined)
    }),
    { numRuns: 300 },
  )
})

t.test('a state that cannot be used says why, and is left as it is', { skip }, async t => {
  const directory = stateDir(t)
  await t.rejects(node(join(directory, 'absent', 'corelift')).count(), {
    code: 'E_CONFIG',
    message: /cannot be made: ENOENT/,
  })
  mkdirSync(join(directory, 'ledger.json.new'))
  await t.rejects(node(directory).count(), { code: 'E_CONFIG', message: /no ledger\.json .*EISDIR/ })
  const other = stateDir(t)
  symlinkSync('/dev/null', join(other, 'ledger.json'))
  await t.rejects(node(other).count(), { code: 'E_CONFIG', message: /no ledger\.json .*ELOOP/ })
})

t.test('a lock that is not given up is waited for briefly', { skip }, async t => {
  let waited = 0
  const sleep = async (milliseconds: number) => void (waited += milliseconds)
  const stuck = node(stateDir(t), { tryLock: () => false }, sleep)
  await t.rejects(stuck.count(), { code: 'E_CONFIG', message: /stays locked by another process/ })
  t.ok(waited > 500 && waited < 1500)
})
