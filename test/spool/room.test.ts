// Bounds hold, whoever writes at once; what gives way is of whom has most, cores first and records last.
import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { nodeFiles } from '../../src/spool/files.ts'
import { noTmpfs, stateDir } from '../budget/state-dir.ts'
import { crashNote, idOf } from './crash-note.ts'
import { KIB, NOTE_BYTES, namesOf, open, smallDisk, spooled } from './spooled.ts'

const skip = noTmpfs

t.test('what does not fit costs the oldest core of the workload that has most', { skip }, async t => {
  const { spool, path } = await open(t, { bytesMax: 4 * NOTE_BYTES + 100 * KIB })
  const [a1] = [await spooled(spool, 1, 30 * KIB, { pod: 'a' })]
  const b1 = await spooled(spool, 2, 35 * KIB, { pod: 'b', kitBytes: 100 })
  const a2 = await spooled(spool, 3, 30 * KIB, { pod: 'a' })
  const c = await spooled(spool, 4, 30 * KIB, { pod: 'c' })
  t.equal(c.keptCore, true)
  t.strictSame(namesOf(path, a1.id), ['entry.json'], 'the record stays')
  t.match(await spool.peek(a1.id), {
    note: {
      index: { kept: /~record$/ },
      manifest: { core: null, outcome: 'record', reason: 'spool', reasonText: /the spool was full/ },
    },
  })
  t.ok(namesOf(path, a2.id).includes('core.zst'))
  t.ok(namesOf(path, b1.id).includes('kit.tar.zst'))
  t.ok((await spool.usage()).bytes <= 4 * NOTE_BYTES + 100 * KIB)
})

t.test(
  'records come before cores and kits: cores go first, then kits, then the oldest records',
  { skip },
  async t => {
    const { spool, path } = await open(t, { bytesMax: 3 * NOTE_BYTES + 10 * KIB })
    const first = await spooled(spool, 1, 4 * KIB, { kitBytes: 4 * KIB })
    const second = await spooled(spool, 2, 2 * KIB)
    const third = await spooled(spool, 3, 10)
    t.ok(third.keptCore)
    const fourth = await spooled(spool, 4, 10)
    t.strictSame(
      readdirSync(path).filter(name => name.startsWith('2')),
      [second.id, third.id, fourth.id],
    )
    t.equal(namesOf(path, second.id).includes('core.zst'), false)
    t.equal((await spool.usage()).lost, 1, 'and it is counted')
    t.notOk(readdirSync(path).includes(first.id))
  },
)

t.test('an entry that somebody holds gives nothing up', { skip }, async t => {
  const { spool, path } = await open(t, { bytesMax: 3 * NOTE_BYTES + 100 * KIB })
  const { id } = await spooled(spool, 1, 90 * KIB)
  const held = await spool.claim(id)
  t.equal((await spooled(spool, 2, 90 * KIB)).keptCore, false)
  t.ok(namesOf(path, id).includes('core.zst'))
  if (typeof held === 'object') await held.release()
  t.equal((await spooled(spool, 3, 90 * KIB)).keptCore, true)
})

t.test('handlers that write at once never exceed the bound together', { skip }, async t => {
  const bytesMax = 8 * NOTE_BYTES + 200 * KIB
  const { spool, path } = await open(t, { bytesMax })
  const bytesNow = () => {
    const entries = readdirSync(path).filter(name => name.startsWith('2'))
    const files = entries.flatMap(id => readdirSync(join(path, id)))
    const sizes = files.map(name => Number(/^part-\d+\.(\d+)\./.exec(name)?.[1] ?? 0))
    return sizes.reduce((sum, bytes) => sum + bytes, entries.length * NOTE_BYTES)
  }
  const entries = await Promise.all(Array.from({ length: 8 }, (_, number) => spool.create(idOf(number))))
  const kept = await Promise.all(
    entries.map(async entry => {
      let kept = 0
      for (let part = 1; part <= 10; part++) {
        if (await entry.keep(`part-${String(part).padStart(5, '0')}`, Buffer.alloc(10 * KIB, part))) kept++
        t.ok(bytesNow() <= bytesMax)
      }
      return kept
    }),
  )
  await Promise.all(entries.map(entry => entry.release()))
  t.equal(
    kept.reduce((sum, count) => sum + count),
    20,
    'and all of it is used',
  )
})

