import {
  chmodSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { acquireSlot, readHolder } from '../../src/budget/slots.ts'
import type { SlotOptions } from '../../src/budget/slots.ts'
import type { Place } from '../../src/crash.ts'
import type { Os } from '../../src/os/os.ts'
import { fakeLock } from './fake-lock.ts'
import { noTmpfs, stateDir } from './state-dir.ts'

const skip = noTmpfs
const place = { namespace: 'shop', pod: 'cart-1', container: 'app' }

/** Crashes of as many pods as there are calls. */
function node(os: Pick<Os, 'tryLock'>, options: Omit<SlotOptions, 'place'>) {
  let pods = 0
  return async (of: Partial<Place> = { pod: `pod-${pods++}` }) =>
    acquireSlot(os, { ...options, place: { ...place, ...of } })
}

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
  const acquire = node(fakeLock(), { stateDir: stateDir(t), slots: 2, waitSeconds: 0 })
  const [first, second] = [await acquire(), await acquire()]
  t.match([first.slot?.index, second.slot?.index], [0, 1])
  t.match(await acquire(), { slot: undefined, text: /^none of 2 slots .* became free for it within 0 s$/ })
  first.slot!.release()
  first.slot!.release()
  const third = await acquire()
  t.equal(third.slot?.index, 0, 'a slot that was given back is free, once')
  t.equal((await acquire()).slot, undefined)
  second.slot!.release()
  third.slot!.release()
})

t.test('a pod leaves a slot to others, where there is more than one', { skip }, async t => {
  const acquire = node(fakeLock(), { stateDir: stateDir(t), slots: 3, waitSeconds: 0 })
  const held = [await acquire(place), await acquire({ ...place, container: 'sidecar' })]
  t.match(held, [{ slot: { index: 0 } }, { slot: { index: 1 } }])
  t.equal((await acquire(place)).slot, undefined, 'whichever of its containers')
  const other = await acquire({ pod: 'cart-2' })
  t.equal(other.slot?.index, 2)
  held[0]!.slot!.release()
  t.equal((await acquire(place)).slot?.index, 0)

  const single = node(fakeLock(), { stateDir: stateDir(t), slots: 1, waitSeconds: 0 })
  t.equal((await single(place)).slot?.index, 0)
})

t.test('on the host a unit is what a pod is elsewhere', { skip }, async t => {
  const acquire = node(fakeLock(), { stateDir: stateDir(t), slots: 2, waitSeconds: 0 })
  const host = { namespace: '_host', pod: 'node-17' }
  t.ok((await acquire({ ...host, container: 'a.service' })).slot)
  t.notOk((await acquire({ ...host, container: 'a.service' })).slot)
  t.ok((await acquire({ ...host, container: 'b.service' })).slot)
})

t.test('the directory and its files are for their owner only, and say who holds them', { skip }, async t => {
  const directory = join(stateDir(t), 'corelift')
  const acquire = node(fakeLock(), { stateDir: directory, slots: 1, waitSeconds: 0 })
  const hostile = { namespace: 'shop', pod: '\u0000\u202e'.repeat(200), container: '"]' }
  const { slot } = await acquire(hostile)
  t.equal(statSync(directory).mode & 0o777, 0o700)
  t.strictSame(readdirSync(directory), ['slot-0'])
  const file = join(directory, 'slot-0')
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.strictSame(readHolder(openSync(file, 'r')), { ...hostile, pod: '\u0000\u202e'.repeat(32) })
  slot!.release()
  const next = await acquire({ pod: 'a' })
  t.strictSame(readHolder(openSync(file, 'r')), { ...place, pod: 'a' })
  next.slot!.release()
  for (const bad of ['', '[', '{}', '["a","b"]', '[1,2,3]', 'x'.repeat(5000)]) {
    writeFileSync(file, bad)
    t.equal(readHolder(openSync(file, 'r')), undefined, bad.slice(0, 20))
  }
})

