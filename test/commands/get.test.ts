import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { copyCore, defaultFile, fetchCore, findRetrievable } from '../../src/commands/get.ts'
import type { WantedCore } from '../../src/commands/stored-core.ts'
import { coreKey, kitKey } from '../../src/store/keys.ts'
import { MemoryStore } from '../store/memory.ts'
import { deflateFrames, putCrash, type CrashSpec } from './crashes.ts'

const OLD = '20261101T000000Z-000000000001'
const LATEST = '20261123T204008Z-000000000004'
const MIB = 1024 * 1024
const never = new AbortController().signal
const ignore = () => undefined

/** Bytes without a pattern, the same in every run. */
function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = 1
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    bytes[at] = state >>> 24
  }
  return bytes
}

function flip(object: Uint8Array, at: number): Uint8Array {
  return object.with(at, object[at]! ^ 1)
}

async function storeWith(...specs: CrashSpec[]): Promise<MemoryStore> {
  const store = new MemoryStore()
  for (const spec of specs) await putCrash(store, spec)
  return store
}

async function fetchTo(store: MemoryStore, path: string, force = false, interrupted = never): Promise<void> {
  const found = await findRetrievable(store, 'cart-7d9f-x2x4p', 'shop')
  await fetchCore(found, deflateFrames, { path, force }, ignore, interrupted)
}

/** The directory holds what it should and nothing else, whatever was tried. */
function holds(t: Test, directory: string, ...files: string[]): void {
  t.same(readdirSync(directory).toSorted(), files)
}

t.test('a core comes back byte for byte, over several requests', async t => {
  const core = noise(17 * MIB + 7)
  const store = await storeWith({ id: LATEST, core, frameBytes: MIB })
  const directory = t.testdir()
  await fetchTo(store, join(directory, 'core'))
  t.ok(readFileSync(join(directory, 'core')).equals(core))
  t.equal(statSync(join(directory, 'core')).mode & 0o777, 0o600)
  t.equal(store.ranges.length, 4, 'the seek table and three runs of about 8 MiB')
  holds(t, directory, 'core')
})

t.test('blocks of zeros become holes, at the end too', async t => {
  const core = new Uint8Array(8 * MIB)
  core.set(noise(5000), 3 * MIB + 100)
  const store = await storeWith({ id: LATEST, core, frameBytes: MIB })
  const path = join(t.testdir(), 'core')
  await fetchTo(store, path)
  t.ok(readFileSync(path).equals(core))
  t.equal(statSync(path).size, core.length)
  t.ok(statSync(path).blocks * 512 <= 64 * 1024, 'two or three blocks are on disk')
})

t.test('an empty core is an empty file', async t => {
  const store = await storeWith({ id: LATEST, core: new Uint8Array(0) })
  const path = join(t.testdir(), 'core')
  await fetchTo(store, path)
  t.equal(statSync(path).size, 0)
})

t.test('a seek table longer than the first look at it is read whole', async t => {
  const core = noise(10_000)
  const store = await storeWith({ id: LATEST, core, frameBytes: 1 })
  const path = join(t.testdir(), 'core')
  await fetchTo(store, path)
  t.ok(readFileSync(path).equals(core))
  t.equal(store.ranges[1]?.length, 10_000 * 8 + 17)
})

t.test('a file that exists is overwritten on demand only', async t => {
  const store = await storeWith({ id: LATEST })
  const directory = t.testdir({ core: 'precious', sub: {} })
  const path = join(directory, 'core')
  await t.rejects(fetchTo(store, path), { code: 'E_OUTPUT', hint: /--force/ })
  t.equal(readFileSync(path, 'utf8'), 'precious')
  await fetchTo(store, path, true)
  t.equal(readFileSync(path, 'utf8'), 'core')
  await t.rejects(fetchTo(store, join(directory, 'sub'), true), {
    code: 'E_OUTPUT',
    message: /no regular file/,
  })
  holds(t, directory, 'core', 'sub')
})

t.test('a name that was taken during the download is left alone', async t => {
  const store = await storeWith({ id: LATEST })
  const directory = t.testdir()
  const path = join(directory, 'core')
  const found = await findRetrievable(store, LATEST, undefined)
  const takeName = () => writeFileSync(path, 'precious')
  const fetched = fetchCore(found, deflateFrames, { path, force: false }, takeName, never)
  await t.rejects(fetched, { code: 'E_OUTPUT', message: /exists/ })
  t.equal(readFileSync(path, 'utf8'), 'precious')
  holds(t, directory, 'core')
})

t.test('a symbolic link is replaced, not followed', async t => {
  const store = await storeWith({ id: LATEST })
  const directory = t.testdir({ target: 'precious' })
  symlinkSync('target', join(directory, 'core'))
  await t.rejects(fetchTo(store, join(directory, 'core')), { code: 'E_OUTPUT' })
  await fetchTo(store, join(directory, 'core'), true)
  t.equal(readFileSync(join(directory, 'target'), 'utf8'), 'precious')
})

