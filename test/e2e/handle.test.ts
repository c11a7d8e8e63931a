// The handler by hand: what the kernel never sends, and what a wrong set-up would.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { buildCore, MALFORMED } from '../core/build-core.ts'
import { BINARY, makeNode, noBinary, run } from '../lab/node.ts'

const skip = noBinary() ?? (existsSync('/dev/shm') ? false : 'no /dev/shm')
const UNLIMITED = String(2n ** 64n - 1n)

function specifiers(changes: Record<string, string> = {}): string[] {
  const values = {
    P: String(process.pid),
    I: String(process.pid),
    s: '11',
    t: '1700000000',
    c: UNLIMITED,
    d: '1',
    u: '0',
    g: '0',
    h: 'web-0',
    F: '',
    ...changes,
  }
  return Object.values(values)
}

for (const [what, { reason, bytes }] of Object.entries(MALFORMED)) {
  t.test(`${what} leaves a record with its reason`, { skip }, async t => {
    const node = makeNode()
    t.teardown(() => node.remove())
    const { code } = await node.handle(specifiers(), bytes())
    t.equal(code, 10)
    t.match(node.manifests(), [{ outcome: 'record', reason, core: null }])
  })
}

t.test('a core that ends early is stored and says how much is missing', { skip }, async t => {
  const node = makeNode()
  t.teardown(() => node.remove())
  const core = buildCore()
  const { code } = await node.handle(specifiers(), core.whole().subarray(0, -1))
  t.equal(code, 11)
  t.match(node.manifests(), [
    { outcome: 'full', core: { complete: false, bytesExpected: core.bytes, bytesReceived: core.bytes - 1 } },
  ])
})

t.test('a head of megabytes is read, in as many turns as it takes', { skip }, async t => {
  const node = makeNode()
  t.teardown(() => node.remove())
  const threads = Array.from({ length: 5000 }, (_, index) => ({ tid: index + 1, signal: 0 }))
  const core = buildCore({ threads })
  t.ok(core.head.length > 1 << 20)
  t.match(await node.handle(specifiers(), core.whole()), { code: 0 })
  t.match(node.manifests(), [{ outcome: 'full', core: { complete: true, threads: 5000 } }])
})

t.test('the configuration may also be named before the command', { skip }, async t => {
  const node = makeNode()
  t.teardown(() => node.remove())
  const args = ['--config', node.configFile, 'handle', ...specifiers()]
  t.match(await run(node.binary, args, buildCore().whole()), { code: 0 })
  t.match(node.manifests(), [{ outcome: 'full' }])
})

t.test('the time of a crash is the kernel’s', { skip }, async t => {
  const node = makeNode()
  t.teardown(() => node.remove())
  await node.handle(specifiers({ t: '1700000000' }), buildCore().whole())
  t.match(node.manifests(), [{ time: '2023-11-14T22:13:20.000Z', id: /^20231114T221320Z-[0-9a-f]{12}$/ }])
})

t.test(
  'specifiers that the kernel does not send are refused in one line, without a stack trace',
  { skip },
  async t => {
    const node = makeNode()
    t.teardown(() => node.remove())
    const wrong: Record<string, string>[] = [
      { P: '0' },
      { P: '-1' },
      { P: '99999999' },
      { P: '1e3' },
      { P: '$(id)' },
      { s: '65' },
      { s: '' },
      { t: '-5' },
      { t: 'now' },
      { c: String(2n ** 64n) },
      { c: '-1' },
      { d: '3' },
      { u: '4294967296' },
      { h: 'x'.repeat(65) },
      { F: '../fd' },
    ]
    for (const change of wrong) {
      const { code, stderr } = await node.handle(specifiers(change), buildCore().whole())
      t.equal(code, 2, JSON.stringify(change))
      t.match(stderr, /^corelift: a crash lost: .* \[E_SPECIFIERS\]\n {2}hint: .*\n$/)
    }
    const { code } = await node.handle(specifiers().slice(1), buildCore().whole())
    t.equal(code, 2, 'an argument is missing')
    t.strictSame(node.manifests(), [])
  },
)