t.test('no directory is made on the root file system', async t => {
  const directory = `/corelift-test-${process.pid}`
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  await t.rejects(acquireSlot(fakeLock(), { stateDir: directory, slots: 1, waitSeconds: 0, place }), {
    code: 'E_CONFIG',
    message: /is on the root file system|cannot be made/,
  })
  t.notOk(existsSync(directory))
})

t.test('a crash waits for a slot until the time is over, with growing pauses', { skip }, async t => {
  const { pauses, ...time } = clock()
  const acquire = node(fakeLock(), { stateDir: stateDir(t), slots: 1, waitSeconds: 10, ...time })
  await acquire()
  t.match(await acquire(), { slot: undefined, text: /within 10 s/ })
  t.equal(time.now(), 10_000)
  t.ok(pauses[0]! <= 10, 'the first pause is short')
  t.ok(Math.max(...pauses) <= 200, 'a free slot is seen soon')
})

t.test('a slot that becomes free is taken', { skip }, async t => {
  const [os, directory, time] = [fakeLock(), stateDir(t), clock()]
  const options = { stateDir: directory, slots: 1, waitSeconds: 10, place }
  const first = await acquireSlot(os, options)
  const sleep = async (pause: number) => {
    await time.sleep(pause)
    if (time.now() > 3000) first.slot!.release()
  }
  const second = await acquireSlot(os, { ...options, now: time.now, sleep })
  t.equal(second.slot?.index, 0)
  t.ok(time.now() < 4000)
})

t.test('four wait for each slot, two of a pod, and the next does not', { skip }, async t => {
  const options = { stateDir: stateDir(t), slots: 1, waitSeconds: 10 }
  const acquire = node(fakeLock(), { ...options, now: () => 0, sleep: () => setTimeout(1) })
  const first = await acquire({ pod: 'first' })
  const crash = async (of?: Partial<Place>) => {
    const { slot } = await acquire(of)
    slot?.release()
    return slot !== undefined
  }
  const waiting = [crash(place), crash(place)]
  await setTimeout(50)
  t.match(await acquire(place), { slot: undefined, text: /as many crashes wait as may/ })
  waiting.push(crash(), crash())
  await setTimeout(50)
  t.match(await acquire(), { slot: undefined, text: /as many crashes wait as may/ })
  first.slot!.release()
  t.strictSame(await Promise.all(waiting), [true, true, true, true])

  const again = await acquire({ pod: 'first' })
  const next = crash()
  await setTimeout(50)
  again.slot!.release()
  t.ok(await next, 'and their places are free again')
})

t.test('sixteen crashes at once share two slots, never more than two at a time', { skip }, async t => {
  const [os, directory] = [fakeLock(), stateDir(t)]
  let [streaming, most, stored] = [0, 0, 0]
  // Two slots have eight places to wait in: whoever finds none comes again.
  const acquire = node(os, { stateDir: directory, slots: 2, waitSeconds: 60 })
  const crash = async () => {
    let answer = await acquire()
    while (!answer.slot) {
      await setTimeout(5)
      answer = await acquire()
    }
    most = Math.max(most, ++streaming)
    await new Promise(resolve => setImmediate(resolve))
    streaming--
    stored++
    answer.slot.release()
  }
  await Promise.all(Array.from({ length: 16 }, crash))
  t.equal(stored, 16)
  t.equal(most, 2)
})

t.test('a lock of the directory that is stuck costs time, not the slot', { skip }, async t => {
  const directory = stateDir(t)
  const inode = statSync(directory).ino
  const os = { tryLock: (fd: number) => fstatSync(fd).ino !== inode }
  const acquire = node(os, { stateDir: directory, slots: 1, waitSeconds: 0, sleep: async () => undefined })
  t.equal((await acquire()).slot?.index, 0)
})

t.test('a directory that somebody else prepared is refused', { skip }, async t => {
  const parent = stateDir(t)
  const acquire = (directory: string) =>
    acquireSlot(fakeLock(), { stateDir: join(parent, directory), slots: 1, waitSeconds: 0, place })
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
