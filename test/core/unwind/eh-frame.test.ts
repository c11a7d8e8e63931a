import t from 'tap'
import { type Cie, readCie, readFde, sortedIndex } from '../../../src/core/unwind/eh-frame.ts'
import { PageCache } from '../../../src/core/unwind/pages.ts'
import { memoryOf } from './build-image.ts'

const AT = 0x1_0000_0000

const pagesOf = (bytes: Uint8Array): PageCache => new PageCache(memoryOf({ [AT]: bytes }))

function record(id: number, body: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 + body.length)
  bytes.writeUInt32LE(4 + body.length, 0)
  bytes.writeUInt32LE(id, 4)
  bytes.set(body, 8)
  return bytes
}

const text = (value: string): number[] => [...Buffer.from(`${value}\0`)]

t.test('an index finds the last function that starts at an address or before it', async t => {
  const starts = [-0x3000, -0x2000, -0x1000]
  const write = (fieldBytes: 4 | 8, encoding: number): Buffer => {
    const index = Buffer.alloc(12 + starts.length * 2 * fieldBytes)
    index.set([1, 0x1b, 0x03, encoding])
    index.writeUInt32LE(starts.length, 8)
    for (const [entry, start] of starts.entries()) {
      for (const [field, value] of [start, 0x100 + entry].entries()) {
        const at = 12 + (entry * 2 + field) * fieldBytes
        if (fieldBytes === 4) index.writeInt32LE(value, at)
        else index.writeBigInt64LE(BigInt(value), at)
      }
    }
    return index
  }
  for (const [fieldBytes, encoding] of [
    [4, 0x3b],
    [8, 0x3c],
  ] as const) {
    const find = sortedIndex(pagesOf(write(fieldBytes, encoding)), AT)!
    t.equal(find(AT - 0x3000), AT + 0x100)
    t.equal(find(AT - 0x2001), AT + 0x100)
    t.equal(find(AT - 0x2000), AT + 0x101)
    t.equal(find(AT), AT + 0x102)
    t.ok(Number.isNaN(find(AT - 0x3001)))
  }
})

t.test('an index that is none, or has more entries than code has functions, is not searched', async t => {
  const indexWith = (at: number, ...bytes: number[]): unknown => {
    const index = Buffer.from([1, 0x1b, 0x03, 0x3b, 0, 0, 0, 0, 1, 0, 0, 0, ...Array<number>(8).fill(0)])
    index.set(bytes, at)
    return sortedIndex(pagesOf(index), AT)
  }
  t.type(indexWith(0), 'function')
  t.equal(indexWith(0, 2), undefined, 'another version')
  t.equal(indexWith(2, 0xff), undefined, 'without entries')
  t.equal(indexWith(3, 0x1b), undefined, 'not sorted by address')
  t.equal(indexWith(8, 0), undefined, 'empty')
  t.equal(indexWith(8, 0xff, 0xff, 0xff, 0xff), undefined, 'more than 2^28')
  t.equal(sortedIndex(pagesOf(Buffer.alloc(6, 1)), AT), undefined, 'cut off')
})

t.test('each CIE that compilers write', async t => {
  const factors = [4, 0x78, 16]
  for (const [name, body, expected] of [
    ['zR', [1, ...text('zR'), ...factors, 1, 0x1b], { pointerEncoding: 0x1b }],
    ['without augmentation', [1, ...text(''), ...factors], { pointerEncoding: 0, isAugmented: false }],
    ['zPLR', [1, ...text('zPLR'), ...factors, 7, 0x9b, 1, 2, 3, 4, 0x1b, 0x0b], { pointerEncoding: 0x0b }],
    ['zRS', [1, ...text('zRS'), ...factors, 1, 0x1b], { isSignalFrame: true }],
    ['of version 3', [3, ...text('zR'), 4, 0x78, 0x90, 0, 1, 0x1b], { pointerEncoding: 0x1b }],
    ['of version 4', [4, ...text('zR'), 8, 0, 4, 0x78, 16, 1, 0x1b], { pointerEncoding: 0x1b }],
    ['with what is not known', [1, ...text('zR!'), ...factors, 3, 0x1b, 9, 9], { pointerEncoding: 0x1b }],
  ] as const) {
    const cie = readCie(pagesOf(record(0, [...body, 0x0c, 7, 8])), AT)
    const common = {
      codeFactor: 4,
      dataFactor: -8,
      returnColumn: 16,
      isAugmented: true,
      isSignalFrame: false,
    }
    t.match(cie, { ...common, ...expected }, name)
    t.equal(cie?.instructions().u8(), 0x0c, `${name}: instructions begin behind it`)
  }
})

t.test('a CIE that is none', async t => {
  const zR = [1, ...text('zR'), 1, 0x78, 16, 1, 0x1b]
  t.not(readCie(pagesOf(record(0, zR)), AT), undefined)
  t.equal(readCie(pagesOf(record(8, zR)), AT), undefined, 'an FDE')
  t.equal(readCie(pagesOf(record(0, [2, ...zR.slice(1)])), AT), undefined, 'of version 2')
  t.equal(readCie(pagesOf(record(0, [1, ...text('eh'), ...zR.slice(4)])), AT), undefined, 'of gcc 2')
  t.equal(readCie(pagesOf(record(0, zR.slice(0, 5))), AT), undefined, 'cut off')
  t.equal(readCie(pagesOf(record(0, [...zR, ...Array<number>(600).fill(0)])), AT), undefined, 'too large')
  t.equal(readCie(pagesOf(Buffer.alloc(64)), AT), undefined, 'the end of the section')
})

t.test('an FDE leads to its CIE', async t => {
  const cie = record(0, [1, ...text('zR'), 1, 0x78, 16, 1, 0x1b])
  const start = Buffer.alloc(8)
  start.writeInt32LE(-0x1000, 0)
  start.writeInt32LE(0x40, 4)
  const fde = record(cie.length + 4, [...start, 2, 9, 9, 0x41])
  const pages = pagesOf(Buffer.concat([cie, fde]))
  const asked: number[] = []
  const cieAt = (address: number): Cie | undefined => {
    asked.push(address)
    return readCie(pages, address)
  }
  const found = readFde(pages, AT + cie.length, cieAt)
  const from = AT + cie.length + 8 - 0x1000
  t.match(found, { start: from, end: from + 0x40 })
  t.equal(found?.instructions().u8(), 0x41, 'its own augmentation is skipped')
  t.strictSame(asked, [AT])
  t.equal(readFde(pages, AT, cieAt), undefined, 'a CIE is no FDE')
  t.equal(
    readFde(pages, AT + cie.length, () => undefined),
    undefined,
    'nor is one without CIE',
  )
})
