import { chmodSync, chownSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { binaryCheck } from '../../../src/node/doctor/binary-check.ts'
import { configCheck } from '../../../src/node/doctor/config-check.ts'
import { driftCheck } from '../../../src/node/doctor/drift-check.ts'
import { lastSweepCheck, rivalsCheck, sweepTimerCheck } from '../../../src/node/doctor/unit-checks.ts'
import { encodeInstallState } from '../../../src/node/install-state.ts'
import { digestOf } from '../../../src/node/state-after.ts'
import { fileOf } from '../../../src/node/paths.ts'
import type { Tree } from '../tree.ts'
import { examined, fakeNode, NOTHING_WAITS, PATTERN } from './examining.ts'

const unable = process.getuid?.() === 0 ? false : 'needs root: whose files they are is the question'
const ROOT_MOUNT = '22 1 8:1 / / rw,relatime - ext4 /dev/vda1 rw\n'
const LIBEXEC = '/usr/local/libexec/corelift/1.0-abc/corelift'
const BINARY: Tree = {
  '/proc/sys/kernel/core_pattern': `${PATTERN}\n`,
  '/proc/1/root': { link: '../..' },
  '/proc/1/mountinfo': ROOT_MOUNT,
  '/proc/self/mountinfo': ROOT_MOUNT,
  '/usr/local/bin/corelift': { link: '../libexec/corelift/1.0-abc/corelift' },
  [LIBEXEC]: { text: '\x7fELF', mode: 0o755 },
}

function binaryNode(t: Test, tree: Tree = {}) {
  return fakeNode(t, { tree: { ...BINARY, ...tree } })
}

t.test(
  'a binary that the kernel can run, and only root can change, is in order',
  { skip: unable },
  async t => {
    t.match(await examined(t, binaryCheck, binaryNode(t)), { result: 'ok', found: new RegExp(LIBEXEC) })
  },
)

t.test('its links are followed below the root of PID 1, absolute ones too', { skip: unable }, async t => {
  const node = binaryNode(t, { '/usr/local/bin/corelift': { link: LIBEXEC } })
  t.match(await examined(t, binaryCheck, node), { result: 'ok', found: new RegExp(LIBEXEC) })
  rmSync(path.join(node.root, '/usr/local/bin/corelift'))
  symlinkSync('corelift', path.join(node.root, '/usr/local/bin/corelift'))
  t.match(await examined(t, binaryCheck, node), { result: 'fail', found: /not there/ })
})

t.test('what keeps the kernel from running it is told', { skip: unable }, async t => {
  t.match(await examined(t, binaryCheck, binaryNode(t, { [LIBEXEC]: { text: '', mode: 0o644 } })), {
    result: 'fail',
    found: /not executable/,
    fix: `chmod 0755 ${LIBEXEC}`,
  })
  const noexec = `${ROOT_MOUNT}23 22 8:2 / /usr/local rw,noexec - ext4 /dev/vdb rw\n`
  t.match(await examined(t, binaryCheck, binaryNode(t, { '/proc/1/mountinfo': noexec })), {
    result: 'fail',
    found: /\/usr\/local, which is mounted noexec/,
  })
})

t.test('whoever else can write on the way could run as root', { skip: unable }, async t => {
  const node = binaryNode(t)
  const at = (name: string) => path.join(node.root, name)
  chmodSync(at('/usr/local/libexec'), 0o777)
  t.match(await examined(t, binaryCheck, node), {
    result: 'fail',
    found: '/usr/local/libexec can be changed by others than root',
  })
  chmodSync(at('/usr/local/libexec'), 0o1777)
  t.match(await examined(t, binaryCheck, node), { result: 'ok' }, 'a sticky directory keeps what is root’s')
  chownSync(at(LIBEXEC), 1000, 1000)
  t.match(await examined(t, binaryCheck, node), {
    result: 'fail',
    found: `${LIBEXEC} can be changed by others than root`,
  })
})

t.test('a binary of another mount namespace is of no use', { skip: unable }, async t => {
  const node = binaryNode(t, {
    '/proc/1/root': { link: '../../../elsewhere' },
    '/../elsewhere/etc/hostname': 'node',
  })
  t.match(await examined(t, binaryCheck, node), { result: 'fail', found: /in this mount namespace only/ })
})

t.test('a PID 1 that nobody may look into is known by its mounts', { skip: unable }, async t => {
  const tree = { '/proc/1/root': { link: 'nowhere' } }
  t.match(await examined(t, binaryCheck, binaryNode(t, tree)), { result: 'ok' })
  const other = { ...tree, '/proc/self/mountinfo': ROOT_MOUNT.replace('22', '99') }
  t.match(await examined(t, binaryCheck, binaryNode(t, other)), { result: 'skipped' })
})

const UNIT = '/etc/systemd/system/corelift-sweep.timer'

function installedNode(t: Test, tree: Tree) {
  const state = encodeInstallState({
    format: 1,
    version: '1.0',
    time: '2026-11-01T00:00:00.000Z',
    binary: '/usr/local/bin/corelift',
    before: { sysctls: {}, paths: {}, madeDirectories: [], activeUnits: [] },
    installed: {
      sysctls: { 'kernel.core_pipe_limit': '256' },
      paths: { [UNIT]: digestOf(fileOf('[Timer]\n')), '/etc/link': 'link:../x' },
    },
  })
  return fakeNode(t, { tree: { '/var/lib/corelift/install.json': state, ...tree } })
}

t.test('what was changed since the installation is named', async t => {
  const intact: Tree = {
    [UNIT]: '[Timer]\n',
    '/etc/link': { link: '../x' },
    '/proc/sys/kernel/core_pipe_limit': '256\n',
  }
  const drift = (tree: Tree) => examined(t, driftCheck, installedNode(t, { ...intact, ...tree }))
  t.match(await drift({}), { result: 'ok', found: /as corelift 1\.0 left it/ })
  t.match(await drift({ [UNIT]: '[Timer]\n#\n' }), { result: 'warn', found: `${UNIT} differs` })
  t.match(await drift({ '/etc/link': { link: '../y' } }), { result: 'warn', found: '/etc/link differs' })
  t.match(await drift({ '/proc/sys/kernel/core_pipe_limit': '4\n' }), {
    result: 'warn',
    found: 'kernel.core_pipe_limit is 4',
  })
  const { [UNIT]: _, ...without } = intact
  t.match(await examined(t, driftCheck, installedNode(t, without)), {
    result: 'fail',
    found: `${UNIT} is gone`,
  })
  t.match(await examined(t, driftCheck, fakeNode(t, {})), { result: 'skipped' })
  t.match(await examined(t, driftCheck, fakeNode(t, { tree: { '/var/lib/corelift/install.json': '{' } })), {
    result: 'fail',
  })
})

t.test('a configuration with problems is told by the first of them', async t => {
  const node = fakeNode(t, {
    config: '[store]\nurl = "s3://bucket/c"\n[budget]\nslots = "many"\nslotz = 4\n',
  })
  t.match(await examined(t, configCheck, node), {
    result: 'fail',
    found: /config\.toml:4: budget\.slots.*\(2 problems in all\)/,
    fix: `corelift config check ${node.configFile}`,
  })
})

t.test(
  'a configuration that others can change, or credentials that they can read',
  { skip: unable },
  async t => {
    const node = fakeNode(t, {})
    chmodSync(node.configFile, 0o644)
    t.match(await examined(t, configCheck, node), { result: 'ok' })
    chmodSync(node.configFile, 0o666)
    t.match(await examined(t, configCheck, node), { result: 'fail', found: /changed by others/ })
    chmodSync(node.configFile, 0o644)
    const credentialsFile = path.join(node.root, 'credentials')
    writeFileSync(credentialsFile, '', { mode: 0o644 })
    const config = { ...node.config, store: { ...node.config.store, credentialsFile } }
    t.match(await examined(t, configCheck, { ...node, config }), {
      result: 'warn',
      fix: `chmod 0600 ${credentialsFile}`,
    })
  },
)

t.test('a pattern that names another configuration is noted', { skip: unable }, async t => {
  const pattern = PATTERN.replace('handle', 'handle --config /etc/other.toml')
  const node = fakeNode(t, { tree: { '/proc/sys/kernel/core_pattern': pattern } })
  chmodSync(node.configFile, 0o644)
  t.match(await examined(t, configCheck, node), { result: 'warn', found: /names \/etc\/other\.toml/ })
})

const SYSTEMD: Tree = { '/run/systemd/system/x': '' }
const show = (id: string, load: string, file: string, active: string) =>
  `Id=${id}\nLoadState=${load}\nActiveState=${active}\nUnitFileState=${file}`

t.test('the timer has to be enabled, and to run', async t => {
  const timer = (text: string | undefined, tree = SYSTEMD) =>
    examined(t, sweepTimerCheck, fakeNode(t, { tree, systemctl: () => text }))
  const id = 'corelift-sweep.timer'
  t.match(await timer(show(id, 'loaded', 'enabled', 'active')), { result: 'ok' })
  t.match(await timer(show(id, 'loaded', 'disabled', 'active')), {
    result: 'fail',
    fix: `systemctl enable --now ${id}`,
  })
  t.match(await timer(show(id, 'loaded', 'enabled', 'inactive')), { result: 'fail' })
  t.match(await timer(show(id, 'not-found', '', 'inactive')), { result: 'fail', fix: 'corelift install' })
  t.match(await timer(undefined), { result: 'fail', found: 'systemctl does not answer' })
  t.match(await timer(undefined, {}), { result: 'skipped' })
})

t.test('units that would take the pattern back are named, with what stops them', async t => {
  const asked: string[] = []
  const rivals = (...units: string[]) =>
    examined(
      t,
      rivalsCheck,
      fakeNode(t, {
        tree: { ...SYSTEMD, '/usr/lib/systemd/system/apport.service': '' },
        systemctl: args => {
          asked.push(...args)
          return units.join('\n\n')
        },
      }),
    )
  const register = show('systemd-coredump-register.service', 'not-found', '', 'inactive')
  t.match(await rivals(register, show('apport.service', 'loaded', 'enabled', 'active')), {
    result: 'fail',
    found: 'apport.service',
    fix: 'systemctl mask --now apport.service; sysctl -p /etc/sysctl.d/60-corelift.conf',
  })
  t.ok(asked.includes('apport.service') && asked.includes('systemd-coredump-register.service'))
  t.match(await rivals(register, show('apport.service', 'masked', 'masked', 'inactive')), { result: 'ok' })
})

t.test('a sweep that is minutes late is a failure', async t => {
  const swept = (lastSweep: string | null, uptime = '9000.00 1.0\n') =>
    examined(
      t,
      lastSweepCheck,
      fakeNode(t, {
        tree: { '/proc/uptime': uptime },
        changes: {
          status: async () => ({ ...NOTHING_WAITS, lastSweep }),
        },
      }),
    )
  t.match(await swept('2026-11-23T20:44:00Z'), { result: 'ok' })
  t.match(await swept('2026-11-23T20:30:00Z'), { result: 'fail', found: /15 minutes ago/ })
  t.match(await swept(null), { result: 'fail', found: 'none since boot' })
  t.match(await swept(null, '60.00 1.0\n'), { result: 'ok' })
})
