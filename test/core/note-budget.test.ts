import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { encodeNote, noteBytes, notesWithin } from '../../src/core/note-budget.ts'
import { notesIn } from '../../src/core/notes.ts'
import type { Note } from '../../src/core/notes.ts'
import { note } from './build-core.ts'

const NAMES: Readonly<Record<number, string>> = {
  1: 'status',
  2: 'fp',
  3: 'info',
  0x202: 'xsave',
  0x46494c45: 'file',
}

const core = (type: number, bytes: number): Note => ({ name: 'CORE', type, desc: Buffer.alloc(bytes) })
const thread = (): Note[] => [
  core(1, 336),
  core(2, 512),
  { name: 'LINUX', type: 0x202, desc: Buffer.alloc(2440) },
]

/** As the kernel orders them. */
function notesOf(threads: number): Note[] {
  const [status, ...registers] = thread()
  const others = Array.from({ length: threads - 1 }, thread).flat()
  return [status!, core(3, 136), core(0x46494c45, 1000), ...registers, ...others]
}

const told = (notes: readonly Note[]): string => notes.map(({ type }) => NAMES[type]).join(' ')
const sum = (notes: readonly Note[]): number => notes.reduce((bytes, note) => bytes + noteBytes(note), 0)

t.test('notes that fit are all kept, in their order', async t => {
  const notes = notesOf(3)
  t.equal(told(notesWithin(notes, sum(notes))), told(notes))
})

t.test('over budget the other threads lose XSAVE first, then floating point', async t => {
  const notes = notesOf(3)
  t.equal(told(notesWithin(notes, sum(notes) - 1)), 'status info file fp xsave status fp status fp')
  t.equal(told(notesWithin(notes, sum(notes) - 2 * 2500)), 'status info file fp xsave status status')
})

t.test('then files, then threads from the last on: the one that crashed stays', async t => {
  const notes = notesOf(3)
  t.equal(told(notesWithin(notes, 4500)), 'status info fp xsave status status')
  t.equal(told(notesWithin(notes, 4000)), 'status info fp xsave status')
  t.equal(told(notesWithin(notes, 0)), '')
})

t.test('the budget holds, and order is kept, whatever the notes', async () => {
  const arbitrary = fc.record({
    name: fc.constantFrom('CORE', 'LINUX', ''),
    type: fc.constantFrom(1, 2, 3, 0x202, 0x46494c45),
    desc: fc.nat(300).map(bytes => Buffer.alloc(bytes)),
  })
  fc.assert(
    fc.property(fc.array(arbitrary), fc.nat(5000), (notes, bytesMax) => {
      const chosen = notesWithin(notes, bytesMax)
      if (sum(chosen) > bytesMax) throw new Error(`${sum(chosen)} of ${bytesMax}`)
      const order = chosen.map(note => (notes as Note[]).indexOf(note))
      deepStrictEqual(
        order,
        [...order].sort((one, other) => one - other),
      )
    }),
  )
})

t.test('an encoded note is what the kernel writes, and is read again', async t => {
  for (const [name, bytes] of [
    ['CORE', 7],
    ['corelift', 0],
    ['', 4],
  ] as const) {
    const encoded = encodeNote({ name, type: 9, desc: Buffer.alloc(bytes, 0x61) })
    t.strictSame(Buffer.from(encoded), note(name, 9, Buffer.alloc(bytes, 0x61)))
    t.match([...notesIn(encoded)], [{ name, type: 9 }])
  }
})
