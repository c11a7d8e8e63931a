// The .deb with the real binary, on a node with systemd-coredump, under systemd: set up, upgraded and restored by dpkg alone.
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { buildDeb } from '../../scripts/package/deb.ts'
import { bootInstallNode, buildInstallTree, STORE_DIR, type InstallNode } from '../lab/install-node.ts'
import { nodeSnapshot } from '../lab/install-snapshot.ts'
import { noKernelControl, underPattern } from '../lab/kernel.ts'
import { BINARY, noBinary } from '../lab/node.ts'
import { whyNoNspawn } from '../lab/nspawn.ts'

const needs = ['nsenter', 'python3', 'dpkg-deb']
const skip = noKernelControl() ?? noBinary() ?? whyNoNspawn(needs) ?? false
const PATTERN = '|/usr/bin/corelift handle %P %I %s %t %c %d %u %g %h %F'
const DEBS = '/root'

/** @returns Its path in the node. */
function deb(node: InstallNode, work: string, version: string): string {
  const source = {
    root: join(import.meta.dirname, '..', '..'),
    binary: BINARY,
    version,
    epochSeconds: 1_795_000_000,
  }
  const file = buildDeb(source, join(work, version), join(work, 'debs'), 'fast')
  const name = `${DEBS}/${version}.deb`
  copyFileSync(file, join(node.root, name))
  return name
}

t.test('a node on which dpkg installs the package', { skip }, async t => {
  const node = await bootInstallNode(t, await buildInstallTree(t))
  const work = t.testdir()
  const [first, second] = [deb(node, work, '1.0.0'), deb(node, work, '1.0.1')]
  const before = await nodeSnapshot(node)
  await underPattern(node.pattern, async () => {
    await t.test('without a configuration nothing changes', async t => {
      t.match(await node.run('dpkg', '-i', first), { code: 0, stderr: /write \/etc\/corelift\/config\.toml/ })
      t.same(await nodeSnapshot(node), before)
      t.equal((await node.run('dpkg', '-P', 'corelift')).code, 0)
    })
    const config = `[store]\\nurl = "file://${STORE_DIR}"\\n`
    await node.sh(`mkdir /etc/corelift && printf '${config}' >/etc/corelift/config.toml`)
    const configured = await nodeSnapshot(node)
    await t.test('with one the kernel runs the package’s binary, and a canary proves it', async t => {
      const { code, stdout, stderr } = await node.run('dpkg', '-i', first)
      t.equal(code, 0, stderr)
      t.match(stdout, /canary \S+: its core of .* was read back from the store, sound/)
      t.equal(node.sysctls()['kernel.core_pattern'], PATTERN)
    })
    await t.test('an upgrade keeps it', async t => {
      t.equal((await node.run('dpkg', '-i', second)).code, 0)
      t.equal(node.sysctls()['kernel.core_pattern'], PATTERN)
      t.match(await node.sh('corelift canary'), /sound/)
    })
    await t.test('removal restores what was there', async t => {
      const { code, stderr } = await node.run('dpkg', '-r', 'corelift')
      t.equal(code, 0, stderr)
      t.same(await nodeSnapshot(node), configured)
    })
    await t.test('a purge leaves nothing', async t => {
      t.equal((await node.run('dpkg', '-P', 'corelift')).code, 0)
      t.same(await nodeSnapshot(node), before)
    })
  })
})
