// What every store has to do, whatever it is made of: one suite for all adapters.

import { createHash } from 'node:crypto'
import type { Test } from 'tap'
import type { CoreliftError, ErrorCode } from '../../src/errors.ts'
import type { ListOptions, Store } from '../../src/store/store.ts'

const MIB = 1024 * 1024

export interface StoreUnderTest {
  /** Opens a store that is empty, and stays the test's alone. */
  open(): Promise<Store>
  /** Opens one whose bucket or directory is not there; may fail at once or on first use. */
  openAbsent(): Promise<Store>
}

/** Runs the suite as subtests of `t`. */
export async function testStoreContract(t: Test, { open, openAbsent }: StoreUnderTest): Promise<void> {
  const withStore = (name: string, check: (t: Test, store: Store) => Promise<void>) =>
    t.test(name, async t => {
      const store = await open()
      t.teardown(() => store.close())
      await check(t, store)
    })

  await withStore('an object is read back as it was written, whole and in ranges', readsBack)
  await withStore('an object without bytes is an object', storesNothing)
  await withStore('a key without object has no size, and reading it says so', missesObjects)
  await withStore('a later object replaces an earlier one of the same key', replaces)
  await withStore('hostile-looking and very long keys are stored and listed as they are', takesOddKeys)
  await withStore('keys are listed in byte order, also across directories', listsInOrder)
  await withStore('a listing begins after the key it is told', listsAfter)
  await withStore('groups are listed once each, beside the objects of their level', listsGroups)
  await withStore('a listing goes on past its first page', listsPages)
  await withStore('parts make one object, in whatever order and however often they are sent', assemblesParts)
  await withStore('an upload is invisible before it is complete, and gone after an abort', hidesUploads)
  await withStore('an upload with a missing or wrong part is not completed', refusesGaps)

  await t.test('a bucket or directory that is not there is an error that says so', async t => {
    await throws(t, async () => (await openAbsent()).put('a', bytes('x')), 'E_STORE_ABSENT')
    await throws(t, async () => (await openAbsent()).get('a'), 'E_STORE_ABSENT')
    await throws(t, async () => list(await openAbsent(), ''), 'E_STORE_ABSENT')
    await throws(t, async () => (await openAbsent()).startUpload('a'), 'E_STORE_ABSENT')
  })
}

async function readsBack(t: Test, store: Store): Promise<void> {
  const body = noise(100_000, 'read')
  await store.put('crashes/ns/pod/core.zst', body, 'application/zstd')
  t.equal(digest(await store.get('crashes/ns/pod/core.zst')), digest(body))
  t.equal(await store.size('crashes/ns/pod/core.zst'), body.length)
  const range = (offset: number, length: number) => store.getRange('crashes/ns/pod/core.zst', offset, length)
  t.same(Buffer.from(await range(0, 10)), body.subarray(0, 10))
  t.same(Buffer.from(await range(99_990, 100)), body.subarray(99_990), 'shorter at the end')
  t.equal((await range(100_000, 10)).length, 0, 'empty behind the end')
  t.equal((await range(50, 0)).length, 0, 'empty when nothing is asked for')
}

async function storesNothing(t: Test, store: Store): Promise<void> {
  await store.put('index/empty', new Uint8Array())
  t.equal(await store.size('index/empty'), 0)
  t.equal((await store.get('index/empty')).length, 0)
  t.equal((await store.getRange('index/empty', 0, 10)).length, 0)
  t.same(await list(store, ''), ['index/empty 0'])
}

async function missesObjects(t: Test, store: Store): Promise<void> {
  await store.put('a/b/c', bytes('x'))
  for (const key of ['nothing', 'a', 'a/b', 'a/b/c/d', 'a/b/cc']) {
    t.equal(await store.size(key), undefined, key)
    await throws(t, () => store.get(key), 'E_STORE_NO_OBJECT')
    await throws(t, () => store.getRange(key, 0, 1), 'E_STORE_NO_OBJECT')
    await throws(t, () => store.getRange(key, 0, 0), 'E_STORE_NO_OBJECT')
  }
  t.same(await list(store, 'nothing/'), [])
  t.same(await list(store, 'a/b/c/d/'), [])
}

