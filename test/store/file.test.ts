import { chmod, mkdir, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import type { Test } from 'tap'
import { openFileStore } from '../../src/store/file.ts'
import { testStoreContract } from './contract.ts'

const anywhere = { allowRootFilesystem: true }

t.test('a directory', async t => {
  const root = t.testdir()
  await testStoreContract(t, {
    open: async place => {
      const directory = join(root, String(place))
      await mkdir(directory, { recursive: true })
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

t.test('what a killed writer leaves is listed, and an abort removes it', async t => {
  const { directory, store } = await openIn(t)
  const incoming = join(directory, '.incoming')
  await store.startUpload('crashes/a/core.zst')
  const [id] = (await readdir(incoming)).filter(name => !name.endsWith('.key'))
  const left = async () => {
    const found: string[] = []
    for await (const page of store.listUploads('')) found.push(...page.map(({ key, id }) => `${key} ${id}`))
    return found
  }
  t.same(await left(), [`crashes/a/core.zst ${id}`], 'killed between two parts')
  await rm(join(incoming, id!))
  t.same(
    await left(),
    [`crashes/a/core.zst ${id}`],
    'killed before the file was made, or after it became an object',
  )
  await store.resumeUpload('crashes/a/core.zst', id!).abort()
  t.same(await left(), [])
  t.same(await readdir(incoming), [])
})

t.test('an upload whose file has lost parts, as by a power cut, is gone', async t => {
  const { directory, store } = await openIn(t)
  const upload = await store.startUpload('core.zst')
  const receipts = [
    await upload.putPart(1, 0, Buffer.from('abc')),
    await upload.putPart(2, 3, Buffer.from('de')),
  ]
  await truncate(join(directory, '.incoming', upload.id), 4)
  await t.rejects(upload.complete(receipts), { code: 'E_STORE_NO_UPLOAD', hint: /\.incoming/ })
  t.equal(await store.stat('core.zst'), undefined)
})

t.test('a store that is gone altogether has not lost its uploads', async t => {
  const { directory, store } = await openIn(t)
  const upload = await store.startUpload('core.zst')
  const receipts = [await upload.putPart(1, 0, Buffer.from('abc'))]
  await rename(directory, `${directory}-unmounted`)
  await t.rejects(upload.putPart(2, 3, Buffer.from('x')), { code: 'E_STORE_ABSENT' })
  await t.rejects(upload.complete(receipts), { code: 'E_STORE_ABSENT' })
  await rename(`${directory}-unmounted`, directory)
  await t.resolves(upload.complete(receipts))
})

t.test('an id is never a path', async t => {
  const { directory, store } = await openIn(t)
  await writeFile(join(directory, 'precious'), 'x')
  for (const id of ['../precious', '..', '.', '', '/etc/passwd', 'a'.repeat(35), `${'a'.repeat(35)}/`]) {
    const upload = store.resumeUpload('core.zst', id)
    await t.rejects(upload.putPart(1, 0, Buffer.from('y')), { code: 'E_STORE_NO_UPLOAD' })
    await t.rejects(upload.complete([]), { code: 'E_STORE_NO_UPLOAD' })
    await t.resolves(upload.abort())
  }
  t.equal(await readFile(join(directory, 'precious'), 'utf8'), 'x')
})

t.test('receipts that leave a gap, overlap, or are out of order or misnumbered complete nothing', async t => {
  const { store } = await openIn(t)
  const upload = await store.startUpload('core.zst')
  const first = await upload.putPart(1, 0, Buffer.from('abc'))
  const second = await upload.putPart(2, 3, Buffer.from('de'))
  const behindGap = await upload.putPart(3, 6, Buffer.from('f'))
  for (const receipts of [
    [second],
    [second, first],
    [first, first],
    [first, second, behindGap],
    [{ ...first, bytes: 2 }, second],
    [first, { ...second, etag: '3+1' }],
    [first, { ...second, number: 3 }],
  ]) {
    await t.rejects(upload.complete(receipts), { code: 'E_STORE_NO_UPLOAD' })
  }
  t.equal(await store.stat('core.zst'), undefined)
  await upload.complete([first, second])
  t.equal(Buffer.from(await store.get('core.zst')).toString(), 'abcde')
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
      await t.rejects(store.stat(key), denied)
      await t.rejects(store.remove(key), denied)
      await t.rejects(store.startUpload(key), denied)
      const upload = store.resumeUpload(key, '00000000-0000-4000-8000-000000000000')
      await t.rejects(upload.complete([]), denied)
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
