// `corelift serve` as people run it: the binary, over a directory, asked by curl, debuginfod's client and gdb.
import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { coreKey, crashPrefix, debugFileKey, indexKey, kitKey, manifestKey } from '../../src/store/keys.ts'
import { encodeManifest, type ManifestCore } from '../../src/store/manifest.ts'
import { manifestOf } from '../commands/crashes.ts'
import { makeNode, noBinary, run, type TestNode } from '../lab/node.ts'
import { HOSTILE_ID, putHostile, type Encode } from '../web/scene.ts'

const ADDON = join(import.meta.dirname, '..', '..', 'build', 'zstd.node')
const lacks = (tool: string) => (spawnSync(tool, ['--version']).error ? `needs ${tool}` : undefined)
const noZstd = existsSync(ADDON) ? undefined : 'build/zstd.node is not built'
const skip = noBinary() ?? noZstd ?? lacks('curl') ?? false
const skipDebuggers =
  skip || (lacks('debuginfod-find') ?? lacks('gdb') ?? lacks('gcc') ?? lacks('gcore') ?? false)

const MIB = 1024 * 1024
const LARGE_BYTES = 400 * MIB
/** Handlers' frames are of 16 MiB; small ones show the same with less. */
const FRAME_BYTES = 4 * MIB
/** The binary alone takes 100, one download as much again. */
const RSS_MIB_MAX = 350

const writer = (node: TestNode) => ({
  async put(key: string, body: Uint8Array): Promise<string> {
    const path = join(node.storeDir, key)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, body)
    return ''
  },
})

async function zstd(): Promise<{ encode: Encode }> {
  const { addonZstd, loadAddon } = await import('../../src/zstd/codec.ts')
  const { SeekableWriter } = await import('../../src/zstd/seekable-writer.ts')
  const { compressor } = addonZstd(loadAddon(ADDON))
  return {
    async encode(content) {
      const chunks: Uint8Array[] = []
      const frames = compressor(1, 'one')
      const small = {
        ...{ codec: frames.codec, frameBytes: FRAME_BYTES },
        write: frames.write.bind(frames),
        end: frames.end.bind(frames),
      }
      const seekable = new SeekableWriter(small, bytes => void chunks.push(bytes.slice()))
      await seekable.write(content)
      await seekable.finish()
      return Buffer.concat(chunks)
    },
  }
}