t.test('handlers that begin at once never exceed the bound together', { skip }, async t => {
  const { spool, path } = await open(t, { bytesMax: 3 * NOTE_BYTES })
  const made = await Promise.allSettled(
    Array.from({ length: 8 }, async (_, number) => spool.create(idOf(number))),
  )
  t.equal(made.filter(({ status }) => status === 'fulfilled').length, 3)
  t.equal(readdirSync(path).length, 3)
  t.match(
    made.find(({ status }) => status === 'rejected'),
    {
      reason: { code: 'E_SPOOL', message: /is full/, hint: /corelift sweep/ },
    },
  )
  for (const each of made) if (each.status === 'fulfilled') await each.value.release()
})

t.test('what is reserved is for a handler at work alone', { skip }, async t => {
  const { spool } = await open(t, { bytesMax: 200 << 20 })
  await spooled(spool, 1, 100)
  t.equal((await spool.usage()).bytes, NOTE_BYTES + 100, 'sealed, it has what it needs')
  for (let number = 2; number < 12; number++) {
    const killed = await spool.create(idOf(number))
    await killed.save(crashNote({ id: idOf(number), state: 'open' }))
    t.equal(await killed.keep('part-00001', Buffer.alloc(100)), true)
    await killed.release()
  }
  const entry = await spool.create(idOf(20))
  t.equal(
    await entry.keep('part-00001', Buffer.alloc(150 << 20)),
    true,
    'what the killed had reserved is free',
  )
  for (const id of await spool.ids()) t.match(await spool.peek(id), id === idOf(20) ? {} : { bytes: 100 })
  await entry.release()
})

t.test(
  'a disk that is full before the spool is costs cores as well, and leaves nothing half',
  { skip },
  async t => {
    const path = join(stateDir(t), 'spool')
    // Not even the note that says so can be written before the core is gone.
    const { spool } = await open(t, { path }, smallDisk(path, 30 * KIB).files)
    const first = await spooled(spool, 1, 27 * KIB)
    const second = await spooled(spool, 2, 20 * KIB)
    t.ok(first.keptCore && second.keptCore)
    t.match(await spool.peek(first.id), { bytes: 0, note: { manifest: { core: null, reason: 'spool' } } })
    t.match(await spool.peek(second.id), { bytes: 20 * KIB })
    t.equal((await spooled(spool, 3, 40 * KIB)).keptCore, false)
    t.notOk(namesOf(path, idOf(3)).some(name => name.startsWith('.new')))
  },
)

t.test(
  'a disk without room for another note costs the oldest record, which is counted',
  { skip },
  async t => {
    const path = join(stateDir(t), 'spool')
    const { spool } = await open(t, { path, takesBlobs: false }, smallDisk(path, 5 * KIB).files)
    for (let number = 1; number <= 8; number++) {
      const { id } = await spooled(spool, number, 10)
      t.match(await spool.peek(id), { note: { id } })
    }
    const { entries, lost } = await spool.usage()
    t.equal(entries + lost, 8)
    t.ok(entries > 1 && lost > 0)
  },
)

t.test('what was being removed by somebody who was killed is the first to go', { skip }, async t => {
  const { spool, path } = await open(t, { bytesMax: 3 * NOTE_BYTES + 100 * KIB })
  const { id } = await spooled(spool, 1, 80 * KIB)
  const entry = await spool.claim(id)
  if (typeof entry !== 'object') return t.fail('it is there')
  await entry.release()
  renameSync(join(path, id), join(path, `.done-${id}`))
  t.equal((await spool.usage()).bytes, NOTE_BYTES + 80 * KIB, 'until then its bytes count')
  const other = await spooled(spool, 2, 90 * KIB)
  t.ok(other.keptCore)
  t.strictSame(readdirSync(path), [other.id])
})

