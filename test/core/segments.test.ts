import t from 'tap'
import { scanHead } from '../../src/core/head.ts'
import { segmentAt, segmentsOf, validFiles, type Segment } from '../../src/core/segments.ts'
import { buildCore, type SegmentSpec } from './build-core.ts'

const fileAt = (start: bigint, end: bigint, path = 'file') => ({
  start,
  end,
  fileOffset: 0n,
  path: Buffer.from(path),
})

function segments(specs: SegmentSpec[], files: ReturnType<typeof fileAt>[] = []): Segment[] {
  const scan = scanHead(buildCore({ segments: specs, files: [] }).head)
  if (scan.state !== 'core') throw new Error(JSON.stringify(scan))
  return segmentsOf(scan.head, validFiles(files))
}

t.test('segments know what the kernel dumps of them, and which file is behind them', async t => {
  const listed = segments(
    [
      { vaddr: 0x1_0000n, filesz: 0x1000, memsz: 0x4000n, flags: 5 },
      { vaddr: 0x1_4000n, filesz: 0x2000, flags: 6 },
      { vaddr: 0x3_0000n, filesz: 0, memsz: 0x1000n, flags: 6 },
    ],
    [fileAt(0x1_0000n, 0x1_4000n, 'text'), fileAt(0x1_4000n, 0x1_6000n, 'data')],
  )
  t.strictSame(listed, [
    { start: 0x1_0000, dumpedEnd: 0x1_1000, end: 0x1_4000, flags: 5, path: Buffer.from('text') },
    { start: 0x1_4000, dumpedEnd: 0x1_6000, end: 0x1_6000, flags: 6, path: Buffer.from('data') },
    { start: 0x3_0000, dumpedEnd: 0x3_0000, end: 0x3_1000, flags: 6, path: undefined },
  ])
  t.equal(segmentAt(listed, 0x1_5fff), listed[1])
  t.equal(segmentAt(listed, 0x1_6000), undefined)
})

t.test('what is behind the addresses of user space is left out: the vsyscall page', async t => {
  t.strictSame(segments([{ vaddr: 0xffff_ffff_ff60_0000n, filesz: 0x1000 }]), [])
})

t.test('of segments that overlap, which the kernel never writes, the lower one has the place', async t => {
  const listed = segments([
    { vaddr: 0x3000n, filesz: 0x4000 },
    { vaddr: 0x1000n, filesz: 0x3000 },
    { vaddr: 0x2000n, filesz: 0x1000 },
  ])
  t.strictSame(
    listed.map(({ start, end }) => [start, end]),
    [
      [0x1000, 0x4000],
      [0x4000, 0x7000],
    ],
  )
})

t.test('parts of pages are no pages', async t => {
  t.match(segments([{ vaddr: 0x1800n, filesz: 0x2000 }]), [{ start: 0x2000, dumpedEnd: 0x3000, end: 0x3000 }])
  t.strictSame(segments([{ vaddr: 0x1800n, filesz: 0x400 }]), [])
})

t.test('mappings that contradict each other or themselves are none', async t => {
  const [upper, lower] = [fileAt(0x5000n, 0x8000n, 'upper'), fileAt(0x1000n, 0x6000n, 'lower')]
  const reversed = fileAt(0x9000n, 0x9000n)
  const beyond = fileAt(0xa000n, 2n ** 60n)
  t.strictSame(validFiles([upper, lower, reversed, beyond, fileAt(0x8000n, 0x9000n)]), [
    lower,
    fileAt(0x8000n, 0x9000n),
  ])
})