t.test(
  'a %F that is no pidfd of the process is said so, and nothing of another process is believed',
  { skip },
  async t => {
    const cases = [
      [{ F: '' }, { crash: { pidfd: 'absent' }, process: { comm: String } }],
      [{ F: '0' }, { crash: { pidfd: 'not-a-pidfd' }, process: { comm: String } }],
      [{ F: '77' }, { crash: { pidfd: 'not-a-pidfd' }, process: { comm: String } }],
      [
        { P: '4194304', I: '4194304' },
        { crash: { pidfd: 'absent' }, process: null, processGone: String, workload: { kind: 'unknown' } },
      ],
    ] as const
    for (const [change, expected] of cases) {
      const node = makeNode()
      t.teardown(() => node.remove())
      await node.handle(specifiers(change), buildCore().whole())
      const [manifest] = node.manifests()
      t.match(manifest, expected, JSON.stringify(change))
      t.ok(manifest!.warnings.length > 0 || manifest!.processGone, 'the manifest says so')
    }
  },
)

t.test('a state directory that cannot be trusted costs the core, not the mini core', { skip }, async t => {
  const node = makeNode()
  t.teardown(() => node.remove())
  mkdirSync(join(node.dir, 'state'), { mode: 0o777 })
  writeFileSync(join(node.dir, 'state', 'x'), '')
  await run('chmod', ['0777', join(node.dir, 'state')])
  const { code } = await node.handle(specifiers(), buildCore().whole())
  t.equal(code, 12)
  t.match(node.manifests(), [{ outcome: 'mini', reason: 'slots', reasonText: /written by others/ }])
})

