// Real crashes through the real kernel, into a store, and back.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { noKernelControl, startCrasher, underPattern, watchKernelLog } from '../lab/kernel.ts'
import { compileFixture, gdb, makeNode, noBinary, sha256OfFile } from '../lab/node.ts'

const skip = noKernelControl() ?? noBinary() ?? false

t.test(
  'a crashed C program is stored as the kernel wrote it, and gdb lists its frames',
  { skip },
  async t => {
    const node = makeNode()
    t.teardown(() => node.remove())
    const crasher = compileFixture('crasher', node.dir)
    const logged = watchKernelLog()
    const { pid, signal } = await underPattern(
      node.teePattern,
      () => startCrasher([crasher, '--threads', '3']).ended,
    )
    const [manifest] = await node.waitForManifests(1)

    t.equal(signal, 'SIGSEGV')
    t.match(manifest, {
      outcome: 'full',
      crash: { pid, signalName: 'SIGSEGV', pidfd: 'verified' },
      process: { comm: 'crasher', exe: crasher, cmdline: [crasher, '--threads', '3'] },
      core: { complete: true, codec: 'zstd-napi', threads: 4 },
    })
    const core = join(node.dir, 'core')
    t.match(await node.cli('get', manifest!.id, '-o', core), { code: 0 })
    t.equal(
      await sha256OfFile(core),
      await sha256OfFile(node.teeFile),
      'the bytes are those that the kernel sent',
    )
    t.match(gdb(crasher, core, 'bt'), /crash_here.*\n.*\n?.*middle.*\n.*outer.*\n.*main/s)
    t.match(await logged(manifest!.id), [
      new RegExp(`corelift: crash of pid ${pid} \\(crasher\\) by SIGSEGV in .*${manifest!.id}`),
    ])
  },
)

t.test('a crashed python is stored as the kernel wrote it, and gdb lists its frames', { skip }, async t => {
  const node = makeNode()
  t.teardown(() => node.remove())
  const program =
    'import os\nblock = os.urandom(1 << 20) * 64\ndef deep(n):\n  os.abort() if n == 0 else deep(n - 1)\ndeep(20)'
  await underPattern(node.teePattern, () => startCrasher(['python3', '-c', program]).ended)
  const [manifest] = await node.waitForManifests(1)

  const core = join(node.dir, 'core')
  await node.cli('get', manifest!.id, '-o', core)
  t.equal(await sha256OfFile(core), await sha256OfFile(node.teeFile))
  t.ok(manifest!.core!.frames > 4, 'the core has many frames')
  t.match(gdb(manifest!.process!.exe, core, 'bt'), /abort/)
})

t.test('the kit holds what /proc said', { skip }, async t => {
  const node = makeNode('[capture]\nenviron = ["WANTED"]')
  t.teardown(() => node.remove())
  const crasher = compileFixture('crasher', node.dir)
  const env = { WANTED: 'yes', SECRET: 'no' }
  await underPattern(node.pattern, () => startCrasher([crasher], { env }).ended)
  const [manifest] = await node.waitForManifests(1)

  t.strictSame(manifest!.process!.environ, { WANTED: 'yes' })
  const unpacked = node.unpackKit(manifest!)
  t.match(readFileSync(join(unpacked, 'proc', 'maps'), 'utf8'), /crasher/)
  t.match(readFileSync(join(unpacked, 'proc', 'status'), 'utf8'), /CoreDumping:\t1/)
  t.equal(readFileSync(join(unpacked, 'proc', 'environ'), 'utf8'), 'WANTED=yes\0')
})

const COMMS = {
  'a newline': Buffer.from('a\nb'),
  'a way up': Buffer.from('../../x'),
  'a shell command': Buffer.from('$(id)'),
  'what looks like the end of a comm': Buffer.from(') R 1'),
  'bytes that are no UTF-8': Buffer.from('caf\xe9\xff', 'latin1'),
}
for (const [what, comm] of Object.entries(COMMS)) {
  t.test(`a comm with ${what} is kept and stays where it belongs`, { skip }, async t => {
    const node = makeNode()
    t.teardown(() => node.remove())
    const crasher = compileFixture('crasher', node.dir)
    const logged = watchKernelLog()
    const { pid } = await underPattern(
      node.pattern,
      () => startCrasher([crasher, '--comm', comm.toString('hex')]).ended,
    )
    const [manifest] = await node.waitForManifests(1)

    const { process } = manifest!
    const bytes = process!.raw?.['comm']
      ? Buffer.from(process!.raw['comm'], 'base64')
      : Buffer.from(process!.comm)
    t.strictSame(bytes, comm)
    t.equal(manifest!.crash.pid, pid)
    t.ok(process!.ppid! > 1, 'the fields behind the comm were found')
    t.strictSame(
      readdirSync(node.storeDir).sort(),
      ['.incoming', 'crashes', 'index'],
      'nothing left its place',
    )
    t.equal((await logged(manifest!.id)).length, 1, 'one line in the kernel log')
    const [listed] = JSON.parse((await node.cli('ls', '--json')).stdout) as { comm: string; id: string }[]
    t.match(listed, { id: manifest!.id, comm: process!.comm })
    const table = await node.cli('ls')
    t.equal(table.stdout.trimEnd().split('\n').length, 2, 'the table has a heading and one line')
  })
}

