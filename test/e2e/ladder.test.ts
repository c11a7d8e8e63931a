// The ladder through the real kernel: programs of several kinds leave a full and a mini core at once, with the same stacks
// in both; what is over a budget is less, and is kept.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Manifest } from '../../src/store/manifest.ts'
import { euStackFrames, gdbFrames, noDebuggers } from '../core/debuggers.ts'
import { noKernelControl, startCrasher, underPattern, watchKernelLog } from '../lab/kernel.ts'
import { compileFixture, makeNode, noBinary, type TestNode } from '../lab/node.ts'
import { heap, manyMappings, manyThreads, PROGRAMS } from '../lab/programs.ts'

const cannot = noKernelControl() ?? noBinary()
const skip = cannot ?? false
const MIB = 1024 * 1024
/** More than any of the programs has, but for those that recurse until their stack is larger than a mini core. */
const FRAMES_MAX = 1000
/** The handler's own. */
const UNWOUND_FRAMES_MAX = 64

async function crashOf(node: TestNode, command: readonly string[], env = {}): Promise<Manifest> {
  const before = new Set(node.manifests().map(({ id }) => id))
  await underPattern(node.pattern, () => startCrasher(command, { env }).ended)
  const manifests = await node.waitForManifests(before.size + 1)
  return manifests.find(({ id }) => !before.has(id))!
}

async function fetch(node: TestNode, { id }: Manifest, ...flags: string[]): Promise<string> {
  const path = join(node.dir, `core-${id}${flags.join('')}`)
  const { code, stderr } = await node.cli('get', id, ...flags, '-o', path)
  if (code !== 0) throw new Error(stderr)
  return path
}

for (const program of PROGRAMS.filter(({ coreIsHuge }) => !coreIsHuge)) {
  const skip = cannot ?? noDebuggers() ?? program.whyNot() ?? false
  t.test(`${program.name}: the same frames are in its full core and in its mini core`, { skip }, async t => {
    const node = makeNode()
    t.teardown(() => node.remove())
    const { command, env, executable } = program.build(node.dir)
    const manifest = await crashOf(node, command, env)
    t.match(manifest, { outcome: 'full', crash: { signalName: program.signal }, core: { complete: true } })
    t.match(manifest.warnings, [], 'nothing was odd')
    const [full, mini] = [await fetch(node, manifest, '--full'), await fetch(node, manifest, '--mini')]
    t.equal(statSync(mini).size, manifest.mini!.bytes)
    t.ok(manifest.mini!.bytes <= 32 * MIB)

    const frames = gdbFrames(executable, full, FRAMES_MAX)
    t.equal(frames.size, manifest.core!.threads)
    t.strictSame(gdbFrames(executable, mini, FRAMES_MAX), frames, 'gdb')
    t.strictSame(
      euStackFrames(executable, mini, FRAMES_MAX),
      euStackFrames(executable, full, FRAMES_MAX),
      'eu-stack',
    )
    const [crashed] = manifest.stacks!.threads
    const [pc] = frames.get(crashed!.tids[0]!)!
    t.equal(`0x${crashed!.frames[0]!.pc}`, pc, 'the crash is where gdb has it')
    t.match(manifest.signature, new RegExp(`^${program.signal} `))
  })
}

