import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { type FileReader, functionNames } from '../../src/core/symbols.ts'

interface SymbolSpec {
  readonly name: string
  readonly value: number
  readonly size?: number
  readonly type?: number
  /** 0 local, 1 global, 2 weak. */
  readonly binding?: number
  readonly section?: number
}

const [SYMBOLS_AT, SECTIONS_AT, STRINGS_AT] = [0x1000, 0x100, 0x8000]

/** An ELF file whose section 3, at 0x1000 … 0x2000, is code. */
function buildFile(symbols: readonly SymbolSpec[], { type = 2 } = {}): Buffer {
  const file = Buffer.alloc(0x10000)
  file.write('\x7fELF\x02\x01\x01', 'latin1')
  file.writeBigUInt64LE(BigInt(SECTIONS_AT), 40)
  file.writeUInt16LE(64, 58)
  file.writeUInt16LE(4, 60)
  let namesEnd = 1
  for (const [index, { name, value, size = 16, type = 2, binding = 1, section = 3 }] of symbols.entries()) {
    const at = SYMBOLS_AT + index * 24
    file.writeUInt32LE(namesEnd, at)
    file[at + 4] = binding * 16 + type
    file.writeUInt16LE(section, at + 6)
    file.writeBigUInt64LE(BigInt(value), at + 8)
    file.writeBigUInt64LE(BigInt(size), at + 16)
    namesEnd += file.write(`${name}\0`, STRINGS_AT + namesEnd)
  }
  const sections = [
    { type: 0 },
    { type, offset: SYMBOLS_AT, bytes: symbols.length * 24, link: 2 },
    { type: 3, offset: STRINGS_AT, bytes: namesEnd },
    { type: 1, address: 0x1000, bytes: 0x1000 },
  ]
  for (const [index, { type, address = 0, offset = 0, bytes = 0, link = 0 }] of sections.entries()) {
    const at = SECTIONS_AT + index * 64
    file.writeUInt32LE(type, at + 4)
    file.writeBigUInt64LE(BigInt(address), at + 16)
    file.writeBigUInt64LE(BigInt(offset), at + 24)
    file.writeBigUInt64LE(BigInt(bytes), at + 32)
    file.writeUInt32LE(link, at + 40)
  }
  return file
}

function readerOf(file: Buffer): FileReader {
  return {
    bytes: file.length,
    read(at, into) {
      if (!(at >= 0 && at < file.length)) throw new RangeError(`no place in the file: ${at}`)
      return file.copy(into, 0, at, at + into.length)
    },
  }
}

function namesIn(file: Buffer, ...addresses: number[]): (string | undefined)[] {
  return functionNames(readerOf(file), addresses).map(found => found && `${found.name}+${found.offset}`)
}

t.test('an address has the name of the function that it is in', async t => {
  const file = buildFile([
    { name: 'second', value: 0x1010 },
    { name: 'first', value: 0x1000 },
    { name: 'far', value: 0x1800 },
  ])
  t.strictSame(namesIn(file, 0x100f, 0x1010, 0x1000, 0x1020, 0x180f, 0x1810, 0xfff, 0x1010), [
    ...['first+15', 'second+0', 'first+0', undefined, 'far+15', undefined, undefined, 'second+0'],
  ])
  t.strictSame(namesIn(file), [])
})

t.test('the innermost of several, then the public one', async t => {
  const nested = [
    { name: 'inner', value: 0x1020, size: 8 },
    { name: 'outer', value: 0x1000, size: 0x100 },
  ]
  for (const symbols of [nested, nested.toReversed()])
    t.strictSame(namesIn(buildFile(symbols), 0x1021, 0x1030), ['inner+1', 'outer+48'])
  const aliases = [
    { name: '__GI_raise', value: 0x1000, binding: 0 },
    { name: 'raise', value: 0x1000, binding: 1 },
    { name: '__raise', value: 0x1000, binding: 2 },
  ]
  for (const symbols of [aliases, aliases.toReversed()])
    t.strictSame(namesIn(buildFile(symbols), 0x1008), ['raise+8'])
})

t.test('a label without a size names what follows, in its section and up to the next function', async t => {
  const file = buildFile([
    { name: '_start', value: 0x1000, size: 0, type: 0 },
    { name: 'sized', value: 0x1100 },
    { name: 'late', value: 0x1f00, size: 0, type: 0 },
  ])
  t.strictSame(namesIn(file, 0x1050, 0x1104, 0x1200, 0x1f10, 0x2010), [
    ...['_start+80', 'sized+4', undefined, 'late+16', undefined],
  ])
  t.strictSame(namesIn(file, 0x1200), [undefined], 'nor does it go on when nobody asks for what is between')
})

