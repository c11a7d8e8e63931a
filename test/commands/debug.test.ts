import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { cliDeps } from './deps.ts'
import t, { type Test } from 'tap'
import { runCli } from '../../src/cli.ts'
import { manifestKey } from '../../src/store/keys.ts'
import { encodeManifest, type Manifest, type ManifestFile } from '../../src/store/manifest.ts'
import { encodeSeekTable } from '../../src/zstd/seekable.ts'
import { fakePrograms, type FakePrograms } from '../debug/fake-programs.ts'
import { MemoryStore } from '../store/memory.ts'
import { putCrash, type CrashSpec } from './crashes.ts'
import { testIo } from './terminal.ts'

const OLD = '20261101T000000Z-000000000001'
const LATEST = '20261123T204008Z-000000000004'
const POD = 'cart-7d9f-x2x4p'
const MIB = 2 ** 20

const MAPPED: readonly ManifestFile[] = [
  { path: '/app/cart', start: '1000', bytes: 4, key: 'buildid/aa/executable', buildId: 'aa' },
  { path: '/lib/libc.so.6', start: '2000', bytes: 4, key: 'buildid/bb/executable', buildId: 'bb' },
]

const STACKS: Manifest['stacks'] = {
  modules: [{ path: '/lib/libc.so.6' }],
  threads: [
    { tids: [7], frames: [{ pc: '2010', module: 0, offset: '10', function: 'abort+0x5' }], end: 'outermost' },
  ],
  threadsOmitted: 0,
}

function seekable(content: string): Uint8Array {
  const stored = deflateRawSync(content)
  return Buffer.concat([stored, encodeSeekTable([{ storedBytes: stored.length, bytes: content.length }])])
}

async function storeWith(change: Partial<Manifest>, ...specs: CrashSpec[]): Promise<MemoryStore> {
  const store = new MemoryStore()
  for (const spec of specs) {
    const prefix = await putCrash(store, spec)
    const manifest = JSON.parse(Buffer.from(store.objects.get(manifestKey(prefix))!).toString()) as Manifest
    const files = { mapped: MAPPED, mappedOmitted: 0, linkMap: [], executable: 0 }
    await store.put(manifestKey(prefix), encodeManifest({ ...manifest, files, ...change }))
  }
  await store.put('buildid/aa/executable', seekable('\x7fELF'))
  await store.put('buildid/bb/executable', seekable('libc'))
  return store
}

interface Options {
  readonly programs?: FakePrograms
  readonly answer?: string
  readonly cache?: string
  readonly env?: Record<string, string>
}

async function run(t: Test, store: MemoryStore, argv: string[], options: Options = {}) {
  const cache = options.cache ?? t.testdir()
  const programs = options.programs ?? fakePrograms(['gdb'])
  const isTTY = options.answer !== undefined
  const io = testIo({ isTTY, env: { XDG_CACHE_HOME: cache, DEBUGINFOD_URLS: 'https://x', ...options.env } })
  const readLine = () => Promise.resolve(options.answer!)
  const exitCode = await runCli(
    ['--store-url=s3://bucket', '--no-color', ...argv],
    { ...io, ...(isTTY && { readLine }) },
    cliDeps({ openStore: () => Promise.resolve(store), programs }),
  )
  const [started] = programs.runs
  return { exitCode, stdout: io.stdout.text, stderr: io.stderr.text, cache: join(cache, 'corelift'), started }
}

t.test('debug starts gdb on the cache’s files', async t => {
  const store = await storeWith({}, { id: LATEST })
  const { exitCode, stderr, started, cache } = await run(t, store, ['debug', POD])
  t.equal(exitCode, 0)
  t.equal(stderr, '')
  t.equal(started?.path, '/bin/gdb')
  t.equal(started?.env['DEBUGINFOD_URLS'], undefined)
  t.equal(started?.args.at(-1), `${cache}/cores/${LATEST}.full`)
  t.match(
    started?.args[started.args.indexOf('-e') + 1],
    /sysroots\/20261123T204008Z-000000000004\.\w+\/app\/cart$/,
  )
  t.ok(store.isClosed)
  t.same(readdirSync(join(cache, 'runs')), [], 'nothing is in use afterwards')
})

t.test('the debugger’s end: a script is told, a person knows', async t => {
  const store = await storeWith({}, { id: LATEST })
  const failed = () => fakePrograms(['gdb'], {}, { code: 3, signal: null })
  t.equal((await run(t, store, ['debug', POD], { programs: failed() })).exitCode, 0)
  t.equal((await run(t, store, ['debug', POD, '--batch', 'bt'], { programs: failed() })).exitCode, 1)
  const killed = fakePrograms(['gdb'], {}, { code: null, signal: 'SIGKILL' })
  t.equal((await run(t, store, ['debug', POD], { programs: killed })).exitCode, 1)
})

