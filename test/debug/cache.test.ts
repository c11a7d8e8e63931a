import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cacheEntries, pruneCache } from '../../src/debug/cache-prune.ts'
import { cacheBytesMax, cacheRoot } from '../../src/debug/cache-root.ts'
import { Cache, coreName, debugFileName } from '../../src/debug/cache.ts'
import { fakeLock } from '../budget/fake-lock.ts'

const NOW = new Date('2026-11-23T20:45:00Z')
const hour = (hours: number) => new Date(NOW.getTime() + hours * 3_600_000)
const KIB = 1024

async function write(cache: Cache, name: string, kib: number): Promise<void> {
  await cache.put(name, sink => sink.write(Buffer.alloc(kib * KIB, 7)))
}

/** Uses names as a run of its own would. */
async function runAt(t: Test, root: string, os: ReturnType<typeof fakeLock>, at: Date): Promise<Cache> {
  const cache = await Cache.open(root, os, at)
  t.teardown(() => cache.close().catch(() => undefined))
  return cache
}

t.test('it lies where the base directory specification says', async t => {
  t.equal(cacheRoot({ XDG_CACHE_HOME: '/x', HOME: '/home/a' }), '/x/corelift')
  t.equal(cacheRoot({ XDG_CACHE_HOME: 'relative', HOME: '/home/a' }), '/home/a/.cache/corelift')
  t.throws(() => cacheRoot({}), { code: 'E_OUTPUT' })
  t.throws(() => cacheRoot({ XDG_CACHE_HOME: '/x\ny' }), { code: 'E_OUTPUT' })
})

t.test('its limit is a size in the environment, or 10 GiB', async t => {
  t.equal(cacheBytesMax({}), 10 * 2 ** 30)
  t.equal(cacheBytesMax({ CORELIFT_CACHE_BYTES_MAX: '20GiB' }), 20 * 2 ** 30)
  t.throws(() => cacheBytesMax({ CORELIFT_CACHE_BYTES_MAX: '20G' }), { code: 'E_CONFIG' })
})

t.test('nobody else may look into it', async t => {
  const root = join(t.testdir(), 'corelift')
  const cache = await runAt(t, root, fakeLock(), NOW)
  await write(cache, 'cores/a.full', 1)
  for (const name of ['', 'cores', 'files', 'sysroots', 'runs'])
    t.equal(statSync(join(root, name)).mode & 0o777, 0o700, name)
  t.equal(statSync(join(root, 'cores/a.full')).mode & 0o777, 0o600)
})

t.test('a directory that others may write to, or that is a link, is refused', async t => {
  for (const part of ['corelift', 'corelift/files']) {
    const dir = t.testdir({ corelift: { files: {} } })
    chmodSync(join(dir, 'corelift'), 0o700)
    chmodSync(join(dir, part), 0o770)
    await t.rejects(Cache.open(join(dir, 'corelift'), fakeLock(), NOW), {
      code: 'E_OUTPUT',
      message: /by others/,
    })
  }
  const dir = t.testdir({ elsewhere: {}, corelift: {} })
  symlinkSync('../elsewhere', join(dir, 'corelift', 'cores'))
  await t.rejects(Cache.open(join(dir, 'corelift'), fakeLock(), NOW), { message: /is no directory/ })
})

t.test('one that others may read is closed to them', async t => {
  const dir = t.testdir({ corelift: {} })
  chmodSync(join(dir, 'corelift'), 0o755)
  await runAt(t, join(dir, 'corelift'), fakeLock(), NOW)
  t.equal(statSync(join(dir, 'corelift')).mode & 0o777, 0o700)
})

t.test('a file that was interrupted is none', async t => {
  const root = join(t.testdir(), 'c')
  const cache = await runAt(t, root, fakeLock(), NOW)
  const put = cache.put('files/buildid-aa', async sink => {
    await sink.write(Buffer.alloc(10))
    throw new Error('interrupted')
  })
  await t.rejects(put, { message: 'interrupted' })
  t.same(readdirSync(join(root, 'files')), [])
  t.equal(await cache.take('files/buildid-aa', undefined), false)
})

t.test(
  'a file of another size, or what is no file, is none, and is replaced without being followed',
  async t => {
    const dir = t.testdir({ precious: 'precious' })
    const root = join(dir, 'c')
    const cache = await runAt(t, root, fakeLock(), NOW)
    await write(cache, 'files/buildid-aa', 1)
    t.equal(await cache.take('files/buildid-aa', KIB), true)
    t.equal(await cache.take('files/buildid-aa', undefined), true)
    t.equal(await cache.take('files/buildid-aa', KIB + 1), false)
    symlinkSync('../../precious', join(root, 'cores', 'a.full'))
    t.equal(await cache.take('cores/a.full', 8), false)
    await write(cache, 'cores/a.full', 1)
    t.ok(lstatSync(join(root, 'cores', 'a.full')).isFile())
    t.equal(readFileSync(join(dir, 'precious'), 'utf8'), 'precious')
  },
)

