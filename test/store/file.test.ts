import { chmod, mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import type { Test } from 'tap'
import { openFileStore } from '../../src/store/file.ts'
import { testStoreContract } from './contract.ts'

const anywhere = { allowRootFilesystem: true }

t.test('a directory', async t => {
  const root = t.testdir()
  let count = 0
  await testStoreContract(t, {
    open: async () => {
      const directory = join(root, String(count++))
      await mkdir(directory)
      return openFileStore(directory, anywhere)
    },
    openAbsent: () => openFileStore(join(root, 'absent'), anywhere),
  })
})

t.test('a directory on the root file system is refused unless it is allowed by name', async t => {
  const refused = { code: 'E_STORE_ROOT_FILESYSTEM', hint: /store\.allow_root_filesystem/ }
  await t.rejects(openFileStore('/', { allowRootFilesystem: false }), refused)
  await t.rejects(
    openFileStore('/corelift-not-mounted/cores', { allowRootFilesystem: false }),
    refused,
    'one that is not there would be made there',
  )
})

t.test('a file in place of the directory is no store', async t => {
  const directory = t.testdir({ file: '' })
  await t.rejects(openFileStore(join(directory, 'file'), anywhere), { code: 'E_STORE_ABSENT' })
})

t.test('objects and directories belong to their owner alone', async t => {
  const { directory, store } = await openIn(t)
  await store.put('crashes/ns/core', Buffer.from('x'))
  const upload = await store.startUpload('crashes/ns/parts')
  await upload.complete([await upload.putPart(1, 0, Buffer.from('x'))])
  const mode = async (path: string) => (await stat(join(directory, path))).mode & 0o777
  t.equal(await mode('crashes'), 0o700)
  t.equal(await mode('crashes/ns'), 0o700)
  t.equal(await mode('.incoming'), 0o700)
  t.equal(await mode('crashes/ns/core'), 0o600)
  t.equal(await mode('crashes/ns/parts'), 0o600)
})

t.test('nothing is left behind in the directory of unfinished files', async t => {
  const { directory, store } = await openIn(t)
  await store.put('a', Buffer.from('x'))
  await t.rejects(store.put('a/b', Buffer.from('x')), { name: 'CoreliftError' })
  await (await store.startUpload('c')).abort()
  t.same(await readdir(join(directory, '.incoming')), [])
})

t.test('directories without objects are no groups', async t => {
  const { directory, store } = await openIn(t)
  await mkdir(join(directory, 'crashes', 'ns', 'pod'), { recursive: true })
  for await (const page of store.list('crashes/', { grouped: true })) t.fail(JSON.stringify(page))
})

t.test('components of any length are listed as they were written', async t => {
  const { store } = await openIn(t)
  const letters = fc.constantFrom(...'.~=-aZ0')
  const tail = fc.string({ unit: letters, minLength: 1, maxLength: 3 })
  const component = fc
    .tuple(fc.constantFrom(0, 252, 253, 254, 255, 505, 506, 507), tail)
    .map(([length, tail]) => 'x'.repeat(length) + tail)
  await fc.assert(
    fc.asyncProperty(fc.uuid(), fc.uniqueArray(component, { maxLength: 6 }), async (folder, components) => {
      const names = components.filter(name => name !== '.' && name !== '..')
      const keys = names.map((name, index) => `${folder}/${name}${index % 2 ? '/below' : ''}`)
      for (const key of keys) await store.put(key, Buffer.from(key))
      const listed: string[] = []
      for await (const { objects } of store.list(`${folder}/`)) listed.push(...objects.map(({ key }) => key))
      t.same(listed, [...keys].sort())
      for (const key of keys) t.equal(Buffer.from(await store.get(key)).toString(), key)
    }),
    { numRuns: 60 },
  )
})

t.test('keys outside the grammar never reach the file system', async t => {
  const { directory, store } = await openIn(t)
  await writeFile(join(t.testdirName, 'outside'), 'secret')
  const before = await readdir(t.testdirName, { recursive: true })
  const component = fc.oneof(
    fc.constantFrom('..', '.', '', '.incoming', 'a', 'a\0b', 'x+', 'ü', '\u001b[31m', '~', '$(id)'),
    fc.string({ maxLength: 5 }),
  )
  const key = fc.array(component, { minLength: 1, maxLength: 4 }).map(parts => parts.join('/'))
  await fc.assert(
    fc.asyncProperty(key, async key => {
      const legal = key
        .split('/')
        .every(name => /^[A-Za-z0-9._~=-]+$/.test(name) && !['.', '..', '.incoming'].includes(name))
      fc.pre(!legal)
      const denied = { code: 'E_STORE_DENIED', message: /^\P{Cc}*$/u }
      await t.rejects(store.put(key, Buffer.from('x')), denied)
      await t.rejects(store.get(key), denied)
      await t.rejects(store.size(key), denied)
      await t.rejects(store.startUpload(key), denied)
    }),
    { numRuns: 50 },
  )
  const written = (await readdir(t.testdirName, { recursive: true })).filter(
    name => !name.includes('.incoming'),
  )
  t.same(written, before)
  t.ok(directory)
})

t.test(
  'a store that must not be written says so',
  { skip: process.getuid?.() === 0 && 'root may write' },
  async t => {
    const { directory, store } = await openIn(t)
    await chmod(directory, 0o500)
    t.teardown(() => chmod(directory, 0o700))
    await t.rejects(store.put('a', Buffer.from('x')), { code: 'E_STORE_DENIED', hint: /root/ })
  },
)

async function openIn(t: Test) {
  const directory = join(t.testdir({ store: {} }), 'store')
  return { directory, store: await openFileStore(directory, anywhere) }
}
