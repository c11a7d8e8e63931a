import t from 'tap'
import { storeAfter } from '../../src/handle/stream.ts'
import { MultipartWriter, type ObjectStore } from '../../src/store/multipart.ts'

const PART_BYTES = 5 * 1024 * 1024

/** Notes what was sent: an object's bytes, or its parts'. */
function recordingStore(): ObjectStore & { readonly sent: number[] } {
  const sent: number[] = []
  return {
    sent,
    put: async (_key, body) => void sent.push(body.length),
    startUpload: async () => ({
      putPart: async (number, _offset, body) => {
        sent.push(body.length)
        return { number, etag: 'e' }
      },
      complete: async () => undefined,
      abort: async () => undefined,
    }),
  }
}

t.test('no byte of a core goes out before what comes first is there', async t => {
  for (const [bytes, expected] of [
    [2 * PART_BYTES + 7, [PART_BYTES, PART_BYTES, 7]],
    [100, [100]],
  ] as const) {
    const store = recordingStore()
    let arrive: () => void = () => undefined
    const kit = new Promise<void>(resolve => (arrive = resolve))
    const core = new MultipartWriter(storeAfter(store, kit), 'core')
    const written = Promise.resolve(core.write(new Uint8Array(bytes))).then(() => core.finish())
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
    t.strictSame(store.sent, [])
    arrive()
    t.match(await written, { bytes })
    t.strictSame(store.sent, expected)
  }
})
