import fc from 'fast-check'
import t from 'tap'
import { AT } from '../../src/core/auxv.ts'
import { linkMapEntries, linkMapRanges } from '../../src/core/link-map.ts'
import type { Memory } from '../../src/core/memory.ts'
import { SparseMemory } from './sparse-memory.ts'

const EXE = 0x5555_0000_0000
const HEADERS = EXE + 64
const DYNAMIC = EXE + 0x3000
const DEBUG = 0x7f00_0000_0000
const MAPS = 0x7f00_0000_1000
const AUXV = new Map<number, number>([
  [AT.phdr, HEADERS],
  [AT.phnum, 3],
])

/** An executable with PT_PHDR or PT_LOAD, PT_DYNAMIC and DT_DEBUG, and room for the rest. */
function process({
  debug = DEBUG,
  firstHeader = [6n, 0n, 64n],
}: { debug?: number; firstHeader?: bigint[] } = {}) {
  return new SparseMemory()
    .map(EXE, EXE + 0x4000)
    .map(DEBUG, DEBUG + 0x10_000)
    .words(HEADERS, ...firstHeader)
    .words(HEADERS + 56, 2n, 0n, 0x3000n)
    .words(DYNAMIC, 5, 0x123, 21, debug, 0, 0)
}

const linkMap = (name: number, next: number): number[] => [0, name, 0, next, 0]

function told(memory: Memory): string[] {
  return [...linkMapRanges(memory, AUXV)].map(({ start, end }) => `${start.toString(16)}+${end - start}`)
}

function libraries(): SparseMemory {
  return process()
    .words(DEBUG, 1, MAPS)
    .words(MAPS, ...linkMap(MAPS + 0x800, MAPS + 0x40))
    .words(MAPS + 0x40, ...linkMap(MAPS + 0x900, 0))
    .bytes(MAPS + 0x900, Buffer.from('/lib/libc.so.6\0'))
}

const LIBRARIES = [
  '555500003000+32', // .dynamic up to DT_DEBUG
  '7f0000000000+48', // struct r_debug
  '7f0000001000+40',
  '7f0000001800+1', // the executable has no name
  '7f0000001040+40',
  '7f0000001900+15',
]

t.test('the list is followed from the program headers to each name', async t => {
  t.strictSame(told(libraries()), LIBRARIES)
})

t.test('the list tells the name and an address of each library', async t => {
  const memory = libraries().words(MAPS + 0x40, 0, MAPS + 0x900, 0x7f12_0000_0000, 0, 0)
  const entries = [...linkMapEntries(memory, AUXV)]
  t.strictSame(
    entries.map(({ name, dynamic }) => [Buffer.from(name).toString(), dynamic]),
    [
      ['', 0],
      ['/lib/libc.so.6', 0x7f12_0000_0000],
    ],
  )
})

t.test('a name without an end is none', async t => {
  const memory = libraries().bytes(MAPS + 0x900, Buffer.alloc(0x10_000 - 0x1900, 'x'))
  t.equal([...linkMapEntries(memory, AUXV)].length, 1)
})

t.test('without PT_PHDR the place of the first PT_LOAD tells where the executable is', async t => {
  t.strictSame(told(libraries().words(HEADERS, 1n | (5n << 32n), 0n, 0n)), LIBRARIES)
})

t.test('namespaces of dlmopen follow from version 2 on', async t => {
  const memory = libraries().words(DEBUG + 40, DEBUG + 0x200)
  memory.words(DEBUG + 0x200, 2, MAPS + 0x2000).words(MAPS + 0x2000, ...linkMap(MAPS + 0x900, 0))
  t.strictSame(told(memory), LIBRARIES, 'version 1 has no such word')
  memory.words(DEBUG, 2)
  t.strictSame(told(memory).slice(LIBRARIES.length), [
    '7f0000000200+48',
    '7f0000003000+40',
    '7f0000001900+15',
  ])
})

t.test('a chain that is a loop ends', async t => {
  const memory = libraries().words(MAPS + 0x40, ...linkMap(MAPS + 0x900, MAPS))
  t.strictSame(told(memory), LIBRARIES)
  memory.words(DEBUG, 2).words(DEBUG + 40, DEBUG)
  t.ok(told(memory).length < 50, 'one of namespaces too')
})

t.test('a name without end is a page at most', async t => {
  const memory = libraries()
  memory.bytes(MAPS + 0x900, Buffer.alloc(0x5000, 'a'))
  t.equal(told(memory).at(-1), '7f0000001900+4096')
})

t.test('a chain is followed for 4,096 nodes', async t => {
  const executable = libraries()
  const endless: Memory = {
    read(address, into) {
      if (address < DEBUG) return executable.read(address, into)
      into.fill(2)
      if (into.length >= 8) Buffer.from(into.buffer).writeBigUInt64LE(BigInt(address + 0x1000))
      return into.length
    },
  }
  const { length } = told(endless)
  t.ok(length > 2 * 4096 && length <= 1 + 16 + 2 * 4096, `${length} ranges`)
})

t.test('static executables and unreadable memory have none', async t => {
  t.strictSame(told(process({ debug: 0 })), ['555500003000+32'])
  t.strictSame([...linkMapRanges(libraries(), new Map())], [])
  t.strictSame(told(new SparseMemory()), [])
})

t.test('whatever the memory holds, it ends', async () => {
  const address = fc.constantFrom(HEADERS, DYNAMIC, DEBUG, MAPS, 2 ** 52, -1)
  const words = fc.array(fc.tuple(fc.nat(400), fc.oneof(address, fc.nat(30))), { maxLength: 60 })
  fc.assert(
    fc.property(words, words, words, (headers, dynamic, maps) => {
      const memory = libraries()
      const lay = (base: number, changes: [number, number][]) =>
        changes.forEach(([at, word]) => memory.words(base + at * 8, BigInt.asUintN(64, BigInt(word))))
      lay(HEADERS, headers)
      lay(DYNAMIC, dynamic)
      lay(MAPS, maps)
      told(memory)
    }),
  )
})
