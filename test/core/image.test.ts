import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { fileBuildId, isImage, readImage, vdsoModule } from '../../src/core/image.ts'
import { buildImage, IMAGE_BYTES, memoryOf, words } from './unwind/build-image.ts'

const START = 0x7f00_0000_0000

t.test('an image tells its bias, build-id, segments and unwind table', async t => {
  t.strictSame(readImage(memoryOf({ [START]: buildImage([]) }), START), {
    bias: START,
    segments: [{ start: START, bytes: IMAGE_BYTES, flags: 4 }],
    buildId: '00112233445566778899aabbccddeeff00112233',
    unwindTable: START + 0x1000,
  })
})

t.test('an image linked for an address of its own has no bias there', async t => {
  const image = buildImage([])
  for (const field of [64 + 16, 64 + 56 + 16, 64 + 112 + 16])
    image.writeBigUInt64LE(image.readBigUInt64LE(field) + BigInt(START), field)
  t.match(readImage(memoryOf({ [START]: image }), START), {
    bias: 0,
    segments: [{ start: START }],
    buildId: /^0011/,
    unwindTable: START + 0x1000,
  })
})

t.test('an image without build-id or index is an image', async t => {
  const image = buildImage([], { indexed: false })
  image.fill(0, 0x400, 0x424)
  t.match(readImage(memoryOf({ [START]: image }), START), { buildId: undefined, unwindTable: undefined })
})

t.test('what is no image, or cannot be read, is none', async t => {
  const imageWith = (at: number, ...bytes: number[]): unknown => {
    const image = buildImage([])
    image.set(bytes, at)
    return readImage(memoryOf({ [START]: image }), START)
  }
  t.not(imageWith(0, 0x7f), undefined)
  t.equal(imageWith(0, 0x7e), undefined, 'another magic')
  t.equal(imageWith(4, 1), undefined, '32 bits')
  t.equal(imageWith(5, 2), undefined, 'big-endian')
  t.equal(imageWith(54, 32), undefined, 'other program headers')
  t.equal(imageWith(56, 0, 0), undefined, 'none of them')
  t.equal(imageWith(32, 0, 0, 0xff, 0xff), undefined, 'outside of the image')
  t.equal(readImage(memoryOf({ [START]: buildImage([]).subarray(0, 60) }), START), undefined)
  t.equal(readImage(memoryOf({}), START), undefined)
})

t.test('more program headers than linkers write are not read', async t => {
  const image = buildImage([])
  const headers = (count: number): unknown => {
    image.writeUInt16LE(count, 56)
    return readImage(memoryOf({ [START]: Buffer.concat([image, Buffer.alloc(60_000)]) }), START)
  }
  t.not(headers(512), undefined)
  t.equal(headers(513), undefined)
})

t.test('the kernel’s own image is where the auxiliary vector says', async t => {
  const memory = memoryOf({ [START]: buildImage([]) })
  const auxv = (at: number) => [{ name: 'CORE', type: 6, desc: words(3, 1, 33, at, 0, 0) }]
  const module = vdsoModule(memory, auxv(START))
  t.match(module, { start: START, end: START + IMAGE_BYTES, mappings: { length: 1 } })
  t.equal(Buffer.from(module!.path).toString(), 'linux-vdso.so.1')
  t.equal(vdsoModule(memory, auxv(START + 4096)), undefined)
  t.equal(vdsoModule(memory, []), undefined)
})

t.test(
  'a real executable’s build-id is the one that readelf finds',
  { skip: spawnSync('readelf', ['--version']).error !== undefined && 'needs readelf' },
  async t => {
    const notes = execFileSync('readelf', ['-n', '/bin/sh'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const content = readFileSync('/bin/sh')
    const wanted = /Build ID: (\w+)/.exec(notes)![1]
    t.equal(readImage(memoryOf({ [START]: content }), START)?.buildId, wanted)
    t.equal(fileBuildId(reader(content)), wanted)
    t.ok(isImage(reader(content), 0))
    t.notOk(isImage(reader(content), 1))
  },
)

t.test('arbitrary headers never throw', async () => {
  const mutation = fc.record({ at: fc.nat(0x440), byte: fc.nat(255) })
  fc.assert(
    fc.property(fc.array(mutation, { maxLength: 30 }), mutations => {
      const image = buildImage([])
      for (const { at, byte } of mutations) image[at] = byte
      readImage(memoryOf({ [START]: image }), START)
    }),
    { numRuns: 3000 },
  )
})

t.test('whatever bytes a file has, its build-id is read or there is none', async () => {
  const image = buildImage([])
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(image.length - 1), fc.nat(255)), { maxLength: 30 }),
      fc.nat(image.length),
      (changes, bytes) => {
        const changed = Buffer.from(image)
        for (const [at, byte] of changes) changed[at] = byte
        const id = fileBuildId(reader(changed.subarray(0, bytes)))
        return id === undefined || /^(?:[0-9a-f]{2}){1,64}$/.test(id)
      },
    ),
  )
})

function reader(content: Uint8Array) {
  return {
    read: (at: number, into: Uint8Array) => {
      const found = content.subarray(at, at + into.length)
      into.set(found)
      return found.length
    },
  }
}