t.test('a directory that does not exist is said to', async t => {
  const store = await storeWith({ id: LATEST })
  const path = join(t.testdir(), 'no/core')
  await t.rejects(fetchTo(store, path), { code: 'E_OUTPUT', hint: 'the directory does not exist' })
})

t.test('a full disk leaves nothing behind', { skip: process.getuid?.() !== 0 && 'needs root' }, async t => {
  const store = await storeWith({ id: LATEST, core: noise(2 * MIB), frameBytes: MIB })
  const directory = t.testdir()
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory])
  try {
    await t.rejects(fetchTo(store, join(directory, 'core')), { code: 'E_OUTPUT', hint: /no space is left/ })
    holds(t, directory)
  } finally {
    // Before tap removes the directory, which a teardown is too late for.
    execFileSync('umount', [directory])
  }
})

t.test('an interrupted download leaves nothing behind, even when a request hangs', async t => {
  const store = await storeWith({ id: LATEST })
  const directory = t.testdir()
  const interrupt = new AbortController()
  store.getRange = () => {
    interrupt.abort()
    return new Promise<never>(() => undefined)
  }
  const fetched = fetchTo(store, join(directory, 'core'), false, interrupt.signal)
  await t.rejects(fetched, { name: 'AbortError' })
  holds(t, directory)
})

t.test('a damaged object is never taken for the core', async t => {
  const core = noise(300_000)
  const damages: Record<string, (object: Uint8Array) => Uint8Array> = {
    'a frame': object => flip(object, 1000),
    'a size in the seek table': object => flip(object, object.length - 15),
    'the footer': object => flip(object, object.length - 1),
    'the number of frames': object => flip(object, object.length - 7),
    'an end that is missing': object => object.subarray(0, -1),
    'a beginning that is missing': object => object.subarray(1),
    everything: () => new Uint8Array(3),
  }
  for (const [what, damage] of Object.entries(damages)) {
    const store = await storeWith({ id: LATEST, core })
    const key = coreKey(`crashes/shop/cart-7d9f-x2x4p/${LATEST}/`)
    store.objects.set(key, damage(store.objects.get(key)!))
    const directory = t.testdir()
    const fetched = fetchTo(store, join(directory, 'core'))
    await t.rejects(fetched, { code: 'E_CORE_CORRUPT', exitCode: 6 }, what)
    holds(t, directory)
  }
})

t.test('another object with valid frames is not taken for the core either', async t => {
  const store = await storeWith({ id: OLD, core: noise(5000) }, { id: LATEST, core: noise(5000).reverse() })
  const prefix = 'crashes/shop/cart-7d9f-x2x4p/'
  store.objects.set(coreKey(`${prefix}${LATEST}/`), store.objects.get(coreKey(`${prefix}${OLD}/`))!)
  await t.rejects(fetchTo(store, join(t.testdir(), 'core')), { code: 'E_CORE_CORRUPT', message: /sha256/ })
})

t.test('a frame size out of all proportion is not allocated', async t => {
  const store = await storeWith({ id: LATEST, core: new Uint8Array(65 * MIB), frameBytes: 65 * MIB })
  await t.rejects(fetchTo(store, join(t.testdir(), 'core')), {
    code: 'E_CORE_CORRUPT',
    message: /larger than/,
  })
})

t.test("of a pod's crashes the newest finished one is fetched", async t => {
  const store = await storeWith({ id: OLD }, { id: LATEST, missing: 96 })
  await store.put('crashes/shop/cart-7d9f-x2x4p/20261123T204409Z-000000000005/core.zst', new Uint8Array(1))
  const found = await findRetrievable(store, 'cart-7d9f-x2x4p', 'shop')
  t.match(found, { crash: { id: LATEST }, others: 2, core: { bytes: 4, bytesMissing: 96 } })
})

t.test('a beginning of an id is enough when it fits one crash', async t => {
  const store = await storeWith({ id: LATEST }, { id: '20261123T204008Z-100000000005', pod: 'cart-0' })
  t.match(await findRetrievable(store, '20261123T204008Z-0', undefined), { crash: { id: LATEST } })
  await t.rejects(findRetrievable(store, '20261123T204008Z', undefined), {
    code: 'E_USAGE',
    hint: `give more of it: ${LATEST}, 20261123T204008Z-100000000005`,
  })
  t.match(await findRetrievable(store, '20261123T204008Z-100000000005', undefined), {
    crash: { pod: 'cart-0' },
  })
})

