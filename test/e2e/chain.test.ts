// Crashes of the host's own through the real kernel, given to the handler that was there before.
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { corePattern } from '../../src/kernel/core-pattern.ts'
import { encodeInstallState } from '../../src/node/install-state.ts'
import type { Manifest } from '../../src/store/manifest.ts'
import { CGROUP2, withCgroup } from '../lab/cgroups.ts'
import { noKernelControl, startCrasher, underPattern } from '../lab/kernel.ts'
import { compileFixture, gdb, makeNode, noBinary, sha256OfFile, type TestNode } from '../lab/node.ts'

const skip = noKernelControl() ?? noBinary() ?? false

interface ChainedNode extends TestNode {
  readonly crasher: string
  /** What the former handler left. */
  left(name: string): string
  readonly leftDir: string
  /** Crashes the crasher under a pattern. */
  crash(
    options?: readonly string[],
    pattern?: string,
  ): Promise<{ readonly pid: number; readonly manifest: Manifest }>
  /** A pattern by which all that the kernel sends is also written to `teeFile`. */
  readonly teePattern: string
}

/**
 * A node on which corelift was installed over another handler: its handler sees a /var/lib of its own, with what an
 * installation notes and the former handler's program in it.
 * @param script - Of the former handler: shell, with `$LEFT` for a directory.
 * @param former - kernel.core_pattern as it was.
 */
function makeChainedNode(t: Test, script: string, former = '|/var/lib/former %P %F %e'): ChainedNode {
  const node = makeNode('[node]\nchain_host_processes = true\n[sweep]\ngrace_seconds = 0')
  t.teardown(() => node.remove())
  const [lib, leftDir] = [join(node.dir, 'lib'), join(node.dir, 'left')]
  mkdirSync(join(lib, 'corelift'), { recursive: true })
  mkdirSync(leftDir)
  writeFileSync(join(lib, 'former'), `#!/bin/sh\nLEFT=${leftDir}\n${script}\n`, { mode: 0o755 })
  const state = {
    format: 1 as const,
    version: '0.1.0',
    time: '2026-11-24T00:00:00.000Z',
    binary: node.binary,
    before: { sysctls: { 'kernel.core_pattern': former }, paths: {}, madeDirectories: [], activeUnits: [] },
    installed: { sysctls: {}, paths: {} },
  }
  writeFileSync(join(lib, 'corelift', 'install.json'), encodeInstallState(state))
  const command = (name: string, head: string) => {
    const inside = `/bin/mount --bind ${lib} /var/lib && exec ${node.binary} "$@"`
    const text = `#!/bin/sh\n${head}exec /usr/bin/unshare -m /bin/sh -c '${inside}' sh "$@"\n`
    writeFileSync(join(node.dir, name), text, { mode: 0o755 })
    return corePattern([join(node.dir, name), 'handle', '--config', node.configFile])
  }
  const pattern = command('w', '')
  const crasher = compileFixture('crasher', node.dir)
  return {
    ...node,
    crasher,
    leftDir,
    pattern,
    teePattern: command('tw', `/usr/bin/tee ${node.teeFile} | `),
    left: name => readFileSync(join(leftDir, name), 'utf8'),
    async crash(options = [], under = pattern) {
      const before = node.manifests().length
      const { pid } = await underPattern(under, () => startCrasher([crasher, ...options]).ended)
      // Whatever else crashes on this machine meanwhile comes here too.
      for (let count = before + 1; ; count++) {
        const manifest = (await node.waitForManifests(count)).find(each => each.crash.pid === pid)
        if (manifest !== undefined) return { pid, manifest }
      }
    },
  }
}