t.test('without a debugger nothing is fetched', async t => {
  const store = await storeWith({}, { id: LATEST })
  const { exitCode, stderr } = await run(t, store, ['debug', POD], { programs: fakePrograms() })
  t.equal(exitCode, 8)
  t.match(stderr, /neither gdb nor lldb is installed \[E_DEBUGGER\]\n {2}hint: .*--debugger none/)
  t.same(store.gets, [])
})

t.test('--debugger none prints where everything is, for people and for programs', async t => {
  const store = await storeWith({}, { id: LATEST })
  const text = await run(t, store, ['debug', POD, '--debugger', 'none'], { programs: fakePrograms() })
  t.match(text.stdout, /^executable .*\/app\/cart\ncore .*\.full\nsysroot .*\n\ngdb -q /)
  const json = JSON.parse((await run(t, store, ['debug', POD, '--debugger=none', '--json'])).stdout)
  t.match(json, { core: /\.full$/, coreKind: 'full', executable: /\/app\/cart$/, command: ['gdb'] })
})

t.test('options that exclude each other are refused', async t => {
  const store = await storeWith({}, { id: LATEST })
  for (const argv of [
    ['debug', POD, '--full', '--mini'],
    ['debug', POD, '--debugger', 'windbg'],
    ['debug', POD, '--json'],
    ['debug', POD, '--debugger', 'none', '--batch', 'bt'],
    ['cache', '--prune', '--clear'],
  ])
    t.equal((await run(t, store, argv)).exitCode, 2, argv.join(' '))
})

t.test('a large core waits for --full, or for being cached; the mini core is opened meanwhile', async t => {
  const mini = Buffer.from('mini core')
  const spec = { id: LATEST, core: Buffer.alloc(65 * MIB), mini, frameBytes: 16 * MIB }
  const store = await storeWith({}, spec)
  const cache = t.testdir()
  const first = await run(t, store, ['debug', POD], { cache })
  t.match(first.stderr, new RegExp(`the mini core: .* 65.0 MiB: corelift debug ${LATEST} --full`))
  t.match(first.started?.args.at(-1), /\.mini$/)
  t.match((await run(t, store, ['debug', POD, '--full'], { cache })).started?.args.at(-1), /\.full$/)
  const then = await run(t, store, ['debug', POD], { cache })
  t.match(then.started?.args.at(-1), /\.full$/)
  t.equal(then.stderr, '')
  t.match((await run(t, store, ['debug', POD, '--mini'], { cache })).started?.args.at(-1), /\.mini$/)
})

t.test('what is cached is not asked for again', async t => {
  const store = await storeWith({}, { id: LATEST })
  const cache = t.testdir()
  await run(t, store, ['debug', POD], { cache })
  store.ranges.length = 0
  t.equal((await run(t, store, ['debug', POD], { cache })).exitCode, 0)
  t.same(store.ranges, [])
})

t.test('a file that is not what its manifest says is told and done without', async t => {
  const store = await storeWith({}, { id: LATEST })
  await store.put('buildid/bb/executable', seekable('another'))
  const cache = t.testdir()
  const { exitCode, stderr } = await run(t, store, ['debug', POD], { cache })
  t.equal(exitCode, 0)
  t.match(stderr, /^corelift: lib\/libc.so.6: done without it: .*7 bytes.*4\n$/)
  t.same(readdirSync(join(cache, 'corelift', 'files')), ['buildid-aa'])
})

t.test('a cached file of another size is fetched again', async t => {
  const store = await storeWith({}, { id: LATEST })
  const cache = t.testdir()
  await run(t, store, ['debug', POD], { cache })
  writeFileSync(join(cache, 'corelift/files/buildid-bb'), 'libc of another size')
  t.equal((await run(t, store, ['debug', POD], { cache })).stderr, '')
  t.equal(store.ranges.filter(({ key }) => key === 'buildid/bb/executable').length, 4)
})

t.test('files that are not there are told in a line, the program first', async t => {
  const store = await storeWith({ stacks: STACKS }, { id: LATEST })
  store.objects.delete('buildid/aa/executable')
  store.objects.delete('buildid/bb/executable')
  const { exitCode, stderr, started } = await run(t, store, ['debug', POD])
  t.equal(exitCode, 0)
  t.match(stderr, /2 of 2 files are not in the store \(yet\): cart, libc\.so\.6; without the program itself/)
  t.notOk(started?.args.includes('-e'))
})

t.test('a store that fails ends the run, with nothing half done', async t => {
  const store = await storeWith({}, { id: LATEST })
  const getRange = store.getRange.bind(store)
  store.getRange = (key, ...rest) =>
    key.startsWith('buildid/bb') ? Promise.reject(Object.assign(new Error('reset'))) : getRange(key, ...rest)
  const cache = t.testdir()
  const { exitCode, started } = await run(t, store, ['debug', POD], { cache })
  t.equal(exitCode, 1)
  t.equal(started, undefined)
  const left = ['files', 'cores'].flatMap(part => readdirSync(join(cache, 'corelift', part)))
  t.same(
    left.filter(name => name.startsWith('.')),
    [],
  )
})

