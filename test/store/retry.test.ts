import fc from 'fast-check'
import t from 'tap'
import { CoreliftError } from '../../src/errors.ts'
import { withRetry } from '../../src/store/retry.ts'
import type { RetryOptions } from '../../src/store/retry.ts'
import type { ListPage, Store, UnfinishedUpload, Upload } from '../../src/store/store.ts'

const unreachable = () => new CoreliftError('E_STORE_UNREACHABLE', 'no answer', { retryable: true })
const denied = () => new CoreliftError('E_STORE_DENIED', 'access denied')

t.test('a failing operation is tried again until it succeeds', async t => {
  const clock = fakeClock()
  const failures = [unreachable(), unreachable(), unreachable()]
  const told: string[] = []
  const found = { bytes: 7, modifiedAt: new Date(0), etag: 'etag' }
  const store = withRetry(
    fakeStore({
      stat: () => (failures.length > 0 ? Promise.reject(failures.pop()!) : Promise.resolve(found)),
    }),
    {
      ...clock,
      seconds: 60,
      random: () => 0.5,
      onRetry: (error, pauseMs) => told.push(`${error.code} ${pauseMs}`),
      beforeRetry: () => told.push('again'),
    },
  )
  t.same(await store.stat('key'), found)
  const again = ['E_STORE_UNREACHABLE 100', 'again', 'E_STORE_UNREACHABLE 200', 'again']
  t.same(told, [...again, 'E_STORE_UNREACHABLE 400', 'again'])
})

t.test('an error that will not go away is thrown at once', async t => {
  const clock = fakeClock()
  const store = withRetry(fakeStore({ get: () => Promise.reject(denied()) }), { ...clock, seconds: 60 })
  await t.rejects(store.get('key'), { code: 'E_STORE_DENIED' })
  t.equal(clock.now(), 0)
})

t.test('the budget begins with the first failure and is never exceeded', async t => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 300 }),
      fc.infiniteStream(fc.double({ min: 0.01, max: 0.999, noNaN: true })),
      async (seconds, randoms) => {
        const clock = fakeClock()
        let tries = 0
        const pauses: number[] = []
        const put = async () => {
          tries++
          if (tries === 1) await clock.sleep(1_000_000)
          throw unreachable()
        }
        const onRetry = (_: CoreliftError, pauseMs: number) => pauses.push(pauseMs)
        const random = () => randoms.next().value
        const store = withRetry(fakeStore({ put }), { ...clock, seconds, random, onRetry })
        await t.rejects(store.put('key', Buffer.alloc(0)), { code: 'E_STORE_UNREACHABLE' })
        t.equal(tries, pauses.length + 1)
        const slept = clock.now() - 1_000_000
        t.ok(Math.abs(slept - seconds * 1000) < 0.001, `${slept} ms of ${seconds} s`)
        t.ok(pauses.every((pause, index) => pause <= Math.min(10_000, 200 * 2 ** index)))
      },
    ),
    { numRuns: 30 },
  )
})

t.test('each part has a budget of its own', async t => {
  const clock = fakeClock()
  const tries = new Map<number, number>()
  const putPart = async (number: number) => {
    tries.set(number, (tries.get(number) ?? 0) + 1)
    if (clock.now() < number * 9000) throw unreachable()
    return { number, etag: 'etag', bytes: 1 }
  }
  const upload = { id: 'id', putPart, complete: async () => 'etag', abort: async () => {} }
  const store = withRetry(fakeStore({ startUpload: async () => upload }), { ...clock, seconds: 10 })
  const started = await store.startUpload('key')
  for (const number of [1, 2, 3]) t.equal((await started.putPart(number, 0, Buffer.alloc(1))).number, number)
  t.ok(clock.now() > 10_000, 'longer than one budget together')
})

