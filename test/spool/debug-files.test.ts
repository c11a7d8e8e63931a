// Executables and libraries in the spool: the last that is kept, the first that gives way.
import { readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { DebugFileSpool } from '../../src/spool/debug-files.ts'
import { sendDebugFiles } from '../../src/sweep/send-debug-files.ts'
import { MemoryStore } from '../store/memory.ts'
import { noTmpfs } from '../budget/state-dir.ts'
import { KIB, NOTE_BYTES, open, spooled } from './spooled.ts'

const skip = noTmpfs
const keyOf = (id: string): string => `buildid/${id}/executable`
const MIB = 1024 * KIB

function keep(spool: DebugFileSpool, id: string, bytes: number): Promise<boolean> {
  return spool.keep(keyOf(id), bytes, async write => {
    await write(Buffer.alloc(bytes, id))
  })
}

t.test('a file is kept once, and read back as it was', { skip }, async t => {
  const { spool } = await open(t, { bytesMax: MIB })
  const { debugFiles } = spool
  t.ok(await keep(debugFiles, 'aa', 100))
  t.ok(
    await debugFiles.keep(keyOf('aa'), 100, () => Promise.reject(new Error('it was to be written'))),
    'it is there',
  )
  t.ok(await keep(debugFiles, 'sha256-bb', 50))
  const files = await debugFiles.list()
  t.match(files, [
    { key: keyOf('aa'), bytes: 100 },
    { key: keyOf('sha256-bb'), bytes: 50 },
  ])
  const chunks: Uint8Array[] = []
  for await (const chunk of debugFiles.read(files[0]!)) chunks.push(chunk.slice())
  t.ok(Buffer.concat(chunks).equals(Buffer.alloc(100, 'aa')))
  t.equal((await spool.usage()).bytes, 150)
})

t.test('they have a quarter of the spool, and what does not fit is not kept', { skip }, async t => {
  const { spool, path } = await open(t, { bytesMax: MIB })
  t.ok(await keep(spool.debugFiles, 'aa', 200 * KIB))
  t.notOk(await keep(spool.debugFiles, 'bb', 60 * KIB))
  t.ok(await keep(spool.debugFiles, 'cc', 50 * KIB))
  t.equal(readdirSync(join(path, 'files')).length, 2)
})

t.test('they give way to any crash', { skip }, async t => {
  const { spool } = await open(t, { bytesMax: 2 * NOTE_BYTES + 400 * KIB })
  t.ok(await keep(spool.debugFiles, 'aa', 60 * KIB))
  t.ok(await keep(spool.debugFiles, 'bb', 60 * KIB))
  const { keptCore } = await spooled(spool, 1, 380 * KIB)
  t.ok(keptCore)
  t.equal((await spool.debugFiles.list()).length, 1, 'as many as were needed')
  t.ok((await spool.usage()).bytes <= 2 * NOTE_BYTES + 400 * KIB)
})

t.test('one that cannot be written leaves nothing', { skip }, async t => {
  const { spool, path } = await open(t, { bytesMax: MIB })
  const failing = spool.debugFiles.keep(keyOf('aa'), 10, async write => {
    await write(Buffer.alloc(10))
    throw new Error('it changed')
  })
  await t.rejects(failing, { message: 'it changed' })
  t.same(readdirSync(join(path, 'files')), [])
})

t.test(
  'what a handler left that was killed counts, and a sweep removes it when it is old',
  { skip },
  async t => {
    const { spool, path } = await open(t, { bytesMax: MIB })
    const { debugFiles } = spool
    await keep(debugFiles, 'aa', 10)
    const left = join(path, 'files', `.new-${'0'.repeat(36)}.${200 * KIB}`)
    writeFileSync(left, 'half')
    t.equal(await debugFiles.bytes(), 10 + 200 * KIB)
    const now = Date.now()
    await debugFiles.tidy(now)
    t.equal(await debugFiles.bytes(), 10 + 200 * KIB, 'somebody may be at it')
    utimesSync(left, 0, (now - 3 * 3_600_000) / 1000)
    await debugFiles.tidy(now)
    t.equal(await debugFiles.bytes(), 10)
  },
)

t.test('names that are no keys are not kept, and not listed', { skip }, async t => {
  const { spool, path } = await open(t, { bytesMax: MIB })
  for (const id of ['../x', 'AA', '', 'a/b', 'sha256-', 'x'.repeat(200)])
    t.notOk(await keep(spool.debugFiles, id, 1), id)
  t.ok(await keep(spool.debugFiles, 'aa', 1))
  writeFileSync(join(path, 'files', 'other'), '')
  t.equal((await spool.debugFiles.list()).length, 1)
})

t.test('a sweep sends them, and drops what the disk damaged', { skip }, async t => {
  const { spool, path } = await open(t, { bytesMax: MIB })
  const { debugFiles } = spool
  await keep(debugFiles, 'aa', 100)
  await keep(debugFiles, 'bb', 100)
  const damaged = (await debugFiles.list()).find(({ key }) => key === keyOf('bb'))!
  writeFileSync(join(path, 'files', damaged.name), Buffer.alloc(100, 'x'))
  await t.rejects(async () => {
    for await (const chunk of debugFiles.read(damaged)) t.ok(chunk)
  }, /is damaged/)

  const store = new MemoryStore()
  t.equal(await sendDebugFiles([spool], store, new Date()), 1)
  t.same([...store.objects.keys()], [keyOf('aa')])
  t.same(await debugFiles.list(), [])
})

t.test('a store that takes none is not asked for the next', { skip }, async t => {
  const { spool } = await open(t, { bytesMax: MIB })
  await keep(spool.debugFiles, 'aa', 100)
  await keep(spool.debugFiles, 'bb', 100)
  const store = new MemoryStore()
  let asked = 0
  store.put = () => Promise.reject(new Error(`${++asked}`))
  t.equal(await sendDebugFiles([spool], store, new Date()), 0)
  t.equal(asked, 1)
  t.equal((await spool.debugFiles.list()).length, 2)
})