async function replaces(t: Test, store: Store): Promise<void> {
  await store.put('manifest.json', bytes('a longer first one'))
  await store.put('manifest.json', bytes('second'))
  t.equal(text(await store.get('manifest.json')), 'second')
  t.same(await list(store, ''), ['manifest.json 6'])
}

async function takesOddKeys(t: Test, store: Store): Promise<void> {
  const long = 'x'.repeat(254)
  const keys = [
    'crashes/=2E=2E/=2E/a=2Fb',
    'crashes/~/=/=-',
    'index/2025-01-01/00/t-i~ns~pod~c~11~=24=28id=29~full',
    // Around the 255 bytes that a file name may have, in byte order among each other.
    `long/${long}`,
    `long/${long}-`,
    `long/${long}-${'y'.repeat(145)}`,
    `long/${long}./under`,
    `long/${long}0`,
    `long/${'z'.repeat(400)}/${'z'.repeat(400)}/end`,
  ]
  for (const key of keys) await store.put(key, bytes(key))
  for (const key of keys) t.equal(text(await store.get(key)), key)
  t.same(await listKeys(store, ''), [...keys].sort())
  t.same(await listKeys(store, `long/${long}-`), keys.slice(4, 6))
  t.same(await listKeys(store, 'long/', { grouped: true }), [
    ...[keys[3], keys[4], keys[5], `long/${long}./`, keys[7]].sort(),
    `long/${'z'.repeat(400)}/`,
  ])
}

async function listsInOrder(t: Test, store: Store): Promise<void> {
  // `-` and `.` come before `/`, digits and letters after it; capitals before small letters.
  const keys = ['A', 'a-b', 'a.b/c', 'a/b', 'a/b-c', 'a/b/c', 'a0', 'aB', 'ab', 'a~']
  for (const key of keys.filter(key => key !== 'a/b').reverse()) await store.put(key, bytes('x'))
  const stored = keys.filter(key => key !== 'a/b')
  t.same(await listKeys(store, ''), stored)
  t.same(await listKeys(store, 'a/'), ['a/b-c', 'a/b/c'])
  t.same(await listKeys(store, 'a/b'), ['a/b-c', 'a/b/c'])
}

async function listsAfter(t: Test, store: Store): Promise<void> {
  for (const key of ['p/a', 'p/b-c', 'p/b/c', 'p/b/d', 'p/c', 'q']) await store.put(key, bytes('x'))
  t.same(await listKeys(store, 'p/', { after: 'p/b/c' }), ['p/b/d', 'p/c'])
  t.same(await listKeys(store, 'p/', { after: 'p/b' }), ['p/b-c', 'p/b/c', 'p/b/d', 'p/c'])
  t.same(await listKeys(store, 'p/', { after: 'a' }), ['p/a', 'p/b-c', 'p/b/c', 'p/b/d', 'p/c'])
  t.same(await listKeys(store, 'p/', { after: 'p/c' }), [])
  t.same(await listKeys(store, 'p/', { after: 'q' }), [])
}

async function listsGroups(t: Test, store: Store): Promise<void> {
  for (const key of ['n/a', 'n/p-1/x', 'n/p-1/y', 'n/p-2/x/z', 'o/x']) await store.put(key, bytes('x'))
  t.same(await listKeys(store, 'n/', { grouped: true }), ['n/a', 'n/p-1/', 'n/p-2/'])
  t.same(await listKeys(store, 'n/p', { grouped: true }), ['n/p-1/', 'n/p-2/'])
  t.same(await listKeys(store, '', { grouped: true }), ['n/', 'o/'])
  t.same(await listKeys(store, 'n', { grouped: true }), ['n/'])
}

