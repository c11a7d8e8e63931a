import fc from 'fast-check'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Cache, debugFileName } from '../../src/debug/cache.ts'
import { planSysroot, type SysrootPlan } from '../../src/debug/sysroot-plan.ts'
import { buildSysroot } from '../../src/debug/sysroot.ts'
import type { Manifest } from '../../src/store/manifest.ts'
import { fakeLock } from '../budget/fake-lock.ts'

const NOW = new Date('2026-11-23T20:45:00Z')
const keyOf = (file: number): string => `buildid/${file.toString(16).padStart(8, '0')}/executable`
const all = (): boolean => true

async function openCache(t: Test): Promise<Cache> {
  const cache = await Cache.open(join(t.testdir(), 'corelift'), fakeLock(), NOW)
  t.teardown(() => cache.close())
  return cache
}

function planOf(
  paths: readonly string[],
  names: readonly (readonly [string, number])[] = [],
  cwd = '/app',
): SysrootPlan {
  const manifest: Pick<Manifest, 'files' | 'process'> = {
    files: {
      mapped: paths.map((path, file) => ({ path, start: '0', bytes: 1, key: keyOf(file) })),
      mappedOmitted: 0,
      linkMap: names.map(([name, file]) => ({ name, file })),
      executable: 0,
    },
    process: { comm: '', exe: '', cmdline: [], cwd, root: '/', cgroup: '' },
  }
  return planSysroot(manifest)
}

async function fill(cache: Cache, plan: SysrootPlan): Promise<void> {
  for (const { key } of plan.files) await cache.put(debugFileName(key)!, sink => sink.write(Buffer.from(key)))
}

t.test('files are hard links, names are relative links', async t => {
  const cache = await openCache(t)
  const plan = planOf(['/usr/bin/app', '/usr/lib/libc.so.6'], [['/lib64/libc.so.6', 1]])
  await fill(cache, plan)
  const tree = cache.path(await buildSysroot(cache, 'id', plan, all))
  t.equal(readFileSync(join(tree, 'lib64/libc.so.6'), 'utf8'), keyOf(1))
  t.equal(statSync(join(tree, 'usr/bin/app')).nlink, 2)
  t.ok(lstatSync(join(tree, 'lib64/libc.so.6')).isSymbolicLink())
  t.equal(await buildSysroot(cache, 'id', plan, all), `sysroots/${readdirSync(cache.path('sysroots'))[0]}`)
})

t.test('what is not to be had is left out, with the names that lead to it', async t => {
  const cache = await openCache(t)
  const plan = planOf(['/usr/bin/app', '/usr/lib/libc.so.6'], [['/lib64/libc.so.6', 1]])
  await fill(cache, plan)
  const tree = cache.path(await buildSysroot(cache, 'id', plan, ({ key }) => key === keyOf(0)))
  t.ok(existsSync(join(tree, 'usr/bin/app')))
  t.throws(() => lstatSync(join(tree, 'lib64/libc.so.6')), { code: 'ENOENT' })
})

t.test('trees of different contents lie beside each other: a debugger may still read the former', async t => {
  const cache = await openCache(t)
  const plan = planOf(['/usr/bin/app', '/usr/lib/libc.so.6'])
  await fill(cache, plan)
  const less = await buildSysroot(cache, 'id', plan, ({ key }) => key === keyOf(0))
  const more = await buildSysroot(cache, 'id', plan, all)
  t.not(less, more)
  t.ok(existsSync(cache.path(`${less}/usr/bin/app`)))
})

t.test('a link in the tree’s place is replaced, and nothing is written where it leads', async t => {
  const cache = await openCache(t)
  const plan = planOf(['/usr/bin/app'])
  await fill(cache, plan)
  const name = await buildSysroot(cache, 'id', plan, all)
  rmSync(cache.path(name), { recursive: true })
  const elsewhere = join(cache.root, '..', 'elsewhere')
  mkdirSync(elsewhere)
  symlinkSync(elsewhere, cache.path(name))
  t.equal(await buildSysroot(cache, 'id', plan, all), name)
  t.same(readdirSync(elsewhere), [])
  t.ok(lstatSync(cache.path(name)).isDirectory())
})

t.test('two at once build the same tree', async t => {
  const cache = await openCache(t)
  const plan = planOf(['/usr/bin/app'])
  await fill(cache, plan)
  await Promise.all(Array.from({ length: 8 }, () => buildSysroot(cache, 'id', plan, all)))
  t.equal(readdirSync(cache.path('sysroots')).length, 1, 'and leave nothing else')
})

t.test('plans that lead out of the tree are refused', async t => {
  const cache = await openCache(t)
  const plan = { ...planOf([]), files: [{ path: '../../escaped', key: keyOf(0), bytes: 1 }] }
  await cache.put(debugFileName(keyOf(0))!, sink => sink.write(Buffer.from('x')))
  await t.rejects(buildSysroot(cache, 'id', plan, all))
  t.notOk(existsSync(cache.path('escaped')))
  t.same(readdirSync(cache.path('sysroots')), [])
})

t.test(
  'whatever the names, nothing is written outside of the tree, and every link stays within',
  async () => {
    const part = fc.constantFrom(
      'a',
      'b',
      '..',
      '.',
      '',
      'a (deleted)',
      '\u0000',
      '\u202e',
      'x'.repeat(255),
      '~',
      ':',
    )
    const name = fc.array(part, { maxLength: 6 }).map(parts => `/${parts.join('/')}`)
    const relative = fc.array(part, { maxLength: 4 }).map(parts => parts.join('/'))
    await fc.assert(
      fc.asyncProperty(
        fc.array(name, { maxLength: 6 }),
        fc.array(fc.tuple(fc.oneof(name, relative), fc.nat(5)), { maxLength: 6 }),
        name,
        async (paths, names, cwd) => {
          const dir = realpathSync(mkdtempSync('/dev/shm/cd-tree-'))
          const cache = await Cache.open(join(dir, 'c'), fakeLock(), NOW)
          try {
            const plan = planOf(paths, names, cwd)
            await fill(cache, plan)
            const tree = cache.path(await buildSysroot(cache, 'id', plan, all))
            if (readdirSync(dir).length !== 1 || readdirSync(join(dir, 'c')).length !== 4) return false
            if (readdirSync(cache.path('sysroots')).length !== 1) return false
            for (const { path, key } of plan.files)
              if (readFileSync(join(tree, path), 'utf8') !== key) return false
            return plan.links.every(({ path }) => realpathSync(join(tree, path)).startsWith(`${tree}/`))
          } finally {
            await cache.close()
            rmSync(dir, { recursive: true, force: true })
          }
        },
      ),
      { numRuns: 200 },
    )
  },
)
