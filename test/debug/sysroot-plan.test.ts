import fc from 'fast-check'
import { posix } from 'node:path'
import t from 'tap'
import { planSysroot, type SysrootPlan } from '../../src/debug/sysroot-plan.ts'
import type { Manifest, ManifestFile } from '../../src/store/manifest.ts'

const key = (id: number): string => `buildid/${id.toString(16).padStart(40, '0')}/executable`

function manifest(
  paths: readonly string[],
  linkMap: readonly (readonly [name: string, file: number])[] = [],
  cwd = '/app',
): Pick<Manifest, 'files' | 'process'> {
  const mapped = paths.map((path, file): ManifestFile => ({ path, start: '1000', bytes: 5, key: key(file) }))
  return {
    files: {
      mapped,
      mappedOmitted: 0,
      linkMap: linkMap.map(([name, file]) => ({ name, file })),
      executable: 0,
    },
    process: { comm: '', exe: '', cmdline: [], cwd, root: '/', cgroup: '' },
  }
}

/** Follows names as open(2) does in the finished tree. @returns The file's key. */
function resolve(plan: SysrootPlan, name: string): string | undefined {
  const at: string[] = []
  const isDirectory = (path: string) => path === '' || plan.directories.includes(path)
  for (const part of name.split('/').filter(each => each !== '' && each !== '.')) {
    if (!isDirectory(at.join('/'))) return undefined
    if (part === '..') at.pop()
    else at.push(part)
  }
  const path = at.join('/')
  const link = plan.links.find(each => each.path === path)
  const home = link ? posix.join(posix.dirname(path), link.target) : path
  return plan.files.find(file => file.path === home)?.key
}

t.test('files lie at their paths, and links lead from the names of the dynamic linker', async t => {
  const plan = planSysroot(
    manifest(
      ['/usr/bin/app', '/usr/lib/libc.so.6'],
      [
        ['', 0],
        ['/lib64/libc.so.6', 1],
      ],
    ),
  )
  t.match(plan.files, [{ path: 'usr/bin/app' }, { path: 'usr/lib/libc.so.6', bytes: 5 }])
  t.strictSame(plan.links, [{ path: 'lib64/libc.so.6', target: '../usr/lib/libc.so.6' }])
  t.equal(plan.executable, 'usr/bin/app')
  t.strictSame(plan.missing, [])
})

t.test('names may go up through directories that have nothing else in them', async t => {
  const plan = planSysroot(
    manifest(['/jvm/bin/java', '/jvm/lib/libjli.so'], [['/jvm/x/../lib/libjli.so', 1]]),
  )
  t.equal(resolve(plan, '/jvm/x/../lib/libjli.so'), key(1))
})

t.test('relative names are the working directory’s', async t => {
  const plan = planSysroot(manifest(['/bin/a', '/app/plugins/p.so'], [['./plugins/p.so', 1]]))
  t.equal(resolve(plan, '/app/./plugins/p.so'), key(1))
  t.strictSame(plan.searchPaths, ['app', 'app/plugins'])
})

t.test(
  'a name is that of the file which the dynamic linker has there, whatever lies at its path by now',
  async t => {
    const plan = planSysroot(manifest(['/bin/a', '/lib/x.so', '/lib/x.so (deleted)'], [['/lib/x.so', 2]]))
    t.equal(resolve(plan, '/lib/x.so'), key(2))
    t.equal(resolve(plan, '/lib/x.so (deleted)'), key(2))
    t.equal(plan.files.length, 3, 'the other one is aside')
  },
)

t.test('a deleted executable is found by its former path too', async t => {
  const plan = planSysroot(manifest(['/tmp/gone (deleted)']))
  t.equal(resolve(plan, '/tmp/gone'), key(0))
  t.equal(plan.executable, 'tmp/gone (deleted)')
})

t.test('names that leave the tree are nobody’s', async t => {
  for (const path of [
    '/../etc/passwd',
    '/a/../../etc/passwd',
    'etc/passwd',
    '',
    '/',
    '/a\u001b[31m',
    '/a\nb',
    '/..',
  ])
    t.match(
      planSysroot(manifest([path])).files,
      [{ path: /^\.corelift\/0\/buildid\// }],
      JSON.stringify(path),
    )
})

t.test('nothing is had for files that are not stored, or whose keys are none', async t => {
  const { files, process } = manifest(['/bin/a', '/lib/b', '/lib/c'])
  const [a, b, c] = files!.mapped
  const { key: _key, ...without } = b!
  const plan = planSysroot({
    files: { ...files!, mapped: [a!, without, { ...c!, key: '../../x/executable' }] },
    process,
  })
  t.strictSame(
    plan.files.map(({ path }) => path),
    ['bin/a'],
  )
  t.strictSame(
    plan.missing.map(({ path }) => path),
    ['/lib/b', '/lib/c'],
  )
})

t.test('manifests that list no files have an empty plan', async t => {
  t.match(planSysroot({ process: null }), { files: [], links: [], executable: undefined })
})

t.test('whatever the names, nothing leaves the tree and nothing leads through something else', async () => {
  const part = fc.constantFrom('a', 'b', '..', '.', '', 'a (deleted)', '\u0000', '\u202e', 'x'.repeat(300))
  const name = fc.array(part, { maxLength: 6 }).map(parts => `/${parts.join('/')}`)
  const relative = fc.array(part, { maxLength: 4 }).map(parts => parts.join('/'))
  fc.assert(
    fc.property(
      fc.array(name, { maxLength: 6 }),
      fc.array(fc.tuple(fc.oneof(name, relative), fc.nat(7)), { maxLength: 6 }),
      name,
      (paths, linkMap, cwd) => {
        const plan = planSysroot(manifest(paths, linkMap, cwd))
        const leaves = [...plan.files, ...plan.links].map(({ path }) => path)
        const inside = [...leaves, ...plan.directories, ...plan.searchPaths]
        for (const path of inside) {
          if (path.startsWith('/') || path.split('/').includes('..')) return false
        }
        if (new Set(leaves).size !== leaves.length) return false
        if (leaves.some(leaf => plan.directories.includes(leaf))) return false
        if (leaves.some(leaf => leaves.some(other => other.startsWith(`${leaf}/`)))) return false
        return plan.links.every(({ path, target }) =>
          plan.files.some(file => file.path === posix.join(posix.dirname(path), target)),
        )
      },
    ),
    { numRuns: 2000 },
  )
})
