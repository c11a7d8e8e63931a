import t from 'tap'
import { type KmsgPosition, readKernelLog } from '../../src/kernel/kmsg-reader.ts'
import { BOOTED_AT, NOW, rawRecord, sourceOf } from './kmsg-fixture.ts'

const all = (): boolean => true
const numbered = (...sequences: number[]): Uint8Array[] => sequences.map(n => rawRecord(n, `line ${n}`))
const at = (sequence: number): KmsgPosition => ({ bootId: 'this', sequence, readAt: BOOTED_AT })

t.test('a record is read as the kernel wrote it', async t => {
  const read = (raw: string): unknown => {
    const { records } = readKernelLog(undefined, all, sourceOf([Buffer.from(raw)]))
    return records[0]
  }
  const time = new Date(BOOTED_AT + 5140.9)
  t.strictSame(
    read('6,339,5140900,-;NET: Registered protocol family 10\n SUBSYSTEM=net\n DEVICE=+net:lo\n'),
    {
      ...{ sequence: 339, facility: 0, time, text: 'NET: Registered protocol family 10' },
    },
  )
  t.match(read('30,339,5140900,c,caller=T1;a;b,c\n'), { facility: 3, text: 'a;b,c' })
  t.match(read('4,1,1,-;nl\\x0aback\\x5cx41 \\xc3\\xa4\n'), { text: 'nl\nback\\x41 \xc3\xa4' })
  t.match(read('4,1,1,-;no newline'), { text: 'no newline' })
  for (const rubbish of ['', ';', 'line', '6,339;text', 'a,b,c,-;text', ',,,;', '-4,1,1,-;text']) {
    t.equal(read(rubbish), undefined, rubbish)
  }
})

t.test('only what came after the last reading is read, also once JSON has kept where that was', async t => {
  const first = readKernelLog(undefined, all, sourceOf(numbered(7, 8)))
  t.strictSame(first.position, { bootId: 'this', sequence: 9, readAt: NOW })
  const kept = JSON.parse(JSON.stringify(first.position)) as KmsgPosition
  const second = readKernelLog(kept, all, sourceOf(numbered(7, 8, 9, 10)))
  t.strictSame(
    second.records.map(({ sequence }) => sequence),
    [9, 10],
  )
  t.equal(second.lost, 0)
  const third = readKernelLog(second.position, all, sourceOf(numbered(9, 10)))
  t.match(third, { records: [], lost: 0, position: { sequence: 11 } })
})

t.test('a position of another boot, or one that is none, is not used', async t => {
  const bad = [
    { ...at(8), bootId: 'other' },
    at(Number.NaN),
    at(-1),
    at(1.5),
    { ...at(8), readAt: Number.NaN },
  ]
  const odd = [{ bootId: 'this' }, { bootId: 'this', sequence: '8', readAt: 0 }] as unknown as KmsgPosition[]
  for (const position of [...bad, ...odd]) {
    const { records, lost } = readKernelLog(position, all, sourceOf(numbered(7, 8)))
    t.match({ records: records.length, lost }, { records: 2, lost: 0 }, JSON.stringify(position))
  }
})

t.test('records that were overwritten are counted, before the oldest and in the midst', async t => {
  const overwritten = new Uint8Array(0)
  const { records, lost, position } = readKernelLog(
    at(5),
    all,
    sourceOf([...numbered(9, 10), overwritten, ...numbered(20)]),
  )
  t.equal(records.length, 3)
  t.equal(lost, 4 + 9)
  t.equal(position?.sequence, 21)
  t.equal(readKernelLog(undefined, all, sourceOf(numbered(500))).lost, 0, 'nobody had been reading')
})

t.test('what is not wanted is not kept, and not read again', async t => {
  const source = sourceOf(numbered(1, 2, 3))
  const { records, position } = readKernelLog(at(1), ({ sequence }) => sequence === 2, source)
  t.match(records, [{ text: 'line 2' }])
  t.equal(position?.sequence, 4)
})

t.test('a flood that never ends is read up to a bound, and the next reading goes on there', async t => {
  function* flood(from: number): Generator<Uint8Array> {
    for (let n = from; ; n++) yield rawRecord(n, 'x')
  }
  const first = readKernelLog(at(10), () => false, sourceOf(flood(10)))
  t.equal(first.position?.sequence, 100_010)
  t.equal(first.position?.readAt, BOOTED_AT, 'what is left may be as old as what was read')
  const second = readKernelLog(first.position, () => false, sourceOf(flood(10)))
  t.equal(second.position?.sequence, 200_010, 'what is skipped is not what is bounded')
  t.equal(second.lost, 0)
})

t.test('reading ends in time, also when nothing but overwritten records is read', async t => {
  let clock = NOW
  function* slow(): Generator<Uint8Array> {
    for (;;) {
      clock += 1000
      yield new Uint8Array(0)
    }
  }
  const { records, position } = readKernelLog(at(3), all, sourceOf(slow(), { now: () => clock }))
  t.strictSame({ records, position }, { records: [], position: at(3) })
  t.ok(clock - NOW < 10_000)
})

t.test('the time of a record is kept between the last reading and now: its clock drifts', async t => {
  const readAt = NOW - 60_000
  const times = (microseconds: number): number => {
    const records = [rawRecord(5, 'x', { microseconds })]
    return readKernelLog({ ...at(5), readAt }, all, sourceOf(records)).records[0]!.time.getTime()
  }
  t.equal(times(3_570_000_000), NOW - 30_000)
  t.equal(times(3_500_000_000), readAt, 'slow, or it was suspended')
  t.equal(times(3_700_000_000), NOW, 'fast')
})

t.test('without a kernel log nothing is read, and the position stays', async t => {
  t.strictSame(readKernelLog(at(3), all, null), { records: [], position: at(3), lost: 0 })
})