t.test('a handler that was killed leaves its slot free', { skip }, async t => {
  const node = makeNode('[budget]\nslots = 1\nslot_wait_seconds = 0')
  t.teardown(() => node.remove())
  const stuck = spawn(node.binary, ['handle', '--config', node.configFile, ...specifiers()], {
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  stuck.stdin.write(buildCore().head)
  stuck.stdin.write(Buffer.alloc(4096))
  for (let tries = 0; tries < 200 && !existsSync(join(node.dir, 'state', 'slot-0')); tries++)
    await new Promise(resolve => setTimeout(resolve, 20))
  await new Promise(resolve => setTimeout(resolve, 200))
  t.equal((await node.handle(specifiers(), buildCore().whole())).code, 12, 'the only slot is taken')
  stuck.kill('SIGKILL')
  await once(stuck, 'close')
  t.equal((await node.handle(specifiers(), buildCore().whole())).code, 0, 'and free again')
})

t.test('the runtime’s own zstd gives a core that reads back the same', { skip }, async t => {
  const node = makeNode('[capture]\nzstd = "runtime"')
  t.teardown(() => node.remove())
  const core = buildCore({ segments: [{ vaddr: 0x10000n, filesz: 9 << 20, fill: 7 }] })
  await node.handle(specifiers(), core.whole())
  const [manifest] = node.manifests()
  t.match(manifest, { core: { codec: 'runtime', complete: true, frames: 3 } })
  const output = join(node.dir, 'core')
  t.match(await node.cli('get', manifest!.id, '-o', output), { code: 0 })
  t.ok(readFileSync(output).equals(core.whole()))
})

t.test(
  'where the addon cannot be loaded the runtime’s zstd takes its place, and the manifest says so',
  { skip },
  async t => {
    const node = makeNode()
    t.teardown(() => node.remove())
    // The addon (961 KB) does not fit into a file of 400 KiB, its memfd; what goes into the store does.
    const script = 'trap "" XFSZ; ulimit -f 800; exec "$@"'
    const args = ['-c', script, 'sh', node.binary, 'handle', '--config', node.configFile, ...specifiers()]
    t.match(await run('sh', args, buildCore().whole()), { code: 0 })
    t.match(node.manifests(), [{ outcome: 'full', core: { codec: 'runtime', complete: true } }])
  },
)

const noNamespaces = process.getuid?.() === 0 ? false : 'not root: mount namespaces are needed'
t.test(
  'it runs on a read-only root with a full /tmp, no environment, and descriptors 1 and 2 closed',
  { skip: skip || noNamespaces },
  async t => {
    const node = makeNode()
    t.teardown(() => node.remove())
    // A copy: the checkout may be below /tmp, which is to be full.
    const binary = join(node.dir, 'corelift')
    copyFileSync(BINARY, binary)
    const script = `
    set -e
    mount -o remount,bind,ro /
    mount -t tmpfs -o size=4k tmpfs /tmp
    dd if=/dev/zero of=/tmp/full bs=4k count=2 2>/dev/null || true
    if echo x > /var/tmp/x 2>/dev/null || echo x > /tmp/x 2>/dev/null; then exit 90; fi
    exec env -i "$@" 1>&- 2>&-`
    const args = [
      '--mount',
      '--propagation',
      'private',
      'sh',
      '-c',
      script,
      'sh',
      binary,
      'handle',
      '--config',
      node.configFile,
    ]
    const { code } = await run('unshare', [...args, ...specifiers()], buildCore().whole())
    t.equal(code, 0)
    t.match(node.manifests(), [{ outcome: 'full', core: { complete: true, codec: 'zstd-napi' } }])
  },
)

/** Runs its arguments, from the second on, with a pidfd of the process that the first names in place of PIDFD. */
const WITH_PIDFD = `
import os, sys
fd = os.pidfd_open(int(sys.argv[1]))
os.set_inheritable(fd, True)
os.execv(sys.argv[2], [str(fd) if word == 'PIDFD' else word for word in sys.argv[2:]])`

t.test(
  'a pidfd proves the process, and one of another process makes /proc unbelievable',
  { skip: skip || noNamespaces },
  async t => {
    for (const [pidfdOf, expected] of [
      [process.pid, { crash: { pidfd: 'verified' }, process: { comm: String }, warnings: [] }],
      [process.ppid, { crash: { pidfd: 'other-process' }, process: null, workload: { kind: 'unknown' } }],
    ] as const) {
      const node = makeNode()
      t.teardown(() => node.remove())
      const command = [node.binary, 'handle', '--config', node.configFile, ...specifiers({ F: 'PIDFD' })]
      await run('python3', ['-c', WITH_PIDFD, String(pidfdOf), ...command], buildCore().whole())
      t.match(node.manifests(), [{ ...expected, outcome: 'full' }])
    }
  },
)

/** A journal of one entry: binds journald's socket, runs the rest, writes down what came. */
const JOURNAL = `
import socket, subprocess, sys
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind('/run/systemd/journal/socket')
code = subprocess.run(sys.argv[2:]).returncode
journal.settimeout(5)
open(sys.argv[1], 'wb').write(journal.recv(65536))
sys.exit(code)`

t.test('a journal, where there is one, gets the crash', { skip: skip || noNamespaces }, async t => {
  const node = makeNode()
  t.teardown(() => node.remove())
  const script = 'mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && exec "$@"'
  const journal = ['python3', '-c', JOURNAL, join(node.dir, 'entry')]
  const command = [node.binary, 'handle', '--config', node.configFile, ...specifiers()]
  const args = ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', ...journal, ...command]
  t.match(await run('unshare', args, buildCore().whole()), { code: 0 })
  const entry = readFileSync(join(node.dir, 'entry'), 'latin1')
  const [manifest] = node.manifests()
  t.match(entry, /^MESSAGE\n/)
  t.match(entry, manifest!.id)
  t.match(entry, /\nSYSLOG_IDENTIFIER\n.{8}corelift\n/s)
})

t.test(
  'the handler is the first to go when memory runs out, and last in line for the processor',
  { skip },
  async t => {
    const node = makeNode('[handler]\nnice = 12\noom_score_adj = 700')
    t.teardown(() => node.remove())
    const child = spawn(node.binary, ['handle', '--config', node.configFile, ...specifiers()], {
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    t.teardown(() => child.kill('SIGKILL'))
    const adjusted = (): string => readFileSync(`/proc/${child.pid}/oom_score_adj`, 'utf8').trim()
    for (let tries = 0; tries < 500 && adjusted() !== '700'; tries++)
      await new Promise(resolve => setTimeout(resolve, 10))
    t.equal(adjusted(), '700')
    const stat = readFileSync(`/proc/${child.pid}/stat`, 'latin1')
    t.equal(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16], '12', 'field 19 of proc_pid_stat(5)')
  },
)
