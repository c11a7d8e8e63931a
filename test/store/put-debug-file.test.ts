import t from 'tap'
import { CoreliftError } from '../../src/errors.ts'
import { putDebugFile } from '../../src/store/put-debug-file.ts'
import { MemoryStore } from './memory.ts'

const KEY = 'buildid/aa/executable'
const DAY_MS = 24 * 3600 * 1000
const write = (text: string) => async (sink: (bytes: Uint8Array) => Promise<void> | undefined) => {
  await sink(Buffer.from(text))
}
const refuse = () => Promise.reject(new Error('it was to be written'))

t.test('an object is sent once', async t => {
  const store = new MemoryStore()
  t.same(await putDebugFile(store, KEY, write('first')), { state: 'sent', bytes: 5 })
  t.same(await putDebugFile(store, KEY, refuse), { state: 'present' })
  t.equal(Buffer.from(store.objects.get(KEY)!).toString(), 'first')
})

t.test('one that a lifecycle rule will soon take is put again', async t => {
  const store = new MemoryStore()
  await putDebugFile(store, KEY, write('first'))
  store.modifiedAt = new Date(Date.now() - 29 * DAY_MS)
  t.match(await putDebugFile(store, KEY, refuse), { state: 'present' })
  store.modifiedAt = new Date(Date.now() - 31 * DAY_MS)
  t.match(await putDebugFile(store, KEY, write('again')), { state: 'sent' })
  t.equal(Buffer.from(store.objects.get(KEY)!).toString(), 'again')
})

t.test('a node that may only write does not write over what is there', async t => {
  const store = new MemoryStore()
  store.stat = () => Promise.reject(new CoreliftError('E_STORE_DENIED', 'HEAD: access denied'))
  await putDebugFile(store, KEY, write('first'))
  t.match(await putDebugFile(store, KEY, write('second')), { state: 'sent' })
  t.equal(Buffer.from(store.objects.get(KEY)!).toString(), 'first')
})

t.test('what cannot be written leaves nothing behind, whatever its size', async t => {
  for (const bytes of [1, 12 << 20]) {
    const store = new MemoryStore()
    const failing = putDebugFile(store, KEY, async sink => {
      await sink(Buffer.alloc(bytes))
      throw new Error('it changed')
    })
    await t.rejects(failing, { message: 'it changed' })
    t.equal(store.objects.size, 0)
    t.equal(store.uploads.size, 0)
  }
})

t.test('another failure of asking is thrown', async t => {
  const store = new MemoryStore()
  store.stat = () => Promise.reject(new CoreliftError('E_STORE_UNREACHABLE', 'no answer'))
  await t.rejects(putDebugFile(store, KEY, refuse), { code: 'E_STORE_UNREACHABLE' })
})
