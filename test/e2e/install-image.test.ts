// Installing into the tree of an image: files only.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { noKernelControl, underPattern } from '../lab/kernel.ts'
import { BINARY, noBinary, run } from '../lab/node.ts'

const skip = noKernelControl() ?? noBinary() ?? false
const LIBC = ['/lib/x86_64-linux-gnu/libc.so.6', '/lib64/libc.so.6']

function imageTree(t: { testdir(): string }): string {
  const root = t.testdir()
  for (const directory of ['usr/lib/systemd', 'etc/systemd/system', 'etc/sysctl.d', 'lib64', 'usr/local'])
    mkdirSync(path.join(root, directory), { recursive: true })
  writeFileSync(path.join(root, 'usr/lib/systemd/systemd'), '')
  writeFileSync(path.join(root, 'etc/sysctl.d/50-coredump.conf'), 'kernel.core_pattern=mine\n', {
    mode: 0o600,
  })
  writeFileSync(path.join(root, 'c.toml'), '[store]\nurl = "s3://cores/prod"\n')
  cpSync(LIBC.find(file => existsSync(file)) ?? '', path.join(root, 'lib64/libc.so.6'), { dereference: true })
  return root
}

const listing = (root: string): string =>
  execFileSync('sh', ['-c', 'find . -printf "%p %m %l\\n" | sort; find . -type f | sort | xargs sha256sum'], {
    cwd: root,
    encoding: 'utf8',
  })

t.test('an image gets the files, and gives them back', { skip }, async t => {
  const root = imageTree(t)
  const before = listing(root)
  const install = ['install', '--root', root, '--config', path.join(root, 'c.toml')]
  // Held, since other tests set it.
  const pattern = '|/bin/true of-install-image'
  await underPattern(pattern, async () => {
    t.match(await run(BINARY, install), { code: 0, stdout: /mask systemd-coredump-register\.service/ })
    t.equal(
      readFileSync('/proc/sys/kernel/core_pattern', 'utf8'),
      `${pattern}\n`,
      'this machine is left alone',
    )
  })
  const at = (name: string) => path.join(root, name)
  t.match(
    readFileSync(at('etc/sysctl.d/60-corelift.conf'), 'utf8'),
    /^kernel\.core_pattern=\|\/usr\/local\/bin\/corelift handle %P %I /m,
  )
  t.match(
    readFileSync(at('etc/sysctl.d/60-corelift.conf'), 'utf8'),
    /^kernel\.core_pipe_limit=64$/m,
    'of the smallest node: this machine is not what the image will run on',
  )
  t.match(readFileSync(at('etc/systemd/system/corelift.slice'), 'utf8'), /^CPUQuota=100%$/m)
  t.notMatch(readFileSync(at('etc/sysctl.d/50-coredump.conf'), 'utf8'), /^[^#]/m)
  t.match(readlinkSync(at('usr/local/bin/corelift')), /^\.\.\/libexec\/corelift\/[^/]+\/corelift$/)
  t.equal(readFileSync(at('etc/corelift/config.toml'), 'utf8'), readFileSync(at('c.toml'), 'utf8'))
  const again = await run(BINARY, [...install, '--json'])
  t.same(
    (JSON.parse(again.stdout) as { steps: { state: string }[] }).steps.filter(
      ({ state }) => state !== 'same',
    ),
    [],
  )
  t.match(await run(BINARY, ['uninstall', '--root', root, '--purge']), { code: 0 })
  t.equal(listing(root), before)
})

t.test('what is in the way is refused before anything is changed', { skip }, async t => {
  const root = imageTree(t)
  mkdirSync(path.join(root, 'etc/systemd/system/corelift.slice'))
  const before = listing(root)
  const { code, stderr } = await run(BINARY, [
    'install',
    '--root',
    root,
    '--config',
    path.join(root, 'c.toml'),
  ])
  t.equal(code, 9)
  t.match(stderr, /corelift\.slice is in the way/)
  t.equal(listing(root), before)
})
