// A note comes back as it was, or not at all.
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { decodeNote, encodeNote, type EntryNote } from '../../src/spool/note.ts'
import { crashNote, idOf } from './crash-note.ts'

const NOTE: EntryNote = {
  ...crashNote({ id: idOf(1), kit: Buffer.from('kit'), core: Buffer.from('core') }),
  upload: { id: 'an upload' },
  completing: true,
  core: {
    bytes: 30,
    parts: [
      { number: 1, offset: 0, bytes: 20, etag: '"x"' },
      { number: 2, offset: 20, bytes: 10 },
    ],
  },
}

/** Text with the checksum that belongs to it. */
function signed(text: string): Uint8Array {
  return Buffer.from(`${createHash('sha256').update(text).digest('hex')}\n${text}`)
}

t.test('a note comes back as it was', async t => {
  t.strictSame(decodeNote(encodeNote(NOTE)), NOTE)
  const bare = crashNote({ id: idOf(1) })
  t.strictSame(decodeNote(encodeNote(bare)), bare)
})

t.test('a note of which any byte is another, or none, is corrupt', async t => {
  const good = encodeNote(NOTE)
  const property = fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
    const bad = Uint8Array.from(good)
    bad[at]! ^= change
    return decodeNote(bad) === 'corrupt' && decodeNote(good.subarray(0, at)) === 'corrupt'
  })
  fc.assert(property, { numRuns: 500 })
  t.pass()
})

t.test('whatever bytes a disk gives back, reading them does not fail', async t => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), bytes => decodeNote(bytes) === 'corrupt'))
  fc.assert(fc.property(fc.json(), text => decodeNote(signed(text)) === 'corrupt'))
  t.pass()
})

t.test('a note that lacks what is relied on is corrupt, also with the right checksum', async t => {
  const [first, second] = NOTE.core!.parts
  const core = (changes: object) => ({ core: { ...NOTE.core, ...changes } })
  const others: object[] = [
    { version: 2 },
    { state: 'lost' },
    { id: idOf(2) },
    { why: 1 },
    { place: { namespace: 'shop', pod: 'web-0' } },
    { keys: { kit: 'k', core: 'c' } },
    { index: { kept: 'i', reduced: 'j' } },
    { reducedOutcome: 'full' },
    { manifest: null },
    { manifest: { ...NOTE.manifest, version: 2 } },
    { manifest: { ...NOTE.manifest, core: 'x' } },
    { manifest: { ...NOTE.manifest, warnings: undefined } },
    { upload: {} },
    { completing: false },
    { beginning: 'soon' },
    core({ parts: {} }),
    core({ bytes: 31 }),
    core({ bytes: -1, parts: [] }),
    core({ parts: [second, first] }),
    core({ parts: [first, { ...second, offset: 21 }], bytes: 30 }),
    core({ parts: [first, { ...second, number: 3 }] }),
    core({ parts: [first, { ...second, etag: 7 }] }),
    core({ parts: [first, null] }),
  ]
  for (const change of others)
    t.equal(decodeNote(signed(JSON.stringify({ ...NOTE, ...change }))), 'corrupt', JSON.stringify(change))
})
