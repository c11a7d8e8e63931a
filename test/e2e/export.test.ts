// A crash as one archive, opened where nothing of the program is, by nothing but what is in it.
import { execFileSync, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  mkdtempSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { noKernelControl, startCrasher, underPattern } from '../lab/kernel.ts'
import { BINARY, compileFixture, makeNode, noBinary, run, type TestNode } from '../lab/node.ts'
import { cephMissing, startCephWithBucket } from '../lab/ceph.ts'
import { makeSpoolLab } from '../lab/spool-lab.ts'

const noGdb = spawnSync('gdb', ['--version']).error === undefined ? undefined : 'needs gdb'
const skip = noKernelControl() ?? noBinary() ?? noGdb ?? false
/** Of a directory: all of it has to reach gdb as it is. */
const HOSTILE = `a'b"c $(touch x) \`y\``

async function crashOf(node: TestNode, program: string): Promise<void> {
  await underPattern(node.pattern, () => startCrasher([program]).ended)
  await node.waitForManifests(1)
  await node.waitForHandlers()
}

t.test('an export is opened by what is in it, whatever the names', { skip }, async t => {
  const node = makeNode('[binaries]')
  t.teardown(() => node.remove())
  const place = join(node.dir, HOSTILE)
  mkdirSync(place)
  const program = join(place, 'server')
  copyFileSync(compileFixture('crasher', node.dir), program)
  await crashOf(node, program)
  rmSync(program)
  const env = { PATH: process.env['PATH'], HOME: node.dir, CORELIFT_STORE_URL: `file://${node.storeDir}` }
  const [manifest] = node.manifests()
  for (const kind of ['--full', '--mini']) {
    const file = join(node.dir, `export${kind}.tar.zst`)
    const { code, stdout, stderr } = await run(
      BINARY,
      ['export', manifest!.id, kind, '-o', file],
      undefined,
      env,
    )
    t.match({ code, stdout }, { code: 0, stdout: `${file}\n` }, stderr)
    const target = join(node.dir, `elsewhere${kind}`)
    mkdirSync(target)
    execFileSync('tar', ['--zstd', '-xf', file, '-C', target])
    const top = `corelift-server-${manifest!.id}`
    t.same(readdirSync(target), [top])
    const names = execFileSync('tar', ['--zstd', '-tf', file], { encoding: 'utf8' }).trim().split('\n')
    t.ok(names.every(name => name.startsWith(top) && !name.includes('..')))
    const backtrace = spawnSync('./run-gdb', ['-nx', '-batch', '-ex', 'bt'], {
      cwd: join(target, top),
      encoding: 'utf8',
    })
    t.match(backtrace.stdout, /crash_here.*middle.*outer.*main/s, backtrace.stderr)
    t.notOk(existsSync(join(target, top, 'x')), 'nothing was executed')
    t.match(readFileSync(join(target, top, 'README.txt'), 'utf8'), /SIGSEGV/)
    t.match(readFileSync(join(target, top, 'kit', 'proc', 'maps'), 'utf8'), /server/)
    t.equal(existsSync(join(target, top, 'kit', 'mini.core')), kind === '--full')
  }
})

t.test('run-gdb says what to install, and is what shellcheck likes', { skip }, async t => {
  const node = makeNode('[binaries]')
  t.teardown(() => node.remove())
  await crashOf(node, compileFixture('crasher', node.dir))
  const env = { PATH: process.env['PATH'], HOME: node.dir, CORELIFT_STORE_URL: `file://${node.storeDir}` }
  const [manifest] = node.manifests()
  const { code } = await run(BINARY, ['export', manifest!.id, '-o', join(node.dir, 'e')], undefined, env)
  t.equal(code, 0)
  execFileSync('tar', ['--zstd', '-xf', join(node.dir, 'e'), '-C', node.dir])
  const script = join(node.dir, `corelift-crasher-${manifest!.id}`, 'run-gdb')
  const without = spawnSync('/bin/sh', [script], { encoding: 'utf8', env: { PATH: emptyPath(node.dir) } })
  t.match({ status: without.status, stderr: without.stderr }, { status: 127, stderr: /apt install gdb/ })
  const checked = spawnSync('shellcheck', [script], { encoding: 'utf8' })
  if (checked.error === undefined) t.equal(checked.stdout, '')
})

/** With what the script itself uses, and no gdb. */
function emptyPath(dir: string): string {
  const path = join(dir, 'bin')
  mkdirSync(path)
  writeFileSync(join(path, 'dirname'), '#!/bin/sh\nexec /usr/bin/dirname "$@"\n', { mode: 0o755 })
  return path
}

t.test(
  'links need no credentials, and are good for one object',
  { skip: noBinary() ?? cephMissing() ?? false },
  async t => {
    const directory = mkdtempSync(join(tmpdir(), 'corelift-links-'))
    t.teardown(() => rmSync(directory, { recursive: true, force: true }))
    const server = await startCephWithBucket(directory)
    t.teardown(() => server.stop())
    const lab = await makeSpoolLab(t, '', 10, server)
    await lab.crash(Buffer.alloc(0))
    const [manifest] = await lab.manifests()
    const url = (...args: string[]) => lab.people('url', manifest!.id, ...args)
    const all = JSON.parse((await url('--json', '--expires', '10m')).stdout) as {
      object: string
      url: string
    }[]
    t.same(
      all.map(({ object }) => object),
      ['kit', 'manifest'],
    )
    const only = await url('--manifest')
    const response = await fetch(only.stdout.trim())
    t.match(await response.json(), { id: manifest!.id })
    t.match(response.headers.get('content-disposition'), /attachment; filename="manifest\.[\w.-]+\.json"/)
    const altered = await fetch(only.stdout.trim().replace('manifest.json', 'kit.tar.zst'))
    t.equal(altered.status, 403)
    const short = await url('--manifest', '--expires', '1s')
    await new Promise(resolve => setTimeout(resolve, 2500))
    t.equal((await fetch(short.stdout.trim())).status, 403, 'it has expired')
    t.match(await url('--core'), { code: 3, stderr: /is not in/ })
    t.match(await url('--expires', '8d'), { code: 2, stderr: /seven days/ })
  },
)
