// Entries on a tmpfs: what is promised is there after a kill, and what is cut or changed is known to be.
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { noTmpfs, stateDir } from '../budget/state-dir.ts'
import { crashNote, idOf } from './crash-note.ts'
import { namesOf, open, smallDisk, spooled } from './spooled.ts'

const skip = noTmpfs

t.test('what is kept is read back, by whoever comes next', { skip }, async t => {
  const { spool, path } = await open(t)
  const { id } = await spooled(spool, 1, 5000, { kitBytes: 70 })
  t.equal(statSync(path).mode & 0o777, 0o700)
  const entry = await spool.claim(id)
  if (typeof entry !== 'object') return t.fail('it is there')
  t.match(entry.note, { id, state: 'sealed', manifest: { outcome: 'full' } })
  t.strictSame(await entry.read('core.zst'), Buffer.alloc(5000, 1))
  t.strictSame(await entry.read('kit.tar.zst'), Buffer.alloc(70, 1))
  t.equal(await entry.read('part-00001'), undefined)
  t.equal(await spool.claim(id), 'busy', 'one at a time')
  await entry.release()
  t.match(await spool.peek(id), { bytes: 5070, note: { id } })
  t.equal(await spool.claim(idOf(2)), undefined)
})

t.test('a blob that is not what its name says is none, nor is a note that was changed', { skip }, async t => {
  const { spool, path } = await open(t)
  const { id } = await spooled(spool, 1, 5000)
  const file = readdirSync(join(path, id)).find(name => name.startsWith('core.zst'))!
  const whole = readFileSync(join(path, id, file))
  for (const damaged of [whole.subarray(1), Buffer.concat([whole, Buffer.of(1)]), Buffer.alloc(5000, 2)]) {
    writeFileSync(join(path, id, file), damaged)
    const entry = await spool.claim(id)
    t.equal(typeof entry === 'object' && (await entry.read('core.zst')), undefined)
    if (typeof entry === 'object') await entry.release()
  }
  const note = readFileSync(join(path, id, 'entry.json'))
  for (const damaged of [
    note.subarray(0, -1),
    Buffer.from(note.toString().replace('sealed', 'opened')),
    Buffer.alloc(0),
    note.subarray(70),
  ]) {
    writeFileSync(join(path, id, 'entry.json'), damaged)
    t.match(await spool.peek(id), { note: 'corrupt' })
  }
})

t.test(
  'an entry that is removed is gone for all, and leftovers go with the next sweep',
  { skip },
  async t => {
    const { spool, path } = await open(t)
    const { id } = await spooled(spool, 1, 10)
    const entry = await spool.claim(id)
    if (typeof entry !== 'object') return t.fail('it is there')
    await entry.remove()
    t.strictSame(readdirSync(path), [])
    mkdirSync(join(path, `.done-${id}`))
    writeFileSync(join(path, `.done-${id}`, 'x'), '')
    const other = await spooled(spool, 2, 10)
    writeFileSync(join(path, other.id, '.new-part'), 'half')
    await spool.tidy()
    t.strictSame(readdirSync(path), [other.id])
    t.strictSame(namesOf(path, other.id).sort(), ['core.zst', 'entry.json'])
  },
)

t.test(
  'everything is on the disk before it has its name, and the name before anybody hears of it',
  { skip },
  async t => {
    const path = join(stateDir(t), 'spool')
    const { files, calls } = smallDisk(path, 1 << 20)
    const { spool } = await open(t, { path }, files)
    const entry = await spool.create(idOf(1))
    t.strictSame(calls.splice(0), ['sync spool'], 'an entry')
    await entry.save(crashNote({ id: idOf(1) }))
    t.strictSame(
      calls.splice(0),
      ['write .new-entry.json', 'sync .new-entry.json', 'rename .new-entry.json', `sync ${idOf(1)}`],
      'a note',
    )
    await entry.keep('kit.tar.zst', Buffer.alloc(10))
    const words = calls.splice(0).map(call => call.split(' ')[0])
    t.strictSame(words, ['write', 'sync', 'rename', 'sync'], 'a blob')
    await entry.remove()
    t.strictSame(calls, [`rename ${idOf(1)}`, 'sync spool'], 'an end')
  },
)

t.test('a spool for notes takes no blobs', { skip }, async t => {
  const { spool, path } = await open(t, { takesBlobs: false })
  t.match(await spooled(spool, 1, 10, { kitBytes: 10 }), { keptCore: false, keptKit: false })
  t.strictSame(namesOf(path, idOf(1)), ['entry.json'])
})

t.test(
  'a directory that others may write to, a link, or one on the root disk is refused, with its key',
  { skip },
  async t => {
    const parent = stateDir(t)
    const path = join(parent, 'spool')
    mkdirSync(path)
    chmodSync(path, 0o777)
    await t.rejects(open(t, { path }), {
      code: 'E_SPOOL',
      message: /spool\.dir = ".*" can be written by others/,
    })
    symlinkSync(parent, join(parent, 'link'))
    await t.rejects(open(t, { path: join(parent, 'link') }), { code: 'E_SPOOL' })
    await t.rejects(open(t, { path: join(parent, 'absent', 'spool') }), {
      code: 'E_SPOOL',
      message: /cannot be made/,
    })
    if (statSync(import.meta.dirname).dev !== statSync('/').dev) return
    const onRoot = join(t.testdir({}), 'spool')
    await t.rejects(open(t, { path: onRoot }), { code: 'E_SPOOL', message: /is on the root file system/ })
    t.throws(() => statSync(onRoot), 'and nothing was made there')
    await t.resolves(open(t, { path: onRoot, allowRootFilesystem: true }))
  },
)