t.test('a process killed in mid-dump leaves an incomplete core that says so', { skip }, async t => {
  const node = makeNode()
  t.teardown(() => node.remove())
  const crasher = compileFixture('crasher', node.dir)
  await underPattern(node.pattern, async () => {
    const { child, ended } = startCrasher([crasher, '--mib', '2048'])
    await node.waitForUpload()
    child.kill('SIGKILL')
    await ended
  })
  const [manifest] = await node.waitForManifests(1)

  const { complete, bytesExpected, bytesReceived } = manifest!.core!
  t.equal(complete, false)
  t.ok(bytesExpected > 2048 * 2 ** 20, 'the head says how much was to come')
  t.ok(bytesReceived > 0 && bytesReceived < bytesExpected, `${bytesReceived} of ${bytesExpected} bytes came`)
  const core = join(node.dir, 'core')
  const got = await node.cli('get', manifest!.id, '--full', '-o', core)
  t.match(got.stderr, /incomplete|missing/)
  t.equal(readFileSync(core).length, bytesReceived)
  const mini = join(node.dir, 'mini')
  t.match(await node.cli('get', manifest!.id, '-o', mini), { code: 0, stderr: /the mini core/ })
  t.match(gdb(crasher, mini, 'bt'), /crash_here.*middle.*outer.*main/s, 'and every stack was safe before')
})

t.test('of sixteen crashes at once those that find no slot leave mini cores', { skip }, async t => {
  const node = makeNode('[budget]\nslots = 2\nslot_wait_seconds = 0')
  t.teardown(() => node.remove())
  const crasher = compileFixture('crasher', node.dir)
  await underPattern(node.pattern, () =>
    Promise.all(Array.from({ length: 16 }, () => startCrasher([crasher, '--mib', '64']).ended)),
  )
  const manifests = await node.waitForManifests(16)

  t.equal(new Set(manifests.map(manifest => manifest.id)).size, 16)
  const full = manifests.filter(manifest => manifest.outcome === 'full')
  const mini = manifests.filter(manifest => manifest.reason === 'slots')
  t.ok(full.length >= 1, `${full.length} cores were stored`)
  t.ok(mini.length >= 1, `${mini.length} found no slot`)
  t.equal(full.length + mini.length, 16)
  t.ok(mini.every(manifest => manifest.outcome === 'mini'))
  t.ok(full.every(manifest => manifest.core!.complete))
})

t.test('crashes that may wait for a slot are all stored', { skip }, async t => {
  const node = makeNode('[budget]\nslots = 4\nslot_wait_seconds = 60')
  t.teardown(() => node.remove())
  const crasher = compileFixture('crasher', node.dir)
  await underPattern(node.pattern, () =>
    Promise.all(Array.from({ length: 6 }, () => startCrasher([crasher, '--mib', '16']).ended)),
  )
  const manifests = await node.waitForManifests(6)
  t.ok(manifests.every(manifest => manifest.core?.complete))
})

t.test('a core over budget is trimmed to it, by value', { skip }, async t => {
  const node = makeNode('[budget]\ncore_bytes_max = "16MiB"')
  t.teardown(() => node.remove())
  const crasher = compileFixture('crasher', node.dir)
  await underPattern(node.pattern, () => startCrasher([crasher, '--mib', '64']).ended)
  const [manifest] = await node.waitForManifests(1)
  t.match(manifest, { outcome: 'trimmed', reason: 'size', core: { complete: true } })
  t.ok(manifest!.size.bytesExpected! > 64 * 2 ** 20)
  const { bytesReceived, trimmed } = manifest!.core!
  t.ok(bytesReceived <= 16 * 2 ** 20 && bytesReceived > 12 * 2 ** 20, `${bytesReceived} bytes`)
  const [largest] = trimmed!.mappings
  t.ok(largest!.bytesDropped > 40 * 2 ** 20, 'the manifest says what was dropped')
  const core = join(node.dir, 'core')
  t.match(await node.cli('get', manifest!.id, '-o', core), { code: 0, stderr: /a trimmed core/ })
  t.match(gdb(crasher, core, 'bt'), /crash_here.*middle.*outer.*main/s)
})

t.test('RLIMIT_CORE is honoured unless the configuration says otherwise', { skip }, async t => {
  for (const [config, outcome] of [
    ['', 'record'],
    ['[capture]\nhonor_core_rlimit = false', 'full'],
  ] as const) {
    const node = makeNode(config)
    t.teardown(() => node.remove())
    const crasher = compileFixture('crasher', node.dir)
    await underPattern(node.pattern, () => startCrasher([crasher], { coreLimit: '0' }).ended)
    const [manifest] = await node.waitForManifests(1)
    t.equal(manifest!.outcome, outcome)
    t.equal(manifest!.crash.coreRlimitBytes, '0')
  }
})

t.test('a bad configuration leaves a line that names the lost crash and every problem', { skip }, async t => {
  const node = makeNode('[budget]\nslots = "many"\n[stroe]\nurl = "x"')
  t.teardown(() => node.remove())
  const crasher = compileFixture('crasher', node.dir)
  const logged = watchKernelLog()
  const { pid } = await underPattern(node.pattern, () => startCrasher([crasher]).ended)
  const [line] = await logged(`crash of pid ${pid} (crasher) by SIGSEGV lost`)
  t.match(line, /budget\.slots.*stroe.*E_CONFIG/)
})