async function listsPages(t: Test, store: Store): Promise<void> {
  const keys = Array.from({ length: 1005 }, (_, index) => `index/${String(index).padStart(5, '0')}`)
  for (let start = 0; start < keys.length; start += 50) {
    await Promise.all(keys.slice(start, start + 50).map(key => store.put(key, new Uint8Array())))
  }
  let pages = 0
  for await (const page of store.list('index/')) {
    pages++
    t.ok(page.objects.length <= 1000)
  }
  t.equal(pages, 2)
  t.same(await listKeys(store, 'index/'), keys)
}

async function assemblesParts(t: Test, store: Store): Promise<void> {
  const body = noise(10 * MIB + 7, 'parts')
  const [first, second, third] = [0, 5 * MIB, 10 * MIB] as const
  const upload = await store.startUpload('core.zst', 'application/zstd')
  const late = await upload.putPart(3, third, body.subarray(third))
  const longer = noise(5 * MIB + 100, 'wrong')
  await upload.putPart(2, second, longer)
  const [a, b] = await Promise.all([
    upload.putPart(1, first, body.subarray(first, second)),
    upload.putPart(2, second, body.subarray(second, third)),
  ])
  await upload.putPart(3, third, longer)
  const again = await upload.putPart(3, third, body.subarray(third))
  t.equal(again.number, late.number)
  await upload.complete([a, b, again])
  t.equal(await store.size('core.zst'), body.length)
  t.equal(digest(await store.get('core.zst')), digest(body))
}

async function hidesUploads(t: Test, store: Store): Promise<void> {
  const upload = await store.startUpload('core.zst')
  await upload.putPart(1, 0, bytes('x'))
  t.equal(await store.size('core.zst'), undefined)
  t.same(await list(store, ''), [])
  await upload.abort()
  await t.resolves(upload.abort(), 'a second abort is harmless')
  t.equal(await store.size('core.zst'), undefined)
  t.same(await list(store, ''), [])
}

async function refusesGaps(t: Test, store: Store): Promise<void> {
  const upload = await store.startUpload('core.zst')
  const receipt = await upload.putPart(1, 0, bytes('x'))
  await t.rejects(upload.complete([receipt, { number: 2, etag: receipt.etag }]), { name: 'CoreliftError' })
  await t.rejects(upload.complete([{ number: 1, etag: '"00000000000000000000000000000000"' }]), {
    name: 'CoreliftError',
  })
  t.equal(await store.size('core.zst'), undefined)
  await upload.abort()
}

/** Asserts the error's code, and that it carries what it was translated from or a hint. */
async function throws(t: Test, step: () => Promise<unknown>, code: ErrorCode): Promise<void> {
  const error = await step().then(
    () => undefined,
    (error: unknown) => error as CoreliftError,
  )
  t.match(error, { name: 'CoreliftError', code, retryable: false })
}

/** @returns `KEY BYTES` of objects and groups as they are, in the order of the pages, sorted within each. */
async function list(store: Store, prefix: string, options?: ListOptions): Promise<string[]> {
  const found: string[] = []
  for await (const { objects, prefixes } of store.list(prefix, options)) {
    found.push(...[...objects.map(({ key, bytes }) => `${key} ${bytes}`), ...prefixes].sort())
  }
  return found
}

/** @returns Keys in the order they came in, groups merged into each page. */
async function listKeys(store: Store, prefix: string, options?: ListOptions): Promise<string[]> {
  const found: string[] = []
  for await (const { objects, prefixes } of store.list(prefix, options)) {
    const keys = objects.map(({ key }) => key)
    found.push(...(prefixes.length === 0 ? keys : [...keys, ...prefixes].sort()))
  }
  return found
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text)
}

function text(body: Uint8Array): string {
  return Buffer.from(body).toString()
}

/** Incompressible bytes that are the same in every run. */
function noise(length: number, seed: string): Buffer {
  const blocks: Buffer[] = []
  for (let block = createHash('sha256').update(seed).digest(); blocks.length * 32 < length;) {
    blocks.push(block)
    block = createHash('sha256').update(block).digest()
  }
  return Buffer.concat(blocks).subarray(0, length)
}

function digest(body: Uint8Array): string {
  return createHash('sha256').update(body).digest('hex')
}