t.test('what is asked of an object, or of an upload that was resumed, is tried again', async t => {
  let failed = new Set<string>()
  const once = <T>(name: string, answer: T) => {
    if (failed.has(name)) return Promise.resolve(answer)
    failed.add(name)
    return Promise.reject(unreachable())
  }
  const receipt = { number: 1, etag: 'part', bytes: 1 }
  const upload = (id: string): Upload => ({
    id,
    putPart: () => once('putPart', receipt),
    complete: () => once('complete', 'whole'),
    abort: () => once('abort', undefined),
  })
  const inner = fakeStore({
    put: () => once('put', 'small'),
    remove: () => once('remove', undefined),
    startUpload: () => once('startUpload', upload('new')),
    resumeUpload: (_, id) => upload(id),
  })
  const store = withRetry(inner, { ...fakeClock(), seconds: 60 })
  t.equal(await store.put('key', Buffer.alloc(0)), 'small')
  await store.remove('key')
  for (const [id, opened] of [
    ['new', await store.startUpload('key')],
    ['old', store.resumeUpload('key', 'old')],
  ] as const) {
    t.equal(opened.id, id)
    t.same(await opened.putPart(1, 0, Buffer.alloc(1)), receipt)
    t.equal(await opened.complete([receipt]), 'whole')
    await opened.abort()
    failed = new Set()
  }
})

t.test('an upload that is gone is not asked for again', async t => {
  const clock = fakeClock()
  const gone = () => Promise.reject(new CoreliftError('E_STORE_NO_UPLOAD', 'gone'))
  const upload = { id: 'id', putPart: gone, complete: gone, abort: async () => {} }
  const store = withRetry(fakeStore({ resumeUpload: () => upload }), { ...clock, seconds: 60 })
  const resumed = store.resumeUpload('key', 'id')
  await t.rejects(resumed.putPart(1, 0, Buffer.alloc(1)), { code: 'E_STORE_NO_UPLOAD' })
  await t.rejects(resumed.complete([]), { code: 'E_STORE_NO_UPLOAD' })
  t.equal(clock.now(), 0)
})

t.test('a listing of uploads that breaks off shows each of them once', async t => {
  const uploads = Array.from({ length: 20 }, (_, index) => ({
    key: `k/${index >> 1}`,
    id: String(index),
    startedAt: new Date(0),
  }))
  let requests = 0
  async function* listUploads(): AsyncGenerator<readonly UnfinishedUpload[]> {
    for (let start = 0; start < uploads.length; start += 3) {
      // Later each time, or the listing would never come to its end.
      if ([1, 4, 9, 17].includes(requests++)) throw unreachable()
      yield uploads.slice(start, start + 3)
    }
  }
  const store = withRetry(fakeStore({ listUploads }), { ...fakeClock(), seconds: 60 })
  const found: string[] = []
  for await (const page of store.listUploads('k/')) found.push(...page.map(({ id }) => id))
  t.same(
    found,
    uploads.map(({ id }) => id),
  )
  t.ok(requests > 7, `${requests} requests`)
})

t.test('a listing that breaks off goes on after what was seen', async t => {
  const keys = Array.from({ length: 30 }, (_, index) => `k/${String(index).padStart(2, '0')}`)
  const groups = Array.from({ length: 10 }, (_, index) => `k/${String(index).padStart(2, '0')}~/`)
  let requests = 0
  async function* list(_: string, { after = '' } = {}): AsyncGenerator<ListPage> {
    // As S3 does it: a group shows again as long as it has keys behind `after`.
    const names = [...keys.filter(key => key > after), ...groups.filter(group => `${group}z` > after)].sort()
    for (let start = 0; start < names.length; start += 3) {
      if (requests++ % 3 === 1) throw unreachable()
      const page = names.slice(start, start + 3)
      yield {
        objects: page.filter(name => !name.endsWith('/')).map(key => ({ key, bytes: 1 })),
        prefixes: page.filter(name => name.endsWith('/')),
      }
    }
  }
  const store = withRetry(fakeStore({ list }), { ...fakeClock(), seconds: 60 })
  const found: string[] = []
  for await (const { objects, prefixes } of store.list('k/', { grouped: true, after: 'k/02' })) {
    found.push(...objects.map(({ key }) => key), ...prefixes)
  }
  t.same(
    found.sort(),
    [...keys, ...groups].sort().filter(name => name > 'k/02'),
  )
})

function fakeClock(): Required<Pick<RetryOptions, 'now' | 'sleep'>> {
  let milliseconds = 0
  return {
    now: () => milliseconds,
    sleep: async pause => {
      milliseconds += pause
    },
  }
}

/** A store of which only `methods` are ever called. */
function fakeStore(methods: Partial<Store>): Store {
  return methods as Store
}
