// scripts/bootstrap.sh installs, by dash and busybox, or leaves nothing behind.
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { installed, linesOf, scriptText, startScript, writeScript } from '../lab/shell-script.ts'
import { bootstrap, isRoot, scene, SCRIPT, serve, SHELLS } from './bootstrap-scene.ts'

for (const [name, shell] of Object.entries(SHELLS)) {
  // busybox asks itself who runs it, whatever the PATH.
  const skip = !existsSync(shell[0] ?? '') ? `needs ${name}` : name === 'busybox' && !isRoot && 'needs root'

  t.test(
    `${name}: a local file is installed from memory, and doctor has the last word`,
    { skip },
    async t => {
      const node = scene(t)
      const config = join(node.dir, 'my config.toml')
      writeFileSync(config, '')
      const options = ['--config', config, '--replace-config', '--no-canary']
      const run = await bootstrap(node, ['--file', join(node.dir, 'corelift'), ...options], {
        shell,
        more: { DOCTOR_STATUS: '9' },
      }).ended
      t.equal(run.code, 9)
      t.equal(run.stdout, 'checked\n')
      t.strictSame(node.asked(), [
        `install --prefix ${node.prefix} --config ${config} --replace-config --no-canary`,
        'doctor',
      ])
      t.match(node.ranFrom()[0], join(node.dir, 'staging'))
      t.strictSame(node.staged(), [])
    },
  )

  t.test(`${name}: a script that was cut anywhere does nothing`, { skip }, async t => {
    const node = scene(t)
    const text = scriptText('scripts/bootstrap.sh')
    const lineEnds = [...text.matchAll(/\n/g)].map(({ index }) => index)
    const lastLine = [...'\nmain "$@"\n'].map((_, index) => text.length - 2 - index)
    const cut = join(node.dir, 'cut.sh')
    for (const length of new Set([...lineEnds.slice(0, -1), ...lastLine])) {
      writeFileSync(cut, text.slice(0, length))
      await startScript(
        [...shell, cut, '--file', join(node.dir, 'corelift'), '--prefix', join(node.dir, 'prefix')],
        node.env,
      ).ended
      if (node.asked().length > 0 || node.staged().length > 0) t.fail(`${length} of ${text.length} bytes ran`)
    }
    t.strictSame(node.asked(), [])
  })
}

for (const downloader of ['curl', 'wget', 'busybox']) {
  const skip = installed(downloader) === undefined && `needs ${downloader}`
  const shell = downloader === 'busybox' ? SHELLS.busybox : SHELLS.dash
  const needsRoot = downloader === 'busybox' && !isRoot && 'needs root'

  t.test(
    `${downloader}: downloads once, and not again what is installed`,
    { skip: skip || needsRoot },
    async t => {
      const node = scene(t, downloader)
      const mirror = await serve(t, (_, response) => response.end(node.binary))
      const args = [
        '--mirror',
        `${mirror.url}/corelift/`,
        '--version',
        '1.2.3',
        '--sha256',
        node.sha256.toUpperCase(),
      ]
      t.equal((await bootstrap(node, args, { shell }).ended).code, 0)
      t.strictSame(mirror.requests, ['/corelift/1.2.3/corelift-linux-x86_64'])
      const again = await bootstrap(node, args, { shell }).ended
      t.equal(again.code, 0, again.stderr)
      t.equal(mirror.requests.length, 1)
      t.strictSame(node.asked(), [
        `install --prefix ${node.prefix}`,
        'doctor',
        `install --prefix ${node.prefix}`,
        'doctor',
      ])
      t.strictSame(node.staged(), [])
    },
  )

  t.test(
    `${downloader}: goes through the proxy that the environment names`,
    { skip: skip || needsRoot },
    async t => {
      const node = scene(t, downloader)
      const proxy = await serve(t, (_, response) => response.end(node.binary))
      const url = 'http://mirror.invalid/corelift'
      const more = { http_proxy: proxy.url }
      const run = await bootstrap(node, ['--url', url, '--sha256', node.sha256], { shell, more }).ended
      t.equal(run.code, 0, run.stderr)
      t.strictSame(proxy.requests, [url])
    },
  )

  t.test(
    `${downloader}: of another sha256 nothing runs and nothing stays`,
    { skip: skip || needsRoot },
    async t => {
      const node = scene(t, downloader)
      const mirror = await serve(t, (_, response) => response.end('#!/bin/sh\ntouch /ran\n'))
      const run = await bootstrap(node, ['--url', mirror.url, '--sha256', node.sha256], { shell }).ended
      t.equal(run.code, 6)
      t.match(run.stderr, /has sha256 [0-9a-f]{64}, not/)
      t.strictSame(node.asked(), [])
      t.strictSame(node.staged(), [])
      t.notOk(existsSync(node.prefix))
    },
  )
}