t.test(
  'the former handler has the core as the kernel wrote it, and the store a record',
  { skip },
  async t => {
    const node = makeChainedNode(t, 'cat >"$LEFT/core"')
    const { manifest } = await node.crash(['--threads', '3'], node.teePattern)

    const core = join(node.leftDir, 'core')
    t.equal(await sha256OfFile(core), await sha256OfFile(node.teeFile))
    t.match(gdb(node.crasher, core, 'bt'), /crash_here.*middle.*outer.*main/s)
    t.match(manifest, {
      outcome: 'record',
      reason: 'chained',
      reasonText: 'given to /var/lib/former, the handler before corelift',
      workload: { kind: 'host' },
      core: null,
      mini: null,
      kit: null,
      warnings: [],
      signature: /^SIGSEGV crasher/,
    })
    t.ok(
      manifest.stacks!.threads[0]!.frames.some(frame => frame.function?.startsWith('crash_here')),
      'the record has the stacks',
    )
    t.equal(manifest.size.bytesExpected, statSync(core).size)
    t.match((await node.cli('ls')).stdout, /_host.*record/)
  },
)

t.test('it is run as the kernel runs a handler, and the process is held till it ends', { skip }, async t => {
  const script = `
printf '%s\\n' "$@" >"$LEFT/arguments"
tr '\\0' '\\n' </proc/$$/environ >"$LEFT/environment"
pwd >"$LEFT/directory"
ls -l /proc/$$/fd | grep -v -e "$0" -e /dev/null >"$LEFT/descriptors"
cat /proc/$$/fdinfo/$2 >"$LEFT/pidfd"
cat >/dev/null
cat "/proc/$1/status" >"$LEFT/status"`
  const node = makeChainedNode(t, script, '|/var/lib/former  %P %F %e -p%p/%s%% %Q %E')
  const comm = 'a b%P\nc/d'
  const { pid } = await node.crash(['--comm', Buffer.from(comm).toString('hex')])

  const exe = node.crasher.replaceAll('/', '!')
  t.equal(node.left('arguments'), [pid, 3, 'a b%P\nc!d', `-p${pid}/11%`, '', exe, ''].join('\n'))
  t.equal(node.left('environment'), '')
  t.equal(node.left('directory'), '/\n')
  t.match(node.left('pidfd'), new RegExp(`^Pid:\t${pid}$`, 'm'))
  const descriptors = node.left('descriptors').match(/ \d+ -> .*/g)
  t.match(descriptors, [/^ 0 -> pipe:/, /^ 3 -> /], 'a pipe, a pidfd, and no descriptor of corelift’s')
  t.equal(descriptors!.length, 2)
  t.match(node.left('status'), /CoreDumping:\t1/, 'the process is there when all of its core was read')
})

t.test('ids are those of the crasher’s own pid namespace too', { skip }, async t => {
  const node = makeChainedNode(t, `printf '%s ' "$@" >"$LEFT/arguments"`, '|/var/lib/former %p %i %P')
  const inNamespace = ['unshare', '--pid', '--fork', 'sh', '-c', '"$0"; exit 0', node.crasher]
  await underPattern(node.pattern, () => startCrasher(inNamespace).ended)
  const [manifest] = await node.waitForManifests(1)
  t.equal(node.left('arguments'), `2 2 ${manifest!.crash.pid} `)
})

t.test('who was given its standard input reads to the end when the program has ended', { skip }, async t => {
  const node = makeChainedNode(t, 'exec 4<&0\n/bin/cat <&4 >"$LEFT/core" &\nexit 0')
  const { manifest } = await node.crash(['--mib', '64'], node.teePattern)
  t.match(manifest, { reason: 'chained' })
  for (
    let tries = 0;
    tries < 100 && statSync(join(node.leftDir, 'core')).size < manifest.size.bytesExpected!;
    tries++
  )
    await new Promise(resolve => setTimeout(resolve, 50))
  t.equal(await sha256OfFile(join(node.leftDir, 'core')), await sha256OfFile(node.teeFile))
})

t.test('memory does not grow with the core, nor while its reader is slow', { skip }, async t => {
  // Its parent is corelift.
  const script = 'sleep 1; wc -c >"$LEFT/bytes"; grep VmHWM /proc/$PPID/status >"$LEFT/memory"'
  const node = makeChainedNode(t, script)
  const { manifest } = await node.crash(['--mib', '768'])
  t.equal(Number(node.left('bytes')), manifest.size.bytesExpected)
  const kib = Number(/\d+/.exec(node.left('memory'))![0])
  t.ok(kib < 160 * 1024, `${kib} KiB at the peak`)
})