t.test('what was not used for longest goes first, until there is room', async t => {
  const root = join(t.testdir(), 'c')
  const os = fakeLock()
  for (const [name, at] of [
    ['a', -5],
    ['b', -4],
    ['c', -3],
  ] as const) {
    const run = await Cache.open(root, os, hour(at))
    await write(run, `files/buildid-${name}${name}`, 64)
    await run.close()
  }
  const again = await Cache.open(root, os, hour(-1))
  t.ok(await again.take('files/buildid-aa', 64 * KIB))
  await again.close()
  const run = await runAt(t, root, os, NOW)
  const { removed, bytes } = await run.makeRoom(192 * KIB, 64 * KIB)
  t.same(removed, ['files/buildid-bb'])
  t.equal(bytes, 128 * KIB)
  t.same(readdirSync(join(root, 'files')).toSorted(), ['buildid-aa', 'buildid-cc'])
})

t.test('nothing goes that a run uses, its own or another’s; what a run that died used does', async t => {
  const root = join(t.testdir(), 'c')
  const os = fakeLock()
  const mine = await runAt(t, root, os, NOW)
  const other = await runAt(t, root, os, NOW)
  const dead = await Cache.open(root, os, NOW)
  await write(mine, 'files/buildid-aa', 64)
  await write(other, 'files/buildid-bb', 64)
  await write(dead, 'files/buildid-cc', 64)
  await dead.close()
  writeFileSync(join(root, 'runs', '1.killed'), 'files/buildid-cc\n')
  await mine.makeRoom(0, 0)
  t.same(readdirSync(join(root, 'files')).toSorted(), ['buildid-aa', 'buildid-bb'])
  t.notOk(existsSync(join(root, 'runs', '1.killed')))
  await other.close()
  await mine.makeRoom(0, 0)
  t.same(readdirSync(join(root, 'files')), ['buildid-aa'])
})

t.test('a tree of links goes before its files, and counts for nothing', async t => {
  const root = join(t.testdir(), 'c')
  const os = fakeLock()
  const run = await Cache.open(root, os, hour(-2))
  await write(run, 'files/buildid-aa', 64)
  mkdirSync(join(root, 'sysroots', 'x.1'))
  await run.touch('sysroots/x.1')
  await run.close()
  const entries = await cacheEntries(root)
  t.match(entries, [
    { name: 'sysroots/x.1', bytes: 0 },
    { name: 'files/buildid-aa', bytes: 64 * KIB },
  ])
  t.same((await pruneCache(root, os, 0, NOW)).removed, ['sysroots/x.1', 'files/buildid-aa'])
})

t.test('what a killed run wrote half goes after an hour', async t => {
  const root = join(t.testdir(), 'c')
  const os = fakeLock()
  await runAt(t, root, os, NOW)
  for (const [name, at] of [
    ['old', hour(-2)],
    ['new', hour(0)],
  ] as const) {
    writeFileSync(join(root, 'cores', `.corelift-${name}.partial`), 'x')
    utimesSync(join(root, 'cores', `.corelift-${name}.partial`), at, at)
  }
  await pruneCache(root, os, Infinity, NOW)
  t.same(readdirSync(join(root, 'cores')), ['.corelift-new.partial'])
})

t.test('two runs that write the same file leave it whole', async t => {
  const root = join(t.testdir(), 'c')
  const os = fakeLock()
  const [one, two] = [await runAt(t, root, os, NOW), await runAt(t, root, os, NOW)]
  await Promise.all([write(one, 'cores/a.full', 200), write(two, 'cores/a.full', 200)])
  t.equal(statSync(join(root, 'cores', 'a.full')).size, 200 * KIB)
  t.same(readdirSync(join(root, 'cores')), ['a.full'])
})

t.test('names are made of ids alone', async t => {
  t.equal(debugFileName('buildid/ab/executable'), 'files/buildid-ab')
  t.equal(debugFileName(`buildid/sha256-${'0'.repeat(64)}/executable`), `files/sha256-${'0'.repeat(64)}`)
  t.equal(debugFileName('buildid/../executable'), undefined)
  t.equal(coreName('x', 'mini'), 'cores/x.mini')
})
