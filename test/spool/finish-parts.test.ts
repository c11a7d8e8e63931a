// Receipts that are worth nothing: something on the way changed an ETag, and the store refuses the parts that it names.
import t from 'tap'
import { partName } from '../../src/spool/blobs.ts'
import { finishEntry } from '../../src/spool/finish.ts'
import type { Manifest } from '../../src/store/manifest.ts'
import { noTmpfs } from '../budget/state-dir.ts'
import { MemoryStore } from '../store/memory.ts'
import { crashNote, idOf } from './crash-note.ts'
import { open } from './spooled.ts'

const ID = idOf(1)
const PARTS = [Buffer.alloc(500, 1), Buffer.alloc(500, 2)]
const CORE = Buffer.concat(PARTS)

for (const [where, keepsAll, outcome] of [
  ['here', true, 'full'],
  ['nowhere any more', false, 'record'],
] as const) {
  t.test(
    `parts that the store does not know and that are ${where} make a ${outcome}`,
    { skip: noTmpfs },
    async t => {
      const store = new MemoryStore()
      const { spool } = await open(t)
      const entry = await spool.create(ID)
      const note = crashNote({ id: ID, core: CORE })
      const upload = await store.startUpload(note.keys.core)
      const parts = []
      for (const [index, body] of PARTS.entries()) {
        const [number, offset] = [index + 1, index * 500]
        await upload.putPart(number, offset, body)
        if (keepsAll) await entry.keep(partName(number), body)
        parts.push({ number, offset, bytes: body.length, etag: '"00000000000000000000000000000000"' })
      }
      await entry.save({ ...note, upload: { id: upload.id }, core: { bytes: CORE.length, parts } })
      t.match(await finishEntry(entry, store, { now: () => new Date(0), by: 'sweep' }), { state: 'done' })
      const manifest = JSON.parse(Buffer.from(store.objects.get(note.keys.manifest)!).toString()) as Manifest
      t.match(manifest, { outcome, reason: keepsAll ? null : 'spool' })
      t.equal(store.objects.has(note.keys.core), keepsAll)
      t.equal(store.uploads.size, 0, 'the upload that was of no use is gone')
    },
  )
}