t.test('a core that was not kept is told with its reason', async t => {
  const store = await storeWith({ id: OLD }, { id: LATEST, core: null })
  await t.rejects(findRetrievable(store, 'cart-7d9f-x2x4p', 'shop'), {
    code: 'E_CORE_ABSENT',
    exitCode: 3,
    message: `the core of crash ${LATEST} was not kept: no slot was free within 10 s`,
    hint: `an older crash has one: corelift get ${OLD}`,
  })
})

t.test('a crash that is unfinished, or whose core has expired, is told', async t => {
  const store = await storeWith({ id: LATEST })
  store.objects.delete(coreKey(`crashes/shop/cart-7d9f-x2x4p/${LATEST}/`))
  await t.rejects(fetchTo(store, join(t.testdir(), 'core')), { code: 'E_CORE_ABSENT', message: /no longer/ })
  store.objects.delete(`crashes/shop/cart-7d9f-x2x4p/${LATEST}/manifest.json`)
  await t.rejects(findRetrievable(store, LATEST, undefined), { code: 'E_CORE_ABSENT', message: /unfinished/ })
})

t.test('the mini core is fetched where there is no other, or it is wanted', async t => {
  const mini = noise(70_000)
  const fetched = async (spec: Partial<CrashSpec>, wanted: WantedCore) => {
    const found = await findRetrievable(await storeWith({ id: LATEST, ...spec }), LATEST, undefined, wanted)
    const chunks: Uint8Array[] = []
    for await (const chunk of found.core.read(deflateFrames)) chunks.push(chunk)
    return { kind: found.core.kind, bytes: Buffer.concat(chunks), file: defaultFile(found) }
  }
  const whole = { core: noise(5000), mini }
  t.match(await fetched(whole, 'best'), { kind: 'full' })
  t.match(await fetched({ ...whole, missing: 96 }, 'full'), { kind: 'full' })
  for (const [spec, wanted] of [
    [{ core: null, mini }, 'best'],
    [{ ...whole, missing: 96 }, 'best'],
    [whole, 'mini'],
  ] as const) {
    const { kind, bytes, file } = await fetched(spec, wanted)
    t.equal(kind, 'mini')
    t.ok(bytes.equals(mini))
    t.equal(file, `mini.cart.4242.${LATEST}`)
  }
  await t.rejects(fetched({ core: null, mini }, 'full'), { code: 'E_CORE_ABSENT', hint: /--mini$/ })
  await t.rejects(fetched({ core: noise(5000) }, 'mini'), { code: 'E_CORE_ABSENT', hint: /--full$/ })
})

t.test('a handler that was killed leaves the mini core to be fetched by its pod', async t => {
  const mini = noise(70_000)
  const store = await storeWith({ id: LATEST, core: null, mini })
  store.objects.delete(`crashes/shop/cart-7d9f-x2x4p/${LATEST}/manifest.json`)
  const path = join(t.testdir(), 'core')
  await fetchTo(store, path)
  t.ok(readFileSync(path).equals(mini))
})

t.test('a damaged kit is never taken for the mini core', async t => {
  for (const at of [5000, -100]) {
    const store = await storeWith({ id: LATEST, core: null, mini: noise(70_000) })
    const kit = kitKey(`crashes/shop/cart-7d9f-x2x4p/${LATEST}/`)
    const object = store.objects.get(kit)!
    store.objects.set(kit, flip(object, at < 0 ? object.length + at : at))
    const directory = t.testdir()
    await t.rejects(fetchTo(store, join(directory, 'core')), { code: 'E_CORE_CORRUPT' })
    holds(t, directory)
  }
})

t.test('a file is named after what crashed, whatever it called itself', async t => {
  const nameOf = async (comm: string) =>
    defaultFile(await findRetrievable(await storeWith({ id: LATEST, comm }), LATEST, undefined))
  t.equal(await nameOf('cart'), `core.cart.4242.${LATEST}`)
  t.equal(await nameOf('../../x $(id)\n'), `core..._.._x___id__.4242.${LATEST}`)
})

t.test('progress counts the uncompressed bytes', async t => {
  const store = await storeWith({ id: LATEST, core: noise(250_000), frameBytes: 100_000 })
  const seen: number[] = []
  const sink = { write: () => Promise.resolve() }
  const found = await findRetrievable(store, LATEST, undefined)
  await copyCore(found, deflateFrames, sink, bytes => seen.push(bytes), never)
  t.same(seen, [100_000, 200_000, 250_000])
})

t.test('frames are handed on before later ones are fetched, four requests ahead at most', async t => {
  const store = await storeWith({ id: LATEST, core: new Uint8Array(64 * MIB), frameBytes: 8 * MIB })
  const { core } = await findRetrievable(store, LATEST, undefined)
  const frames = core.read(deflateFrames)
  await frames.next()
  t.equal(store.ranges.length, 1 + 4)
  await frames.return(undefined)
})