t.test('what is no function, or is elsewhere, names nothing', async t => {
  const file = buildFile([
    { name: 'object', value: 0x1000, type: 1 },
    { name: 'imported', value: 0x1000, section: 0 },
    { name: 'absolute', value: 0x1000, section: 0xfff1 },
  ])
  t.strictSame(namesIn(file, 0x1004), [undefined])
})

t.test('.dynsym serves where .symtab was stripped', async t => {
  t.strictSame(namesIn(buildFile([{ name: 'exported', value: 0x1000 }], { type: 11 }), 0x1004), [
    'exported+4',
  ])
})

t.test('a name of any length is bounded', async t => {
  const [name] = namesIn(buildFile([{ name: 'x'.repeat(5000), value: 0x1000 }]), 0x1000)
  t.equal(name?.length, 1024 + '+0'.length)
})

t.test('a file that is none, or ends early, names nothing', async t => {
  const file = buildFile([{ name: 'first', value: 0x1000 }])
  t.strictSame(namesIn(Buffer.alloc(0), 0x1000), [undefined])
  t.strictSame(namesIn(Buffer.from('#!/bin/sh'), 0x1000), [undefined])
  for (const bytes of [63, 0x180, SYMBOLS_AT, STRINGS_AT])
    t.strictSame(namesIn(file.subarray(0, bytes), 0x1000), [undefined], `${bytes} bytes`)
})

t.test('symbols that all contain every address do not take for ever', async t => {
  const symbol = buildFile([{ name: 'all', value: 0, size: 2 ** 48 }])
  const table = symbol.subarray(SYMBOLS_AT, SYMBOLS_AT + 24)
  const file = Buffer.concat([symbol, ...Array<Buffer>(200_000).fill(table)])
  file.writeBigUInt64LE(BigInt(symbol.length), SECTIONS_AT + 64 + 24)
  file.writeBigUInt64LE(200_000n * 24n, SECTIONS_AT + 64 + 32)
  const started = performance.now()
  const names = namesIn(file, ...Array.from({ length: 4096 }, (_, index) => index))
  t.equal(names[4095], 'all+4095')
  t.ok(performance.now() - started < 1500, 'a second or so, where each for each were 800 million steps')
})

const SOURCE = `
__attribute__((noinline)) static int twice(int n) { return n * 2; }
__attribute__((noinline)) int thrice(int n) { return n * 3; }
int main(int argc, char **argv) { (void)argv; return twice(argc) + thrice(argc); }`
const missing = ['gcc', 'nm'].filter(tool => spawnSync(tool, ['--version']).error !== undefined)

t.test(
  'every function of a real program has the name that nm gives it',
  { skip: missing.length > 0 && `needs ${missing.join(', ')}` },
  async t => {
    const program = join(t.testdir(), 'program')
    writeFileSync(`${program}.c`, SOURCE)
    execFileSync('gcc', ['-O1', '-o', program, `${program}.c`])
    const table = execFileSync('nm', ['-S', '--defined-only', program], { encoding: 'utf8' })
    const functions = [...table.matchAll(/^(\w+) (\w+) [tTW] (\S+)$/gm)].map(([, at, bytes, name]) => ({
      ...{ at: Number(`0x${at}`), bytes: Number(`0x${bytes}`), name },
    }))
    t.ok(['main', 'twice', 'thrice'].every(name => functions.some(each => each.name === name)))
    const last = functions.map(({ at, bytes }) => at + bytes - 1)
    t.strictSame(
      functionNames(readerOf(readFileSync(program)), last),
      functions.map(({ name, bytes }) => ({ name, offset: bytes - 1 })),
    )
  },
)

t.test('mutated files never throw, and are read within bounds', async () => {
  const file = buildFile([
    { name: 'first', value: 0x1000 },
    { name: 'label', value: 0x1100, size: 0, type: 0 },
  ])
  const places = [
    fc.nat(64),
    fc.integer({ min: SECTIONS_AT, max: SECTIONS_AT + 256 }),
    fc.integer({ min: SYMBOLS_AT, max: SYMBOLS_AT + 48 }),
  ]
  const mutation = fc.record({ at: fc.oneof(...places), byte: fc.nat(255) })
  fc.assert(
    fc.property(
      fc.array(mutation, { maxLength: 20 }),
      fc.array(fc.oneof(fc.integer({ min: 0xff0, max: 0x2010 }), fc.double()), { maxLength: 9 }),
      (mutations, addresses) => {
        const mutated = Buffer.from(file)
        for (const { at, byte } of mutations) mutated[at] = byte
        const { bytes, read } = readerOf(mutated)
        let asked = 0
        const counted = {
          bytes,
          read: (at: number, into: Uint8Array) => ((asked += into.length), read(at, into)),
        }
        const names = functionNames(counted, addresses)
        if (names.length !== addresses.length) throw new Error('a name for each address')
        if (asked > 8 * mutated.length) throw new Error(`asked for ${asked} bytes`)
      },
    ),
    { numRuns: 3000 },
  )
})