t.test('of several crashes somebody at a terminal may choose', async t => {
  const store = await storeWith({}, { id: OLD, comm: 'a\u001b[31m' }, { id: LATEST })
  const coreOf = async (options: Options, ...argv: string[]) => {
    const { started, stderr, exitCode } = await run(t, store, ['debug', POD, ...argv], options)
    return { core: started?.args.at(-1)?.replace(/^.*cores\/|\.full$/g, ''), stderr, exitCode }
  }
  const asked = await coreOf({ answer: '2' })
  t.equal(asked.core, OLD)
  t.match(
    asked.stderr,
    /1 +2026-11-23 20:40:08 +SIGSEGV +cart +full +2026.*\n2 .*a\\x1b\[31m.*\nwhich crash\? \[1\] /,
  )
  t.equal((await coreOf({ answer: '' })).core, LATEST)
  t.match(await coreOf({ answer: '3' }), { core: undefined, exitCode: 2 })
  for (const flag of ['-1', '--newest']) t.equal((await coreOf({ answer: '2' }, flag)).core, LATEST, flag)
  const piped = await coreOf({})
  t.match(piped, { core: LATEST, stderr: `corelift: the newest of the pod's 2 crashes: ${LATEST}\n` })
})

t.test('bt prints frames without the greeting, with nothing in them that a terminal obeys', async t => {
  const store = await storeWith({}, { id: LATEST })
  const programs = fakePrograms(['gdb'])
  programs.listen = async (run, lines) => {
    const marker = run.args.find(arg => arg.startsWith('echo \\n'))!.slice(7, -2)
    for (const line of ['[New LWP 1]', marker, '#0  a\u001b]0;x (s="\\n")']) await lines.out(line)
    await lines.err('warning: \u001b[31m')
    return { code: 0, signal: null }
  }
  const { exitCode, stdout, stderr } = await run(t, store, ['bt', POD], { programs })
  t.equal(exitCode, 0)
  t.equal(stdout, '#0  a\\x1b]0;x (s="\\n")\n')
  t.equal(stderr, 'corelift: gdb: warning: \\x1b[31m\n')
})

t.test('bt says when the debugger ended early', async t => {
  const store = await storeWith({}, { id: LATEST })
  const { exitCode, stderr } = await run(t, store, ['bt', POD])
  t.equal(exitCode, 1)
  t.match(stderr, /gdb ended early: exit code 0/)
})

t.test('without a debugger, or without a core, bt prints what the node wrote down', async t => {
  const store = await storeWith({ stacks: STACKS }, { id: LATEST })
  const none = await run(t, store, ['bt', POD], { programs: fakePrograms() })
  t.equal(none.exitCode, 0)
  t.match(none.stdout, /crashed +7\n +#0 +abort\+0x5 in libc\.so\.6\+0x10\n/)
  t.equal(none.stderr, 'corelift: neither gdb nor lldb is installed: the frames as the node saw them\n')
  const refused = await storeWith({ stacks: STACKS }, { id: LATEST, core: null })
  const absent = await run(t, refused, ['bt', POD, '--json'])
  t.match(JSON.parse(absent.stdout), { id: LATEST, debugger: null, stacks: { threads: [{ tids: [7] }] } })
  t.match(absent.stderr, /was not kept: .*: the frames as the node saw them/)
  const nothing = await storeWith({}, { id: LATEST, core: null })
  t.equal((await run(t, nothing, ['bt', POD])).exitCode, 3)
})

t.test('a crash without a list of files opens all the same', async t => {
  const store = new MemoryStore()
  await putCrash(store, { id: LATEST })
  const { exitCode, stderr } = await run(t, store, ['debug', POD])
  t.equal(exitCode, 0)
  t.match(stderr, /has no list of its executable and libraries/)
})

t.test('cache shows, prunes and clears; looking makes nothing', async t => {
  const store = await storeWith({}, { id: LATEST })
  const cache = t.testdir()
  const empty = JSON.parse((await run(t, store, ['cache', '--json'], { cache })).stdout)
  t.match(empty, { directory: join(cache, 'corelift'), bytes: 0, bytesMax: 10 * 2 ** 30, entries: [] })
  t.same(readdirSync(cache), [])
  await run(t, store, ['debug', POD], { cache })
  const shown = await run(t, store, ['cache'], { cache })
  t.match(shown.stdout, /cores +1, .*\n *executables and libraries +2, /)
  const kept = JSON.parse((await run(t, store, ['cache', '--prune', '--json'], { cache })).stdout)
  t.match(kept, { removed: { removed: [] } })
  const env = { CORELIFT_CACHE_BYTES_MAX: '1' }
  const pruned = JSON.parse((await run(t, store, ['cache', '--prune', '--json'], { cache, env })).stdout)
  t.match(pruned, { bytes: 0, entries: [] })
  t.equal((await run(t, store, ['cache'], { cache, env: { CORELIFT_CACHE_BYTES_MAX: 'x' } })).exitCode, 4)
})
