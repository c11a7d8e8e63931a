import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { addonZstd, type FrameCompressor, loadAddon } from '../../src/zstd/codec.ts'
import { decodeSeekTable, encodeSeekTable } from '../../src/zstd/seekable.ts'
import { SeekableWriter } from '../../src/zstd/seekable-writer.ts'

const uint32 = fc.nat({ max: 0xffff_ffff })
const frames = fc.array(fc.record({ storedBytes: uint32, bytes: uint32 }, { noNullPrototype: true }), {
  maxLength: 50,
})

t.test('a seek table reads back as it was written, at the end of anything', async t => {
  fc.assert(
    fc.property(frames, fc.uint8Array(), (written, before) => {
      const table = encodeSeekTable(written)
      const read = decodeSeekTable(Buffer.concat([before, table]))
      t.strictSame(read, { state: 'table', frames: written, tableBytes: table.length })
    }),
    { numRuns: 50 },
  )
})

t.test('with only the footer at hand it says how many bytes it needs', async t => {
  const table = encodeSeekTable([{ storedBytes: 1, bytes: 2 }])
  t.strictSame(decodeSeekTable(table.subarray(-9)), { state: 'need', bytes: table.length })
  t.strictSame(decodeSeekTable(table.subarray(-3)), { state: 'need', bytes: 9 })
})

t.test('arbitrary bytes are no table, and never throw', async t => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 9, maxLength: 64 }),
      bytes => decodeSeekTable(bytes).state !== 'table',
    ),
  )
  t.pass()
})

/** Stores as it is, in frames of ten bytes. */
const plain: FrameCompressor = {
  codec: 'runtime',
  frameBytes: 10,
  write: async (input, sink) => await sink(input),
  end: async sink => await sink(Buffer.from('|')),
}

t.test('the writer cuts frames at their size, however the input comes', async t => {
  for (const pieces of [
    ['a'.repeat(25)],
    Array.from({ length: 25 }, () => 'a'),
    ['a'.repeat(10), 'a'.repeat(15)],
  ]) {
    const chunks: Uint8Array[] = []
    const writer = new SeekableWriter(plain, bytes => void chunks.push(bytes.slice()))
    for (const piece of pieces) await writer.write(Buffer.from(piece))
    t.equal(await writer.finish(), 3)
    const file = Buffer.concat(chunks)
    t.match(file.toString('latin1'), /^a{10}\|a{10}\|a{5}\|/)
    t.match(decodeSeekTable(file), {
      frames: [
        { storedBytes: 11, bytes: 10 },
        { storedBytes: 11, bytes: 10 },
        { storedBytes: 6, bytes: 5 },
      ],
    })
  }
})

const ADDON = join(import.meta.dirname, '..', '..', 'build', 'zstd.node')
const hasZstd = spawnSync('zstd', ['--version']).status === 0
const skip = !existsSync(ADDON) ? 'the addon is not built' : hasZstd ? false : 'zstd is not installed'
for (const threads of ['one', 'many'] as const) {
  const name = `the zstd command reads what the addon wrote with ${threads}, checksums and all`
  t.test(name, { skip }, async t => {
    const zstd = addonZstd(loadAddon(ADDON))
    const content = Buffer.alloc(40 * 1024 * 1024, 'core dump ')
    const chunks: Uint8Array[] = []
    const writer = new SeekableWriter(zstd.compressor(1, threads), bytes => void chunks.push(bytes.slice()))
    await writer.write(content)
    t.equal(await writer.finish(), 3)
    const file = Buffer.concat(chunks)
    const read = spawnSync('zstd', ['-dc'], { input: file, maxBuffer: 1 << 27 })
    t.ok(read.stdout.equals(content), 'byte for byte')

    const table = decodeSeekTable(file)
    if (table.state !== 'table') return t.fail('no seek table')
    const first = file.subarray(0, table.frames[0]!.storedBytes)
    t.ok(first[4]! & 4, 'RFC 8878, Frame_Header_Descriptor: Content_Checksum_flag')
    const decompressor = zstd.decompressor()
    t.ok(
      Buffer.from(decompressor.frame(first, 16 * 1024 * 1024)).equals(content.subarray(0, 16 * 1024 * 1024)),
    )
    const damaged = Buffer.from(first)
    damaged[damaged.length - 1]! ^= 1
    t.throws(() => decompressor.frame(damaged, 16 * 1024 * 1024))
  })
}
