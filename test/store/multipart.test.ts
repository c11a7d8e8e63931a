import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { buffersMax, MultipartWriter, partBytes } from '../../src/store/multipart.ts'
import { CoreliftError } from '../../src/errors.ts'
import type { PartReceipt, Store, Upload } from '../../src/store/store.ts'

const MIB = 2 ** 20

t.test('10,000 parts hold the largest object of S3, and each is a legal part', async t => {
  let bytes = 0
  for (let number = 1; number <= 10_000; number++) {
    const size = partBytes(number)
    const legal = size >= 5 * MIB && size <= 5 * 2 ** 30 && size % MIB === 0
    if (!legal || size < partBytes(number - 1) || (number <= 5000 && size !== 5 * MIB))
      t.fail(`part ${number}: ${size}`)
    bytes += size
  }
  t.ok(bytes > 5 * 2 ** 40, `${bytes / 2 ** 40} TiB`)
})

t.test('part buffers stay within 24 MiB until a single part is larger', async t => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000 }), number => {
      const bytes = partBytes(number)
      const buffers = buffersMax(bytes)
      return buffers >= 1 && buffers <= 3 && (buffers === 1 || buffers * bytes <= 24 * MIB)
    }),
  )
  t.equal(buffersMax(partBytes(1)), 3)
})

t.test('an object that fits into one part is stored by one request', async t => {
  for (const length of [0, 1, 5 * MIB]) {
    const { store, objects, starts } = memoryStore()
    const writer = new MultipartWriter(store, 'key', { contentType: 'application/zstd' })
    writer.write(Buffer.alloc(length, 'x'))
    t.same(await writer.finish(), { bytes: length, parts: 1, etag: `${length} bytes` })
    t.equal(objects.get('key')?.length, length)
    t.equal(starts(), 0)
  }
})

t.test('what is written arrives whole, whatever the sizes of the chunks', async t => {
  const source = createHash('sha512').update('multipart').digest()
  const large = Buffer.concat(
    Array.from({ length: (7 * MIB) / 64 }, (_, index) => Buffer.from(source).fill(index, 0, 4)),
  )
  const chunks = fc.array(fc.oneof(fc.nat(100_000), fc.integer({ min: 1, max: 7 * MIB })), { maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(chunks, async lengths => {
      const { store, objects, peak } = memoryStore()
      const writer = new MultipartWriter(store, 'key')
      const expected = createHash('sha256')
      const reused = Buffer.alloc(7 * MIB)
      for (const [index, length] of lengths.entries()) {
        large.copy(reused, 0, 0, length)
        reused.writeUInt32LE(index)
        expected.update(reused.subarray(0, length))
        await writer.write(reused.subarray(0, length))
        reused.fill(0)
      }
      const { bytes, parts, etag } = await writer.finish()
      t.equal(
        bytes,
        lengths.reduce((sum, length) => sum + length, 0),
      )
      t.equal(parts, Math.max(1, Math.ceil(bytes / (5 * MIB))))
      t.equal(etag, parts === 1 ? `${bytes} bytes` : `${parts} parts`, 'as the store called it')
      t.equal(createHash('sha256').update(objects.get('key')!).digest('hex'), expected.digest('hex'))
      t.ok(peak() <= 3, `${peak()} parts in flight`)
    }),
    { numRuns: 15 },
  )
})

t.test('a writer that is ahead waits, and part buffers are used again', async t => {
  const { store, hold, release, bodies } = memoryStore()
  hold()
  const writer = new MultipartWriter(store, 'key')
  const chunk = Buffer.alloc(5 * MIB)
  let written = 0
  const writing = (async () => {
    for (let count = 0; count < 12; count++) {
      await writer.write(chunk)
      written++
    }
  })()
  await settle()
  t.equal(written, 3, 'two in flight, one filled')
  release()
  await writing
  await writer.finish()
  t.ok(new Set(bodies.map(body => body.buffer)).size <= 3, 'three buffers in all')
})

t.test('a part that fails makes the next write or the end throw its error', async t => {
  const { store, fail } = memoryStore()
  const error = new CoreliftError('E_STORE_DENIED', 'no')
  fail(error)
  const writer = new MultipartWriter(store, 'key')
  await writer.write(Buffer.alloc(6 * MIB))
  await settle()
  await t.rejects(Promise.resolve(writer.write(Buffer.alloc(1))), error)
  await t.rejects(writer.finish(), error)
  await t.resolves(writer.abort())
})

t.test('an upload that cannot be started is no object, not a shorter one', async t => {
  const { store, objects } = memoryStore()
  const error = new CoreliftError('E_STORE_DENIED', 'no')
  const writer = new MultipartWriter({ ...store, startUpload: () => Promise.reject(error) }, 'key')
  await t.rejects(Promise.resolve(writer.write(Buffer.alloc(6 * MIB))), error)
  await t.rejects(writer.finish(), error)
  await t.resolves(writer.abort())
  t.equal(objects.size, 0)
})

t.test('an abort waits for the parts in flight', async t => {
  const { store, hold, release, aborts } = memoryStore()
  hold()
  const writer = new MultipartWriter(store, 'key')
  await writer.write(Buffer.alloc(6 * MIB))
  const aborting = writer.abort()
  await settle()
  t.equal(aborts(), 0)
  release()
  await aborting
  t.equal(aborts(), 1)
})

/** Lets everything happen that waits for nothing outside. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise(resolve => setImmediate(resolve))
}

/** Objects in memory, and what the tests want to know or to disturb. */
function memoryStore() {
  const objects = new Map<string, Uint8Array>()
  const bodies: Uint8Array[] = []
  let [starts, aborts, inFlight, peak] = [0, 0, 0, 0]
  let failure: CoreliftError | undefined
  let held = Promise.resolve()
  let release = () => {}

  const startUpload = async (key: string): Promise<Upload> => {
    starts++
    const parts = new Map<number, { offset: number; body: Uint8Array }>()
    return {
      id: 'id',
      async putPart(number, offset, body): Promise<PartReceipt> {
        peak = Math.max(peak, ++inFlight)
        bodies.push(body)
        await held
        // The last moment at which a store may look at the body.
        parts.set(number, { offset, body: Buffer.from(body) })
        inFlight--
        if (failure) throw failure
        return { number, etag: String(number), bytes: body.length }
      },
      async complete(receipts) {
        const last = parts.get(receipts.length)!
        const whole = Buffer.alloc(last.offset + last.body.length)
        for (const { number } of receipts) whole.set(parts.get(number)!.body, parts.get(number)!.offset)
        objects.set(key, whole)
        return `${receipts.length} parts`
      },
      async abort() {
        aborts++
      },
    }
  }
  const put = async (key: string, body: Uint8Array) => {
    objects.set(key, Buffer.from(body))
    return `${body.length} bytes`
  }
  return {
    store: { put, startUpload } as unknown as Store,
    objects,
    bodies,
    starts: () => starts,
    aborts: () => aborts,
    peak: () => peak,
    fail: (error: CoreliftError) => (failure = error),
    hold: () => (held = new Promise(resolve => (release = resolve))),
    release: () => release(),
  }
}
