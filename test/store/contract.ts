// What every store has to do, whatever it is made of: one suite for all adapters.

import type { Test } from 'tap'
import type { ListOptions, Store } from '../../src/store/store.ts'
import { bytes, digest, list, noise, text, throws, uploadsOf } from './contract-tools.ts'
import {
  agreesOnETags,
  assemblesParts,
  completesTwice,
  hidesUploads,
  listsUploadPages,
  listsUploads,
  noticesGoneUploads,
  refusesGaps,
  type Reopen,
  resumes,
  tellsUploadsApart,
} from './contract-uploads.ts'

export interface StoreUnderTest {
  /** Opens the store at a place: empty the first time, and as it was left when the place is the same again. */
  open(place: number): Promise<Store>
  /** Opens one whose bucket or directory is not there; may fail at once or on first use. */
  openAbsent?(): Promise<Store>
  /** Why unfinished uploads cannot be listed, where the server does not. */
  readonly uploadsUnlisted?: string
  /** Why an upload's id is taken with any key, where the server takes it. */
  readonly uploadsOfAnyKey?: string
  /** Why an object is replaced though that is excluded, where the server does that. */
  readonly conditionsIgnored?: string
}

/** Runs the suite as subtests of `t`. */
export async function testStoreContract(t: Test, underTest: StoreUnderTest): Promise<void> {
  let places = 0
  const withStore = (
    name: string,
    check: (t: Test, store: Store, reopen: Reopen) => Promise<void>,
    skip?: string,
  ) =>
    t.test(name, { skip: skip ?? false }, async t => {
      const place = places++
      const reopen = async (): Promise<Store> => {
        const store = await underTest.open(place)
        t.teardown(() => store.close())
        return store
      }
      await check(t, await reopen(), reopen)
    })
  const { openAbsent, uploadsUnlisted, uploadsOfAnyKey, conditionsIgnored } = underTest

  await withStore('an object is read back as it was written, whole and in ranges', readsBack)
  await withStore('an object without bytes is an object', storesNothing)
  await withStore('a key without object is told from one, and reading it says so', missesObjects)
  await withStore('a later object replaces an earlier one of the same key', replaces)
  await withStore(
    'an object that is there stays as it is where that is asked',
    leavesWhatIsThere,
    conditionsIgnored,
  )
  await withStore('hostile-looking and very long keys are stored and listed as they are', takesOddKeys)
  await withStore('keys are listed in byte order, also across directories', listsInOrder)
  await withStore('a listing begins after the key it is told', listsAfter)
  await withStore('groups are listed once each, beside the objects of their level', listsGroups)
  await withStore('a listing goes on past its first page', listsPages)
  await withStore('parts make one object, in whatever order and however often they are sent', assemblesParts)
  await withStore('an upload is invisible before it is complete, and gone after an abort', hidesUploads)
  await withStore('an upload with a missing or wrong part is not completed', refusesGaps)
  await withStore(
    'put, complete and stat agree on the etag, which is another for other content',
    agreesOnETags,
  )
  await withStore('an upload is resumed by its id, and completed with the receipts of both', resumes)
  await withStore('complete again after a success succeeds', completesTwice)
  await withStore('an upload that is gone says so, and its abort is harmless', noticesGoneUploads)
  await withStore('an upload is none of another key', tellsUploadsApart, uploadsOfAnyKey)
  await withStore('an upload is listed until it is complete or aborted', listsUploads, uploadsUnlisted)
  await withStore('a listing of uploads goes on past its first page', listsUploadPages, uploadsUnlisted)
  await withStore('an object is removed, and removing it again is harmless', removes)

  if (!openAbsent) return
  await t.test('a bucket or directory that is not there is an error that says so', async t => {
    await throws(t, async () => (await openAbsent()).put('a', bytes('x')), 'E_STORE_ABSENT')
    await throws(t, async () => (await openAbsent()).get('a'), 'E_STORE_ABSENT')
    await throws(t, async () => list(await openAbsent(), ''), 'E_STORE_ABSENT')
    await throws(t, async () => (await openAbsent()).startUpload('a'), 'E_STORE_ABSENT')
    await throws(t, async () => (await openAbsent()).remove('a'), 'E_STORE_ABSENT')
    if (!uploadsUnlisted) await throws(t, async () => uploadsOf(await openAbsent(), ''), 'E_STORE_ABSENT')
  })
}

async function readsBack(t: Test, store: Store): Promise<void> {
  const body = noise(100_000, 'read')
  await store.put('crashes/ns/pod/core.zst', body, { contentType: 'application/zstd' })
  t.equal(digest(await store.get('crashes/ns/pod/core.zst')), digest(body))
  t.equal((await store.stat('crashes/ns/pod/core.zst'))?.bytes, body.length)
  const range = (offset: number, length: number) => store.getRange('crashes/ns/pod/core.zst', offset, length)
  t.same(Buffer.from(await range(0, 10)), body.subarray(0, 10))
  t.same(Buffer.from(await range(99_990, 100)), body.subarray(99_990), 'shorter at the end')
  t.equal((await range(100_000, 10)).length, 0, 'empty behind the end')
  t.equal((await range(50, 0)).length, 0, 'empty when nothing is asked for')
}

async function storesNothing(t: Test, store: Store): Promise<void> {
  await store.put('index/empty', new Uint8Array())
  t.equal((await store.stat('index/empty'))?.bytes, 0)
  t.equal((await store.get('index/empty')).length, 0)
  t.equal((await store.getRange('index/empty', 0, 10)).length, 0)
  t.same(await list(store, ''), ['index/empty 0'])
}

async function missesObjects(t: Test, store: Store): Promise<void> {
  await store.put('a/b/c', bytes('x'))
  for (const key of ['nothing', 'a', 'a/b', 'a/b/c/d', 'a/b/cc']) {
    t.equal(await store.stat(key), undefined, key)
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

async function leavesWhatIsThere(t: Test, store: Store): Promise<void> {
  const about = { contentEncoding: 'zstd', ifAbsent: true } as const
  const etag = await store.put('buildid/aa/executable', bytes('first'), about)
  t.equal(etag, (await store.stat('buildid/aa/executable'))?.etag)
  t.equal(await store.put('buildid/aa/executable', bytes('second'), about), '')
  t.equal(text(await store.get('buildid/aa/executable')), 'first', 'as it is stored, whatever its encoding')
  t.equal(text(await store.getRange('buildid/aa/executable', 1, 3)), 'irs')
  const { modifiedAt } = (await store.stat('buildid/aa/executable'))!
  const ageMs = Date.now() - modifiedAt.getTime()
  t.ok(ageMs > -10_000 && ageMs < 60_000, modifiedAt.toISOString())
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

async function removes(t: Test, store: Store): Promise<void> {
  for (const key of ['a/b/c', 'a/b/d']) await store.put(key, bytes('x'))
  await t.resolves(store.remove('a/b'), 'what others are below is no object')
  await store.remove('a/b/c')
  await t.resolves(store.remove('a/b/c'))
  await t.resolves(store.remove('nothing/there'))
  t.equal(await store.stat('a/b/c'), undefined)
  t.same(await list(store, ''), ['a/b/d 1'])
  await store.put('a/b/c', bytes('again'))
  t.same(await list(store, ''), ['a/b/c 5', 'a/b/d 1'])
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