t.test('an older version makes way for the one that is asked for', async t => {
  const node = scene(t)
  mkdirSync(join(node.prefix, 'bin'), { recursive: true })
  writeScript(join(node.prefix, 'bin', 'corelift'), 'exit 1')
  const args = ['--file', '-', '--sha256', node.sha256]
  const run = await bootstrap(node, args, { stdin: node.binary.toString() }).ended
  t.equal(run.code, 0, run.stderr)
  t.strictSame(node.asked(), [`install --prefix ${node.prefix}`, 'doctor'])
})

t.test('a mirror that comes up late is waited for, with growing pauses', async t => {
  const node = scene(t)
  let failures = 2
  const mirror = await serve(t, (_, response) => {
    if (failures-- > 0) response.statusCode = 503
    response.end(node.binary)
  })
  const run = await bootstrap(node, ['--url', mirror.url, '--sha256', node.sha256]).ended
  t.equal(run.code, 0, run.stderr)
  t.strictSame(linesOf(node.env['SLEPT'] ?? ''), ['2', '4'])
})

t.test('a mirror that stays away ends it, and nothing stays', async t => {
  const node = scene(t)
  const mirror = await serve(t, (_, response) => response.writeHead(404).end())
  const run = await bootstrap(node, ['--url', mirror.url, '--sha256', node.sha256]).ended
  t.equal(run.code, 5)
  t.match(run.stderr, `cannot download ${mirror.url}`)
  t.equal(mirror.requests.length, 6)
  t.strictSame(node.staged(), [])
})

t.test('interrupted while it downloads, nothing runs and nothing stays', async t => {
  const node = scene(t)
  let begun: () => void
  const beginning = new Promise<void>(resolve => (begun = resolve))
  const mirror = await serve(t, (_, response) => {
    response.write(node.binary)
    begun()
  })
  const { child, ended } = bootstrap(node, ['--url', mirror.url, '--sha256', node.sha256])
  await beginning
  process.kill(-(child.pid ?? 0), 'SIGTERM')
  t.equal((await ended).code, 143)
  t.strictSame(node.asked(), [])
  t.strictSame(node.staged(), [])
})

t.test('an installation that fails is what it ends with; doctor is not asked', async t => {
  const node = scene(t)
  const more = { INSTALL_STATUS: '4' }
  const run = await bootstrap(node, ['--file', join(node.dir, 'corelift')], { more }).ended
  t.equal(run.code, 4)
  t.equal(node.asked().length, 1)
  t.strictSame(node.staged(), [])
})

t.test(
  'where memory is mounted noexec, it runs from beside the prefix',
  { skip: !isRoot && 'needs root' },
  async t => {
    const node = scene(t)
    const mounts = [node.env['TMPDIR'], '/run', '/dev/shm']
    const noexec = mounts.map(place => `mount -t tmpfs -o noexec,size=300m tmpfs ${place}`).join(' && ')
    const command = `${noexec} && PATH=${node.env['PATH']} exec ${SHELLS.dash[0]} ${SCRIPT} --prefix ${node.prefix} --file ${node.dir}/corelift`
    const env = { ...node.env, PATH: `/usr/bin:/bin:/usr/sbin:/sbin` }
    const run = await startScript(['/usr/bin/unshare', '--mount', 'sh', '-c', command], env).ended
    t.equal(run.code, 0, run.stderr)
    t.match(node.ranFrom()[0], join(node.dir, 'opt', 'corelift-bootstrap.'))
    t.strictSame(readdirSync(join(node.dir, 'opt')), ['prefix'])
  },
)