t.test('a core that the program does not want is its own affair', { skip }, async t => {
  const node = makeChainedNode(t, 'exit 0')
  const { manifest } = await node.crash(['--mib', '16'])
  t.match(manifest, { outcome: 'record', reason: 'chained' })
})

for (const [how, script, ending] of [
  ['fails at once', 'exit 3', 'exit code 3'],
  ['fails after it has read', 'head -c 5000000 >/dev/null; exit 1', 'exit code 1'],
  ['is killed', 'kill -KILL $$', 'SIGKILL'],
] as const)
  t.test(`of a program that ${how} a mini core is left`, { skip }, async t => {
    const node = makeChainedNode(t, script)
    const { manifest } = await node.crash(['--mib', '16'])
    const text = `given to /var/lib/former, the handler before corelift: it ended with ${ending}`
    t.match(manifest, { outcome: 'mini', reason: 'chain-failed', reasonText: text, core: null })
    t.strictSame(manifest.warnings, [text])
    const mini = join(node.dir, 'mini')
    t.match(await node.cli('get', manifest.id, '-o', mini), { code: 0 })
    t.match(gdb(node.crasher, mini, 'bt'), /crash_here.*middle.*outer.*main/s)
  })

for (const [what, former, why] of [
  ['is not there', '|/var/lib/gone %P', '/var/lib/gone: ENOENT'],
  ['cannot be run', '|/var/lib/corelift/install.json', '/var/lib/corelift/install.json is not executable'],
  ['was a file', 'core.%p', 'kernel.core_pattern was core.%p before, which names no program'],
  ['was a socket', '@@/run/other', 'kernel.core_pattern was @@/run/other before, which names no program'],
] as const)
  t.test(`where the former handler ${what} the core is kept here, and says why`, { skip }, async t => {
    const node = makeChainedNode(t, '', former)
    const { manifest } = await node.crash()
    t.match(manifest, { outcome: 'full', reason: null, core: { complete: true } })
    const warning = `not given to the handler before corelift (node.chain_host_processes): ${why}`
    t.strictSame(manifest.warnings, [warning])
  })

t.test('a program that does not start costs nothing of the core', { skip }, async t => {
  const node = makeChainedNode(t, '')
  writeFileSync(join(node.dir, 'lib', 'former'), 'neither a script nor a program')
  const { manifest } = await node.crash([], node.teePattern)
  t.match(manifest, { outcome: 'full', core: { complete: true }, warnings: [/\/var\/lib\/former: ENOEXEC$/] })
  const core = join(node.dir, 'core')
  await node.cli('get', manifest.id, '-o', core)
  t.equal(await sha256OfFile(core), await sha256OfFile(node.teeFile))
})

t.test('a handler that is killed while the former one works leaves a record', { skip }, async t => {
  const node = makeChainedNode(t, 'kill -KILL $PPID')
  await underPattern(node.pattern, () => startCrasher([node.crasher, '--mib', '16']).ended)
  await node.waitForHandlers()
  t.match(await node.cli('sweep', '--now'), { code: 0 })
  // The sweep also reads in the kernel log of crashes that are not this test's.
  const manifest = node.manifests().find(({ process }) => process?.exe === node.crasher)
  t.match(manifest, { outcome: 'record', reason: 'killed', workload: { kind: 'host' } })
})

t.test(
  'a container’s crash is nobody else’s',
  { skip: skip || (CGROUP2 === undefined && 'needs cgroup v2') },
  async t => {
    const node = makeChainedNode(t, 'cat >"$LEFT/core"')
    const container = `kubepods/pod01234567-89ab-cdef-0123-456789abcdef/${'c1'.repeat(32)}`
    await withCgroup(container, directory => {
      const enter = ['sh', '-c', 'echo $$ >"$0/cgroup.procs" && exec "$@"', directory, node.crasher]
      return underPattern(node.pattern, () => startCrasher(enter).ended)
    })
    const [manifest] = await node.waitForManifests(1)
    t.match(manifest, { outcome: 'full', workload: { kind: 'unknown' }, warnings: [] })
    t.throws(() => node.left('core'), { code: 'ENOENT' })
  },
)
