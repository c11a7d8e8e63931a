// What every store has to do with uploads: the part of contract.ts that is about them.

import type { Test } from 'tap'
import type { PartReceipt, Store } from '../../src/store/store.ts'
import { bytes, digest, list, noise, text, throws, uploadsOf } from './contract-tools.ts'

const MIB = 1024 * 1024

/** Opens the store of a test once more, as another process would. */
export type Reopen = () => Promise<Store>

export async function agreesOnETags(t: Test, store: Store): Promise<void> {
  const first = await store.put('a', bytes('first'))
  t.match(await store.stat('a'), { bytes: 5, etag: first })
  const second = await store.put('a', bytes('other'))
  t.not(second, first, 'of the same size')
  t.match(await store.stat('a'), { bytes: 5, etag: second })
  const etags: string[] = []
  for (const body of ['parts', 'PARTS']) {
    const upload = await store.startUpload('b')
    const etag = await upload.complete([await upload.putPart(1, 0, bytes(body))])
    t.match(await store.stat('b'), { bytes: 5, etag })
    etags.push(etag)
  }
  t.not(etags[0], etags[1], 'of the same size')
}

export async function resumes(t: Test, store: Store, reopen: Reopen): Promise<void> {
  const body = noise(5 * MIB + 7, 'resumed')
  const begun = await store.startUpload('core.zst', { contentType: 'application/zstd' })
  const first = await begun.putPart(1, 0, body.subarray(0, 5 * MIB))
  t.equal(first.bytes, 5 * MIB)
  const other = await reopen()
  const resumed = other.resumeUpload('core.zst', begun.id)
  t.equal(resumed.id, begun.id)
  const second = await resumed.putPart(2, 5 * MIB, body.subarray(5 * MIB))
  // As they come back from a file.
  const receipts = JSON.parse(JSON.stringify([first, second])) as PartReceipt[]
  const etag = await (await reopen()).resumeUpload('core.zst', begun.id).complete(receipts)
  t.match(await store.stat('core.zst'), { bytes: body.length, etag })
  t.equal(digest(await store.get('core.zst')), digest(body))
}

export async function completesTwice(t: Test, store: Store, reopen: Reopen): Promise<void> {
  const upload = await store.startUpload('core.zst')
  const receipts = [await upload.putPart(1, 0, bytes('abc'))]
  const etag = await upload.complete(receipts)
  t.equal(await upload.complete(receipts), etag)
  t.equal(await (await reopen()).resumeUpload('core.zst', upload.id).complete(receipts), etag)
  await upload.abort()
  t.equal(text(await store.get('core.zst')), 'abc', 'an abort comes too late')
}

export async function noticesGoneUploads(t: Test, store: Store, reopen: Reopen): Promise<void> {
  const aborted = await store.startUpload('aborted')
  const receipts = [await aborted.putPart(1, 0, bytes('abc'))]
  await (await reopen()).resumeUpload('aborted', aborted.id).abort()
  const completed = await store.startUpload('completed')
  await completed.complete([await completed.putPart(1, 0, bytes('abc'))])
  await throws(t, () => completed.putPart(1, 0, bytes('x')), 'E_STORE_NO_UPLOAD')
  t.equal(text(await store.get('completed')), 'abc', 'a late part changes nothing')
  await store.put('completed', bytes('replaced'))
  const foreign = store.resumeUpload('aborted', '../../of another store')
  for (const upload of [aborted, store.resumeUpload('aborted', aborted.id), completed, foreign]) {
    await throws(t, () => upload.putPart(1, 0, bytes('x')), 'E_STORE_NO_UPLOAD')
    await throws(t, () => upload.complete(receipts), 'E_STORE_NO_UPLOAD')
    await t.resolves(upload.abort())
  }
  t.same(await list(store, ''), ['completed 8'])
}

export async function tellsUploadsApart(t: Test, store: Store): Promise<void> {
  const upload = await store.startUpload('a')
  const receipts = [await upload.putPart(1, 0, bytes('abc'))]
  const other = store.resumeUpload('b', upload.id)
  await throws(t, () => other.putPart(1, 0, bytes('x')), 'E_STORE_NO_UPLOAD')
  await throws(t, () => other.complete(receipts), 'E_STORE_NO_UPLOAD')
  await t.resolves(other.abort())
  await upload.complete(receipts)
  t.equal(text(await store.get('a')), 'abc')
  t.equal(await store.stat('b'), undefined)
}