interface Serving {
  readonly url: string
  readonly pid: number
  readonly stderr: () => string
  /** @returns The exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

async function serve(t: Test, node: TestNode, ...options: string[]): Promise<Serving> {
  const args = ['serve', '--listen', '127.0.0.1:0', ...options, '--config', node.configFile]
  const child = spawn(node.binary, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = once(child, 'exit') as Promise<[number | null]>
  t.teardown(() => child.kill('SIGKILL'))
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => (stderr += String(chunk)))
  const [line] = (await Promise.race([once(createInterface(child.stdout), 'line'), exited])) as unknown[]
  if (typeof line !== 'string') throw new Error(`serve ended: ${stderr}`)
  return {
    url: line.replace(/\/$/, ''),
    pid: child.pid!,
    stderr: () => stderr,
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      return (await exited)[0]
    },
  }
}

/** @returns curl's exit code, the status and the bytes that came. */
async function curl(url: string, ...args: string[]) {
  const format = '%{http_code} %{size_download}'
  const { code, stdout } = await run('curl', ['-s', '-o', '/dev/null', '-w', format, ...args, url])
  const [status, bytes] = stdout.split(' ').map(Number)
  return { exit: code, status, bytes }
}

const hwmMib = (pid: number): number =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

const LARGE = { id: '20261123T203000Z-00000000b16b', namespace: 'shop', pod: 'big-0' }

/** A core that does not compress. @returns Its SHA-256. */
async function putLarge(node: TestNode, encode: Encode): Promise<string> {
  const core = Buffer.alloc(LARGE_BYTES)
  for (let at = 0, state = 1; at < core.length; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    core.writeUInt32LE(state, at)
  }
  const object = await encode(core)
  const described: ManifestCore = {
    ...{ key: 'core.zst', complete: true, bytesExpected: core.length, bytesReceived: core.length },
    ...{ bytesStored: object.length, sha256Stored: sha256(object), codec: 'zstd-napi', frames: 100 },
    ...{ frameBytes: FRAME_BYTES, segments: 1, threads: 1, machine: 'x86-64' },
  }
  const store = writer(node)
  const prefix = crashPrefix(LARGE)
  await store.put(coreKey(prefix), object)
  await store.put(manifestKey(prefix), encodeManifest(manifestOf({ ...LARGE, comm: 'big' }, described)))
  const entry = { ...LARGE, container: 'app', signal: 11, comm: 'big', outcome: 'full' as const }
  await store.put(indexKey(entry), new Uint8Array())
  return sha256(core)
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

t.test('serve prints its address, and ends well when it is told to', { skip }, async t => {
  const node = makeNode()
  t.teardown(() => node.remove())
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const serving = await serve(t, node)
    t.match(serving.url, /^http:\/\/127\.0\.0\.1:\d+$/)
    t.equal((await curl(`${serving.url}/`)).status, 200)
    t.equal(await serving.stop(signal), 0)
    t.equal(serving.stderr(), '')
  }
  const json = await serve(t, node, '--json')
  t.equal(json.url, '{', 'an object')
})

t.test('whoever listens for others is warned; a port that is taken is an error', { skip }, async t => {
  const node = makeNode()
  t.teardown(() => node.remove())
  const serving = await serve(t, node, '--listen', '0.0.0.0:0')
  await sleep(100)
  t.match(serving.stderr(), /there is no login/)
  const taken = await node.cli('serve', '--listen', new URL(serving.url).host)
  t.same([taken.code, /E_LISTEN/.test(taken.stderr)], [4, true])
  t.equal((await node.cli('serve', '--listen', 'nonsense')).code, 2)
})

t.test('a page in the binary is whole, demangled, and has the log', { skip }, async t => {
  const node = makeNode()
  t.teardown(() => node.remove())
  const { encode } = await zstd()
  await putHostile(writer(node), encode)
  const { url } = await serve(t, node)
  const page = execFileSync('curl', ['-s', `${url}/crash/${HOSTILE_ID}`], { encoding: 'utf8' })
  t.match(page, /shop::Cart::add_all/)
  t.match(page, /\\x1b\[31mred/)
  t.ok(page.endsWith('</html>\n'))
  t.equal((await curl(`${url}/`, '-H', 'Host: evil.example')).status, 421)
  t.equal((await curl(`${url}/`, '-X', 'DELETE')).status, 405)
  t.same(await curl(`${url}/crash/${HOSTILE_ID}/core`, '-I'), { exit: 0, status: 200, bytes: 0 })
})

t.test('a large core comes whole, and memory does not grow with it', { skip }, async t => {
  const node = makeNode()
  t.teardown(() => node.remove())
  const { encode } = await zstd()
  const digest = await putLarge(node, encode)
  const { url, pid } = await serve(t, node)
  const path = `${url}/crash/${LARGE.id}/core`
  const shell = promisify(execFile)
  const { stdout } = await shell('sh', ['-c', `curl -s ${path} | sha256sum`])
  t.equal(stdout.slice(0, 64), digest)
  // A slow reader is waited for.
  t.equal((await curl(path, '--limit-rate', '20M', '--max-time', '4')).exit, 28)
  t.equal((await curl(path)).bytes, LARGE_BYTES)
  t.ok(hwmMib(pid) < RSS_MIB_MAX, `${hwmMib(pid).toFixed(0)} MiB`)
})

t.test('readers that go away leave room for others', { skip }, async t => {
  const node = makeNode()
  t.teardown(() => node.remove())
  const { encode } = await zstd()
  await putLarge(node, encode)
  const { url } = await serve(t, node)
  const path = `${url}/crash/${LARGE.id}/core`
  const going = Array.from({ length: 6 }, () => curl(path, '--limit-rate', '1M', '--max-time', '2'))
  t.ok((await Promise.all(going)).every(({ exit }) => exit === 28))
  t.equal((await curl(path, '--max-time', '30')).bytes, LARGE_BYTES)
})

t.test('a damaged object breaks the connection, with or without a length', { skip }, async t => {
  const node = makeNode()
  t.teardown(() => node.remove())
  const { encode } = await zstd()
  await putLarge(node, encode)
  const store = writer(node)
  // Of an unfinished crash nobody knows how long its mini core is.
  const unfinished = crashPrefix({ ...LARGE, id: '20261123T203001Z-00000000b16c' })
  const kit = await encode(tarOf('mini.core', Buffer.alloc(40 * MIB, randomText())))
  kit[kit.length - 200]! ^= 0xff
  await store.put(kitKey(unfinished), kit)
  const object = join(node.storeDir, coreKey(crashPrefix(LARGE)))
  const bytes = readFileSync(object)
  bytes[(bytes.length / 2) | 0]! ^= 0xff
  writeFileSync(object, bytes)
  const { url, stderr } = await serve(t, node)
  for (const path of [
    `${LARGE.id}/core`,
    `${LARGE.id}/core.zst`,
    `${unfinished.slice('crashes/'.length)}mini`,
  ]) {
    const { exit, status, bytes = 0 } = await curl(`${url}/crash/${path}`)
    t.ok(exit === 18 || exit === 56, `${path}: ${exit}`)
    t.same([status, bytes > MIB], [200, true])
  }
  t.match(stderr(), /E_CORE_CORRUPT/)
  t.equal((await curl(`${url}/`)).status, 200)
})

const randomText = (): string => Array.from({ length: 1000 }, () => Math.random().toString(36)).join('')

function tarOf(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512)
  header.write(name, 0)
  header.write('0000600\0', 100)
  header.write('0000000\0', 108)
  header.write('0000000\0', 116)
  header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124)
  header.write('00000000000\0', 136)
  header.write('        0', 148)
  header.write('ustar\x0000', 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return Buffer.concat([header, content, Buffer.alloc(1024)])
}

const LIBRARY = '#include <unistd.h>\nvoid library_waits(void) { for (;;) pause(); }\n'
const PROGRAM = 'void library_waits(void);\nint main(void) { library_waits(); }\n'

t.test(
  'debuggers find programs and libraries here that are nowhere else',
  { skip: skipDebuggers },
  async t => {
    const node = makeNode()
    t.teardown(() => node.remove())
    const { encode } = await zstd()
    const library = join(node.dir, 'libwaits.so.1')
    const program = join(node.dir, 'waiter')
    writeFileSync(join(node.dir, 'l.c'), LIBRARY)
    writeFileSync(join(node.dir, 'p.c'), PROGRAM)
    const gcc = (...args: string[]) =>
      execFileSync('gcc', ['-g', '-Wl,--build-id', ...args], { cwd: node.dir })
    gcc('-shared', '-fPIC', '-Wl,-soname,libwaits.so.1', '-o', library, 'l.c')
    gcc('-o', program, 'p.c', library, `-Wl,-rpath,${node.dir}`)
    const child = spawn(program, { stdio: 'ignore' })
    await sleep(300)
    execFileSync('gcore', ['-o', join(node.dir, 'core'), String(child.pid)], { stdio: 'ignore' })
    child.kill('SIGKILL')
    const core = join(node.dir, `core.${child.pid}`)
    for (const file of [program, library])
      await writer(node).put(debugFileKey({ buildId: buildIdOf(file) }), await encode(readFileSync(file)))
    const { url } = await serve(t, node)
    const env = { ...process.env, DEBUGINFOD_URLS: url, DEBUGINFOD_CACHE_PATH: join(node.dir, 'cache') }

    const found = await run('debuginfod-find', ['executable', buildIdOf(library)], undefined, env)
    t.ok(readFileSync(found.stdout.trim()).equals(readFileSync(library)))
    t.not((await run('debuginfod-find', ['debuginfo', buildIdOf(library)], undefined, env)).code, 0)

    rmSync(join(node.dir, 'cache'), { recursive: true })
    for (const file of [program, library]) renameSync(file, `${file}.away`)
    const gdbArgs = ['-nx', '-batch', '-iex', 'set debuginfod enabled on', '-ex', 'bt', '-c', core]
    const { stdout } = await run('gdb', gdbArgs, undefined, env)
    t.match(stdout, /library_waits \(\).*\n.*main \(\) at p\.c:2/)
  },
)

function buildIdOf(file: string): string {
  return /Build ID: ([0-9a-f]+)/.exec(execFileSync('readelf', ['-n', file], { encoding: 'utf8' }))![1]!
}