t.test('what a handler had half written when it was killed goes with its core', { skip }, async t => {
  const { spool, path } = await open(t, { bytesMax: 2 * NOTE_BYTES + 100 * KIB })
  const { id } = await spooled(spool, 1, 60 * KIB)
  writeFileSync(join(path, id, '.new-part-00002'), Buffer.alloc(30 * KIB))
  t.ok((await spooled(spool, 2, 90 * KIB)).keptCore)
  t.strictSame(namesOf(path, id), ['entry.json'])
})

t.test('so many crashes wait that counting them takes no time, and the oldest goes', { skip }, async t => {
  const { spool, path } = await open(t)
  for (let number = 0; number < 5000; number++) mkdirSync(join(path, idOf(number)))
  const entry = await spool.create(idOf(5000))
  await entry.release()
  t.strictSame([(await spool.ids()).length, (await spool.ids())[0]], [5000, idOf(1)])
  t.equal((await spool.usage()).lost, 1)
})

t.test('what leaves too little of the disk is not kept', { skip }, async t => {
  const { spool } = await open(t, { freeBytesMin: 2 ** 50 })
  await t.rejects(spool.create(idOf(1)), { code: 'E_SPOOL', message: /is full/, hint: String })
})

t.test('who has most gives way, not who came first, and never a kit for a core', { skip }, async t => {
  const { spool, path } = await open(t, { bytesMax: 5 * NOTE_BYTES + 100 * KIB })
  const small = await spooled(spool, 1, 10 * KIB, { pod: 'small', kitBytes: 5 * KIB })
  const greedy = await spooled(spool, 2, 70 * KIB, { pod: 'greedy' })
  const also = await spooled(spool, 3, 50 * KIB, { pod: 'greedy' })
  t.ok((await spooled(spool, 4, 60 * KIB, { pod: 'new' })).keptCore)
  t.strictSame(namesOf(path, greedy.id), ['entry.json'])
  t.ok([small, also].every(({ id }) => namesOf(path, id).includes('core.zst')))
  t.notOk((await spooled(spool, 5, 97 * KIB)).keptCore, 'but for the kit there would be room')
  t.ok(namesOf(path, small.id).includes('kit.tar.zst'))
})

t.test('what handlers at work were promised counts as taken of the disk', { skip }, async t => {
  const MIB = 1024 * KIB
  const statfs = async () => ({ bavail: 60, bsize: MIB, ffree: 100, files: 1000 }) as never
  const { spool } = await open(t, {}, { ...nodeFiles, statfs })
  const [first, second] = [await spool.create(idOf(1)), await spool.create(idOf(2))]
  t.ok(await first.keep('part-00001', Buffer.alloc(1)))
  t.notOk(await second.keep('part-00001', Buffer.alloc(40 * MIB)))
  t.ok(await second.keep('part-00001', Buffer.alloc(20 * MIB)))
  await first.release()
  await second.release()
})

t.test('the last inodes are left to others, where a file system has a number of them', { skip }, async t => {
  let files = 1000
  const statfs = async () => ({ bavail: 1e6, bsize: 1e6, ffree: 0, files }) as never
  const { spool } = await open(t, {}, { ...nodeFiles, statfs })
  await t.rejects(spool.create(idOf(1)), { code: 'E_SPOOL', message: /is full/ })
  files = 0
  const entry = await spool.create(idOf(1))
  await entry.release()
  files = 1000
  const other = await spool.create(idOf(2)).catch(() => undefined)
  t.equal(other, undefined, 'giving way freed none')
  t.strictSame(await spool.ids(), [])
  t.equal((await spool.usage()).lost, 1)
})
