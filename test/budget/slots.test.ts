import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { acquireSlot } from '../../src/budget/slots.ts'
import { fakeLock } from './fake-lock.ts'
import { noTmpfs, stateDir } from './state-dir.ts'

const skip = noTmpfs

/** A clock that only sleeping moves. */
function clock() {
  let milliseconds = 0
  const pauses: number[] = []
  return {
    pauses,
    now: () => milliseconds,
    sleep: async (pause: number) => {
      pauses.push(pause)
      milliseconds += pause
    },
  }
}

t.test('as many crashes as there are slots get one, the next gets none', { skip }, async t => {
  const [os, directory] = [fakeLock(), stateDir(t)]
  const acquire = () => acquireSlot(os, { stateDir: directory, slots: 2, waitSeconds: 0 })
  const [first, second] = [await acquire(), await acquire()]
  t.strictSame([first?.index, second?.index], [0, 1])
  t.equal(await acquire(), undefined)
  first!.release()
  first!.release()
  const third = await acquire()
  t.equal(third?.index, 0, 'a slot that was given back is free, once')
  t.equal(await acquire(), undefined)
  second!.release()
  third!.release()
})

t.test('the directory and its files are for their owner only', { skip }, async t => {
  const directory = join(stateDir(t), 'corelift')
  const slot = await acquireSlot(fakeLock(), { stateDir: directory, slots: 1, waitSeconds: 0 })
  t.equal(statSync(directory).mode & 0o777, 0o700)
  t.strictSame(readdirSync(directory), ['slot-0'])
  t.equal(statSync(join(directory, 'slot-0')).mode & 0o777, 0o600)
  slot!.release()
})

t.test('no directory is made on the root file system', async t => {
  const directory = `/corelift-test-${process.pid}`
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  await t.rejects(acquireSlot(fakeLock(), { stateDir: directory, slots: 1, waitSeconds: 0 }), {
    code: 'E_CONFIG',
    message: /is on the root file system|cannot be made/,
  })
  t.notOk(existsSync(directory))
})

t.test('a crash waits for a slot until the time is over, with growing pauses', { skip }, async t => {
  const [directory, { pauses, ...time }] = [stateDir(t), clock()]
  const never = { tryLock: () => false }
  t.equal(await acquireSlot(never, { stateDir: directory, slots: 3, waitSeconds: 10, ...time }), undefined)
  t.equal(time.now(), 10_000)
  t.ok(pauses[0]! <= 10, 'the first pause is short')
  t.ok(Math.max(...pauses) <= 200, 'a free slot is seen soon')
})

t.test('a slot that becomes free is taken', { skip }, async t => {
  const [os, directory, time] = [fakeLock(), stateDir(t), clock()]
  const options = { stateDir: directory, slots: 1, waitSeconds: 10 }
  const first = await acquireSlot(os, options)
  const sleep = async (pause: number) => {
    await time.sleep(pause)
    if (time.now() > 3000) first!.release()
  }
  const second = await acquireSlot(os, { ...options, now: time.now, sleep })
  t.equal(second?.index, 0)
  t.ok(time.now() < 4000)
  second!.release()
})

t.test('sixteen crashes at once share two slots, never more than two at a time', { skip }, async t => {
  const [os, directory] = [fakeLock(), stateDir(t)]
  let [streaming, most, stored] = [0, 0, 0]
  const crash = async () => {
    const slot = await acquireSlot(os, { stateDir: directory, slots: 2, waitSeconds: 60 })
    most = Math.max(most, ++streaming)
    await new Promise(resolve => setImmediate(resolve))
    streaming--
    stored++
    slot!.release()
  }
  await Promise.all(Array.from({ length: 16 }, crash))
  t.equal(stored, 16)
  t.equal(most, 2)
})

t.test('a directory that somebody else prepared is refused', { skip }, async t => {
  const parent = stateDir(t)
  const acquire = (directory: string) =>
    acquireSlot(fakeLock(), { stateDir: join(parent, directory), slots: 1, waitSeconds: 0 })
  mkdirSync(join(parent, 'real'))
  symlinkSync('real', join(parent, 'link'))
  await t.rejects(acquire('link'), { code: 'E_CONFIG', message: /symbolic links/ })
  writeFileSync(join(parent, 'file'), '')
  await t.rejects(acquire('file'), { code: 'E_CONFIG', message: /no directory/ })
  mkdirSync(join(parent, 'open'))
  chmodSync(join(parent, 'open'), 0o777)
  await t.rejects(acquire('open'), { code: 'E_CONFIG', message: /written by others \(mode 777\)/ })
  await t.rejects(acquire('absent/corelift'), { code: 'E_CONFIG', message: /cannot be made: ENOENT/ })
  mkdirSync(join(parent, 'planted'), { mode: 0o700 })
  symlinkSync('/dev/null', join(parent, 'planted', 'slot-0'))
  await t.rejects(acquire('planted'), { code: 'E_CONFIG', message: /ELOOP/, hint: /tmpfs/ })
})