export async function listsUploads(t: Test, store: Store): Promise<void> {
  t.same(await uploadsOf(store, ''), [])
  const begunAt = Date.now()
  const long = `crashes/${'x'.repeat(300)}/${'y'.repeat(300)}/core.zst`
  const keys = ['crashes/a/core.zst', 'crashes/a/core.zst', 'crashes/b/core.zst', long, 'other']
  const uploads = []
  for (const key of keys) uploads.push({ key, upload: await store.startUpload(key) })
  const receipt = await uploads[0]!.upload.putPart(1, 0, bytes('abc'))
  const expected = uploads.map(({ key, upload }) => `${key} ${upload.id}`).sort()
  const found = await uploadsOf(store, '')
  t.same(found.map(({ key, id }) => `${key} ${id}`).sort(), expected)
  // A file system's clock ticks every few milliseconds, S3's every second.
  for (const { startedAt } of found) t.ok(Math.abs(startedAt.getTime() - begunAt) < 60_000, String(startedAt))
  const idsBelow = async (prefix: string) => (await uploadsOf(store, prefix)).map(({ id }) => id).sort()
  t.same(await idsBelow('crashes/a/'), [uploads[0]!.upload.id, uploads[1]!.upload.id].sort())
  t.same(await idsBelow('crashes/x'), [uploads[3]!.upload.id])
  t.same(await idsBelow('nothing'), [])
  await uploads[0]!.upload.complete([receipt])
  for (const { key, id } of await uploadsOf(store, '')) await store.resumeUpload(key, id).abort()
  t.same(await uploadsOf(store, ''), [])
  t.same(await list(store, ''), ['crashes/a/core.zst 3'])
}

export async function listsUploadPages(t: Test, store: Store): Promise<void> {
  const keys = Array.from({ length: 1005 }, (_, index) => `u/${String(index >> 1).padStart(5, '0')}`)
  const ids: string[] = []
  for (let start = 0; start < keys.length; start += 50) {
    const uploads = await Promise.all(keys.slice(start, start + 50).map(key => store.startUpload(key)))
    ids.push(...uploads.map(({ id }) => id))
  }
  let pages = 0
  for await (const page of store.listUploads('u/')) {
    pages++
    t.ok(page.length <= 1000)
  }
  t.equal(pages, 2)
  const found = await uploadsOf(store, 'u/')
  t.same(found.map(({ id }) => id).sort(), ids.sort())
  t.same(
    found.map(({ key }) => key),
    keys,
    'by key',
  )
}

export async function assemblesParts(t: Test, store: Store): Promise<void> {
  const body = noise(10 * MIB + 7, 'parts')
  const [first, second, third] = [0, 5 * MIB, 10 * MIB] as const
  const upload = await store.startUpload('core.zst', { contentType: 'application/zstd' })
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
  t.equal((await store.stat('core.zst'))?.bytes, body.length)
  t.equal(digest(await store.get('core.zst')), digest(body))
}

export async function hidesUploads(t: Test, store: Store): Promise<void> {
  const upload = await store.startUpload('core.zst')
  await upload.putPart(1, 0, bytes('x'))
  t.equal(await store.stat('core.zst'), undefined)
  t.same(await list(store, ''), [])
  await upload.abort()
  await t.resolves(upload.abort(), 'a second abort is harmless')
  t.equal(await store.stat('core.zst'), undefined)
  t.same(await list(store, ''), [])
}

export async function refusesGaps(t: Test, store: Store): Promise<void> {
  const upload = await store.startUpload('core.zst')
  const receipt = await upload.putPart(1, 0, bytes('x'))
  await t.rejects(upload.complete([receipt, { ...receipt, number: 2 }]), { name: 'CoreliftError' })
  await t.rejects(upload.complete([{ ...receipt, etag: '"00000000000000000000000000000000"' }]), {
    name: 'CoreliftError',
  })
  t.equal(await store.stat('core.zst'), undefined)
  await upload.abort()
}
