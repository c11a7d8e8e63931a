// The packages: what is in them, and what they do to a node, by the package managers themselves.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { buildDeb } from '../../scripts/package/deb.ts'
import { buildRpm } from '../../scripts/package/rpm.ts'
import { PackageTree, STAND_IN, whyNoPackages } from '../lab/package-tree.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const dir = t.testdir({ binary: STAND_IN })
const CONFIG = '/etc/corelift/config.toml'
const STATE = '/var/lib/corelift/install.json'

type Build = typeof buildDeb

/** @param name - Of a directory for what is made on the way. */
function built(build: Build, version: string, name: string): string {
  const source = { root: ROOT, binary: join(dir, 'binary'), version, epochSeconds: 1_795_000_000 }
  const work = join(dir, name)
  mkdirSync(work)
  return build(source, work, join(dir, name, 'out'))
}

function output(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8' })
}

let trees = 0
function freshTree(glibc?: string): PackageTree {
  return new PackageTree(join(dir, `tree-${trees++}`), glibc)
}

const withTool = (tool: string) => (spawnSync(tool, ['--version']).error ? `${tool} is not installed` : false)
const noDeb = withTool('dpkg-deb')
const noRpm = withTool('rpmbuild')
const deb = noDeb ? '' : built(buildDeb, '1.2.3', 'deb')
const newerDeb = noDeb ? '' : built(buildDeb, '1.2.4-rc.1', 'newer-deb')
const rpm = noRpm ? '' : built(buildRpm, '1.2.3', 'rpm')
const newerRpm = noRpm ? '' : built(buildRpm, '1.2.4-rc.1', 'newer-rpm')

const EVERYWHERE = [
  '/usr/bin/corelift',
  '/usr/share/man/man1/corelift.1.gz',
  '/usr/share/man/man1/corelift-ls.1.gz',
  '/usr/share/man/man5/corelift-config.toml.5.gz',
  '/usr/share/man/man8/corelift-sweep.8.gz',
  '/usr/share/bash-completion/completions/corelift',
  '/usr/share/fish/vendor_completions.d/corelift.fish',
  '/usr/share/doc/corelift/README.md',
  '/usr/share/doc/corelift/examples/config.toml',
  '/usr/share/doc/corelift/third-party-licences.gz',
]
const NOT_OURS = /^\/(etc|var|run|usr\/lib|usr\/local)\//

function checkFiles(t: Pick<Test, 'strictSame'>, files: readonly string[], wanted: readonly string[]): void {
  t.strictSame(
    wanted.filter(file => !files.includes(file)),
    [],
  )
  t.strictSame(
    files.filter(file => NOT_OURS.test(file)),
    [],
  )
}

t.test('the .deb has its files, all of root, and none that takes effect', { skip: noDeb }, async t => {
  const lines = output('dpkg-deb', '-c', deb).trimEnd().split('\n')
  const files = lines.map(line => line.split(/ +/).at(-1)!.slice(1))
  const wanted = [
    ...EVERYWHERE,
    '/usr/share/zsh/vendor-completions/_corelift',
    '/usr/share/doc/corelift/copyright',
  ]
  checkFiles(t, files, wanted)
  for (const line of lines) t.match(line, /^(drwxr-xr-x|-rw-r--r--|-rwxr-xr-x) root\/root /)
  t.match(
    output('dpkg-deb', '-f', deb),
    /^Version: 1\.2\.3\nArchitecture: amd64\n[^]*\nDepends: libc6 \(>= 2\.34\)\n/m,
  )
  t.equal(output('dpkg-deb', '-f', newerDeb, 'Version'), '1.2.4~rc.1\n')
})

t.test('the .rpm has its files, all of root, and none that takes effect', { skip: noRpm }, async t => {
  const lines = output('rpm', '-qlvp', rpm).trimEnd().split('\n')
  const files = lines.map(line => line.split(/ +/).at(-1)!)
  const wanted = [
    ...EVERYWHERE,
    '/usr/share/zsh/site-functions/_corelift',
    '/usr/share/licenses/corelift/LICENSE',
  ]
  checkFiles(t, files, wanted)
  for (const line of lines) t.match(line, /^(drwxr-xr-x|-rw-r--r--|-rwxr-xr-x) +\d+ root +root /)
  t.match(output('rpm', '-qp', '--requires', rpm), /^glibc >= 2\.34$/m)
  t.equal(output('rpm', '-qp', '--configfiles', rpm), '')
})

t.test('the same sources give the same packages, whatever the umask', { skip: noDeb || noRpm }, async t => {
  const umask = process.umask(0o077)
  try {
    t.ok(readFileSync(deb).equals(readFileSync(built(buildDeb, '1.2.3', 'again-deb'))))
    t.ok(readFileSync(rpm).equals(readFileSync(built(buildRpm, '1.2.3', 'again-rpm'))))
  } finally {
    process.umask(umask)
  }
})

t.test('lintian finds nothing wrong', { skip: noDeb || withTool('lintian') }, async t => {
  // A script in place of the binary needs no overrides, and no glibc.
  const { stdout } = spawnSync('lintian', ['--allow-root', '--fail-on', 'none', deb], { encoding: 'utf8' })
  t.equal(stdout, '')
})

t.test(
  'shellcheck finds nothing wrong in the scripts',
  { skip: noDeb || withTool('shellcheck') },
  async t => {
    for (const name of ['postinst', 'prerm', 'postrm']) {
      const file = join(dir, name)
      writeFileSync(file, output('dpkg-deb', '-I', deb, name))
      // Not every script uses all that they share.
      const { stdout } = spawnSync('shellcheck', ['--exclude=SC2317', file], { encoding: 'utf8' })
      t.equal(stdout, '', name)
    }
  },
)