t.test('info shows the stack of the crash, with functions as people write them', { skip }, async t => {
  const program = PROGRAMS.find(({ name }) => name === 'cpp-exception')!
  if (program.whyNot() !== undefined) return t.pass('', { skip: program.whyNot()! })
  const node = makeNode()
  t.teardown(() => node.remove())
  const logged = watchKernelLog()
  const manifest = await crashOf(node, program.build(node.dir).command)
  const { stdout } = await node.cli('info', manifest.id)
  t.match(stdout, /#\d+  fixture::Parser::fail<int>\(.*\)\+0x[0-9a-f]+ in cpp-exception\+0x/)
  t.match(stdout, /#\d+  main\+0x[0-9a-f]+ in cpp-exception/)
  t.match(await logged(manifest.id), [/by SIGABRT in _host\/\S+ at libc\.so\.6\+0x[0-9a-f]+: core stored/])
})

t.test('two thousand threads have their stacks in a mini core', { skip }, async t => {
  const node = makeNode('[[policy.rules]]\ncapture = "mini"')
  t.teardown(() => node.remove())
  const { command, executable } = manyThreads(2000).build(node.dir)
  const manifest = await crashOf(node, command)
  t.match(manifest, { outcome: 'mini', reason: 'policy', core: null })
  t.ok(manifest.mini!.bytes <= 32 * MIB)
  const stacks = gdbFrames(executable, await fetch(node, manifest), UNWOUND_FRAMES_MAX)
  t.equal(stacks.size, 2002)
  t.notOk([...stacks.values()].some(pcs => pcs.includes('error') || pcs.length < 3))
})

const MAP_COUNT_FILE = '/proc/sys/vm/max_map_count'

t.test('seventy thousand mappings leave a full core and a mini core', { skip }, async t => {
  const before = readFileSync(MAP_COUNT_FILE, 'utf8')
  writeFileSync(MAP_COUNT_FILE, String(Math.max(Number(before), 80_000)))
  t.teardown(() => writeFileSync(MAP_COUNT_FILE, before))
  const node = makeNode()
  t.teardown(() => node.remove())
  const { command, executable } = manyMappings(70_000).build(node.dir)
  const manifest = await crashOf(node, command)
  t.match(manifest, { outcome: 'full', core: { complete: true }, mini: { bytesUnreadable: 0 } })
  t.ok(manifest.core!.segments > 0xffff, 'more than e_phnum holds')
  t.ok(manifest.mini!.bytes <= MIB)
  const [full, mini] = [await fetch(node, manifest, '--full'), await fetch(node, manifest, '--mini')]
  t.strictSame(gdbFrames(executable, mini, FRAMES_MAX), gdbFrames(executable, full, FRAMES_MAX))
})

t.test('a mapping of 20 GiB is not read for a mini core', { skip }, async t => {
  const node = makeNode('[[policy.rules]]\ncapture = "mini"')
  t.teardown(() => node.remove())
  const { command } = PROGRAMS.find(({ coreIsHuge }) => coreIsHuge)!.build(node.dir)
  const manifest = await crashOf(node, command)
  t.match(manifest, { outcome: 'mini', mini: { bytesUnreadable: 0 } })
  t.ok(manifest.size.bytesExpected! > 20 * 2 ** 30)
  t.ok(manifest.mini!.bytes <= MIB)
})

t.test('a gigabyte is trimmed to any budget, and keeps every stack', { skip }, async t => {
  const program = heap(1024)
  let previous = 0
  for (const mib of [4, 16, 64, 256]) {
    const node = makeNode(`[budget]\ncore_bytes_max = "${mib}MiB"`)
    const { command, executable } = program.build(node.dir)
    const manifest = await crashOf(node, command)
    t.match(manifest, { outcome: 'trimmed', reason: 'size', core: { complete: true } }, `${mib} MiB`)
    const { bytesReceived } = manifest.core!
    t.ok(bytesReceived <= mib * MIB && bytesReceived > previous, `${bytesReceived} bytes`)
    previous = bytesReceived
    const core = await fetch(node, manifest)
    t.equal(statSync(core).size, bytesReceived)
    const [frames] = gdbFrames(executable, core, FRAMES_MAX).values()
    t.notOk(frames!.includes('error'))
    node.remove()
  }
})

t.test('a handler that is killed while it streams leaves the mini core to be fetched', { skip }, async t => {
  const node = makeNode('[node]\nname = "node-1"')
  t.teardown(() => node.remove())
  const crasher = compileFixture('crasher', node.dir)
  await underPattern(node.pattern, async () => {
    const { ended } = startCrasher([crasher, '--mib', '2048'])
    const [pid] = await eventually(() => (kitIn(node.storeDir) ? handlersOf(node) : []))
    process.kill(pid!, 'SIGKILL')
    await ended
  })
  t.strictSame(node.manifests(), [])
  const core = join(node.dir, 'core')
  const got = await node.cli('get', 'node-1', '-n', '_host', '-o', core)
  t.match(got, { code: 0, stderr: /the mini core.*unfinished/ })
  const [pcs] = gdbFrames(crasher, core, FRAMES_MAX).values()
  t.ok(pcs!.length >= 4 && !pcs!.includes('error'), 'crash_here, middle, outer, main')
})

t.test('a store that fails in mid-core leaves the mini core, and says why', { skip }, async t => {
  const node = makeNode()
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', node.storeDir])
  t.teardown(() => {
    execFileSync('umount', [node.storeDir])
    node.remove()
  })
  const crasher = compileFixture('crasher', node.dir)
  const manifest = await crashOf(node, [crasher, '--mib', '64'])
  t.match(manifest, { outcome: 'mini', reason: 'store', reasonText: /E_STORE_FULL/, core: null })
  const [pcs] = gdbFrames(crasher, await fetch(node, manifest), FRAMES_MAX).values()
  t.ok(pcs!.length >= 4 && !pcs!.includes('error'), 'crash_here, middle, outer, main')
})

const kitIn = (storeDir: string): boolean =>
  readdirSync(storeDir, { recursive: true }).some(path => String(path).endsWith('kit.tar.zst'))

/** Handlers that run with the node's configuration. */
function handlersOf(node: TestNode): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .filter(pid => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(`handle\0--config\0${node.configFile}`)
      } catch {
        return false // it ended meanwhile
      }
    })
    .map(Number)
}

async function eventually<T>(find: () => readonly T[]): Promise<readonly T[]> {
  for (let tries = 0; tries < 3000; tries++) {
    const found = find()
    if (found.length > 0) return found
    await sleep(5)
  }
  throw new Error('waited in vain')
}

t.test('a loop of one crash leaves its first cores, then mini cores, then records', { skip }, async t => {
  const node = makeNode('[budget]\nsignature_full = "2/hour"\nsignature_mini = "3/hour"')
  t.teardown(() => node.remove())
  const crasher = compileFixture('crasher', node.dir)
  const outcomes: string[] = []
  for (let crash = 0; crash < 7; crash++) outcomes.push((await crashOf(node, [crasher])).outcome)
  t.strictSame(outcomes, ['full', 'full', 'mini', 'mini', 'mini', 'record', 'record'])
  // Of the same process, another crash is another matter.
  t.equal((await crashOf(node, [crasher, '--abort'])).outcome, 'full')
  const { stdout } = await node.cli('budget')
  t.match(stdout, /signature/)
  t.match(readFileSync(join(node.dir, 'state', 'ledger.json'), 'utf8'), /SIGSEGV crasher/)
})