interface Manager {
  readonly name: string
  readonly skip: string | false
  readonly install: (tree: PackageTree) => ReturnType<PackageTree['dpkg']>
  readonly upgrade: (tree: PackageTree) => ReturnType<PackageTree['dpkg']>
  readonly remove: (tree: PackageTree) => ReturnType<PackageTree['dpkg']>
}
const MANAGERS: readonly Manager[] = [
  {
    name: 'dpkg',
    skip: noDeb || (whyNoPackages('dpkg', 'chroot') ?? false),
    install: tree => tree.dpkg('-i', deb),
    upgrade: tree => tree.dpkg('-i', newerDeb),
    remove: tree => tree.dpkg('-r', 'corelift'),
  },
  {
    name: 'rpm',
    skip: noRpm || (whyNoPackages('rpm', 'chroot') ?? false),
    install: tree => tree.rpm('-i', rpm),
    upgrade: tree => tree.rpm('-U', newerRpm),
    remove: tree => tree.rpm('-e', 'corelift'),
  },
]

for (const { name, skip, install, upgrade, remove } of MANAGERS) {
  t.test(`${name}: without a configuration the node is left as it is`, { skip }, async t => {
    const tree = freshTree()
    const installed = install(tree)
    t.match(installed, { code: 0, calls: [] })
    t.match(installed.said, /write \/etc\/corelift\/config\.toml.*\n.*corelift install --in-place/)
    t.strictSame([tree.has('/etc/corelift'), tree.has('/usr/bin/corelift')], [false, true])
    const upgraded = upgrade(tree)
    t.match(upgraded, { code: 0, calls: [] })
    t.notMatch(upgraded.said, /corelift: /)
    t.match(remove(tree), { code: 0, calls: [] })
    t.equal(tree.has('/usr/bin/corelift'), false)
  })

  t.test(`${name}: with a configuration the node is set up, upgraded and restored`, { skip }, async t => {
    const tree = freshTree()
    tree.write(CONFIG, 'wanted')
    t.match(install(tree), { code: 0, calls: ['install --in-place'] })
    t.match(upgrade(tree), { code: 0, calls: ['install --in-place'] })
    t.match(remove(tree), { code: 0, calls: ['uninstall'] })
    t.strictSame([tree.has(STATE), tree.has('/usr/bin/corelift')], [false, false])
    t.equal(tree.read(CONFIG), 'wanted')
  })

  t.test(`${name}: an upgrade does not set up what somebody took down`, { skip }, async t => {
    const tree = freshTree()
    tree.write(CONFIG)
    install(tree)
    tree.remove(STATE)
    const upgraded = upgrade(tree)
    t.match(upgraded, { code: 0, calls: [] })
    t.match(upgraded.said, /not set up on this node/)
    t.match(remove(tree), { code: 0, calls: [] })
  })

  t.test(`${name}: an installation of another place is left alone`, { skip }, async t => {
    const tree = freshTree()
    tree.write(CONFIG)
    tree.write(STATE, '{\n  "binary": "/usr/local/bin/corelift"\n}\n')
    const installed = install(tree)
    t.match(installed, { code: 0, calls: [] })
    t.match(installed.said, /not the package's/)
    t.match(remove(tree), { code: 0, calls: [] })
    t.equal(tree.has(STATE), true)
  })

  t.test(`${name}: a node that cannot be set up does not stop the package manager`, { skip }, async t => {
    const tree = freshTree()
    tree.write(CONFIG)
    tree.write('/fails')
    const installed = install(tree)
    t.match(installed, { code: 0, calls: ['install --in-place'] })
    t.match(installed.said, /the node is as it was before/)
  })

  t.test(`${name}: what cannot be undone is not removed`, { skip }, async t => {
    const tree = freshTree()
    tree.write(CONFIG)
    install(tree)
    tree.write('/fails')
    const failed = remove(tree)
    t.strictSame(failed.calls, ['uninstall'])
    t.not(failed.code, 0)
    t.equal(tree.has('/usr/bin/corelift'), true)
    tree.remove('/fails')
    t.match(remove(tree), { code: 0, calls: ['uninstall'] })
    t.equal(tree.has('/usr/bin/corelift'), false)
  })

  t.test(`${name}: in an image, whose kernel is another's, nothing is set up`, { skip }, async t => {
    const tree = freshTree()
    tree.remove('/run/systemd')
    tree.write(CONFIG)
    const installed = install(tree)
    t.match(installed, { code: 0, calls: [] })
    t.match(installed.said, /no systemd runs here/)
    tree.write(STATE, '{\n  "binary": "/usr/bin/corelift"\n}\n')
    const failed = remove(tree)
    t.match(failed.said, /corelift uninstall --root DIRECTORY/)
    t.strictSame([failed.calls, tree.has('/usr/bin/corelift')], [[], true])
  })
}

const noDpkg = MANAGERS[0]!.skip
t.test('dpkg: a purge removes configuration and state', { skip: noDpkg }, async t => {
  const tree = freshTree()
  tree.write(CONFIG)
  tree.write('/run/corelift/budget')
  tree.dpkg('-i', deb)
  t.match(tree.dpkg('-P', 'corelift'), { code: 0, calls: ['uninstall'] })
  const left = ['/etc/corelift', '/var/lib/corelift', '/run/corelift', '/usr/share/doc/corelift']
  t.strictSame(
    left.filter(path => tree.has(path)),
    [],
  )
})

t.test('dpkg: an older glibc than 2.34 is refused', { skip: noDpkg }, async t => {
  const tree = freshTree('2.31-13')
  const refused = tree.dpkg('-i', deb)
  t.match(refused, { code: 1, calls: [] })
  t.match(refused.said, /depends on libc6 \(>= 2\.34\)/)
})
