// What is wrong with the spool itself: full, read-only, without inodes, damaged, on a disk that goes. A crash then has what is
// left of it, and its record says so. And what sweeps do besides sending.
import { execFileSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Manifest } from '../../src/store/manifest.ts'
import { noKernelControl, startCrasher, underPattern } from '../lab/kernel.ts'
import { compileFixture, noBinary } from '../lab/node.ts'
import { incompressibleCore, makeSpoolLab, sha256Of, SPOOL, type SpoolLab } from '../lab/spool-lab.ts'

const skip = noBinary() ?? false
const noMounts = process.getuid?.() === 0 ? skip : 'not root: file systems are mounted'
const CORE = incompressibleCore(16 << 20)
const DOWN = { match: /./, fault: { kind: 'answer', status: 500, body: '' } } as const

/** A tmpfs of its own at the node's spool. */
function mountSpool(t: Test, { node }: SpoolLab, options: string): string {
  const path = join(node.dir, 'spool')
  mkdirSync(path, { mode: 0o700 })
  execFileSync('mount', ['-t', 'tmpfs', '-o', `mode=0700,${options}`, 'tmpfs', path])
  t.teardown(() => execFileSync('umount', ['-l', path]))
  return path
}

const warningsOf = (manifest: Manifest | undefined): string => (manifest?.warnings ?? []).join('\n')

/** What became of a crash that met no store, once the store was back. */
async function afterOutage(lab: SpoolLab) {
  lab.proxy.set(DOWN)
  const { code } = await lab.crash(CORE)
  lab.proxy.set()
  await lab.sweepAll()
  const [manifest] = await lab.manifests()
  return { code, manifest }
}

t.test(
  'a spool without room for the core has the kit, and the record says what is missing',
  { skip },
  async t => {
    const lab = await makeSpoolLab(t, `${SPOOL}bytes_max = "8MiB"`)
    const { code, manifest } = await afterOutage(lab)
    t.equal(code, 13)
    t.match(manifest, {
      outcome: 'mini',
      core: null,
      reason: 'store',
      kit: { key: 'kit.tar.zst' },
      warnings: [/full/],
    })
    t.match(await lab.verify(), { code: 0 })
  },
)

t.test('a disk that is full has what fits, and nothing of it is half', { skip: noMounts }, async t => {
  const lab = await makeSpoolLab(t)
  mountSpool(t, lab, 'size=7m')
  const { code, manifest } = await afterOutage(lab)
  t.equal(code, 13)
  t.match(manifest, { outcome: 'mini', core: null, reason: 'store' })
  t.match(await lab.verify(), { code: 0 })
})

t.test(
  'without inodes, or read-only, the record is kept beside the other state',
  { skip: noMounts },
  async t => {
    for (const options of ['nr_inodes=4', 'ro']) {
      const lab = await makeSpoolLab(t)
      mountSpool(t, lab, options)
      const { code, manifest } = await afterOutage(lab)
      t.equal(code, 13, options)
      t.match(manifest, { outcome: 'record', core: null }, options)
      t.match(warningsOf(manifest), /not in the spool: spool: spool\.dir = /)
    }
  },
)

const onRootDisk =
  statSync(import.meta.dirname).dev === statSync('/').dev ? skip : 'the checkout is not on the root disk'
t.test('on the root file system it is refused, and the record says so', { skip: onRootDisk }, async t => {
  const onRoot = mkdtempSync(join(import.meta.dirname, '..', '..', 'build', 'spool-'))
  t.teardown(() => rmSync(onRoot, { recursive: true }))
  const lab = await makeSpoolLab(t, `[spool]\ndir = "${onRoot}/spool"`)
  const { manifest } = await afterOutage(lab)
  t.match(manifest, { outcome: 'record' })
  t.match(warningsOf(manifest), /is on the root file system/)
  t.strictSame(readdirSync(onRoot), [])
  t.match(await lab.status(), { spool: { usage: null, problem: /root file system/ } })
})

t.test('a disk that goes takes the core, and comes back with it', { skip: noMounts }, async t => {
  const lab = await makeSpoolLab(t)
  const [disk, path] = [join(lab.node.dir, 'disk'), join(lab.node.dir, 'spool')]
  for (const directory of [disk, path]) mkdirSync(directory, { mode: 0o700 })
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=0700,size=64m', 'tmpfs', disk])
  t.teardown(() => execFileSync('umount', ['-l', disk]))
  execFileSync('mount', ['--bind', disk, path])
  lab.proxy.set(DOWN)
  t.match(await lab.crash(CORE), { code: 13 })
  execFileSync('umount', ['-l', path])
  lab.proxy.set()
  t.match(await lab.sweep(), { report: { sent: [] } })
  t.strictSame(await lab.manifests(), [], 'nothing is known of it')
  execFileSync('mount', ['--bind', disk, path])
  t.teardown(() => execFileSync('umount', ['-l', path]))
  await lab.sweepAll()
  const [manifest] = await lab.manifests()
  t.match(manifest, { outcome: 'full' })
  t.equal(await lab.fetched(manifest!.id), sha256Of(CORE))
})

t.test('what the disk damaged is not sent as if it were whole', { skip }, async t => {
  const damaged = async (which: RegExp) => {
    const lab = await makeSpoolLab(t)
    lab.proxy.set(DOWN)
    await lab.crash(CORE)
    const [id] = lab.spooled()
    const path = join(lab.node.dir, 'spool', id!)
    const file = join(
      path,
      readdirSync(path).find(name => which.test(name))!,
    )
    const bytes = readFileSync(file)
    bytes[bytes.length >> 1]! ^= 1
    writeFileSync(file, bytes)
    lab.proxy.set()
    await lab.sweepAll()
    t.match(await lab.verify(), { code: 0 })
    return (await lab.manifests())[0]
  }
  t.match(await damaged(/^part-00002/), {
    outcome: 'mini',
    reason: 'spool',
    reasonText: /part 2 of \d was damaged/,
  })
  const withoutKit = await damaged(/^kit/)
  t.match(withoutKit, { outcome: 'full', kit: null })
  t.match(warningsOf(withoutKit), /no kit: it was damaged/)
  t.match(await damaged(/^entry/), {
    ...{
      outcome: 'record',
      reason: 'spool',
      reasonText: /its note in the spool was damaged; the kit is whole/,
    },
    workload: { kind: 'unknown' },
  })
})

t.test('what waits for too long is dropped, and the record says so', { skip }, async t => {
  const lab = await makeSpoolLab(t, `${SPOOL}age_max = "60s"`)
  lab.proxy.set(DOWN)
  await lab.crash(CORE)
  const [id] = lab.spooled()
  t.match(await lab.sweep(), { code: 5, report: { expired: [], waiting: [{ id }] } })
  // A crash of a minute and a half ago: what a name of the spool says is its time.
  const older = new Date(Date.now() - 90_000).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')
  const spool = join(lab.node.dir, 'spool')
  renameSync(join(spool, id!), join(spool, `${older}Z${id!.slice(16)}`))
  lab.proxy.set()
  t.match((await lab.sweep()).report, { expired: [`${older}Z${id!.slice(16)}`] })
  t.match(await lab.manifests(), [
    { outcome: 'record', core: null, reason: 'spool', reasonText: /spool\.age_max = 1m/ },
  ])
})

t.test(
  'a store that asks for fewer requests is left alone, by a sweep that is not told otherwise',
  { skip },
  async t => {
    const lab = await makeSpoolLab(t, SPOOL)
    const slow = '<Error><Code>SlowDown</Code></Error>'
    lab.proxy.set({ match: /./, fault: { kind: 'answer', status: 503, body: slow } })
    await lab.crash(CORE)
    t.match(await lab.sweep(), { code: 5 })
    t.match(await lab.status(), { backoff: { times: 1, why: /fewer requests/ } })
    lab.proxy.set()
    const before = lab.proxy.requests.length
    const timed = await lab.node.cli('sweep', '--json')
    t.match(JSON.parse(timed.stdout), { state: 'swept', sent: [], leftAloneUntil: /^20/ })
    t.equal(lab.proxy.requests.length, before, 'it was asked nothing')
    await lab.sweepAll()
    t.match(await lab.status(), { waiting: [], backoff: null, lastSuccess: /^20/ })
  },
)

t.test('a sweep with nothing to do asks the store nothing', { skip }, async t => {
  const lab = await makeSpoolLab(t)
  await lab.sweep() // what the kernel log has since boot
  const before = lab.proxy.requests.length
  t.match(await lab.sweep(), { code: 0, report: { sent: [], waiting: [], dropped: [] } })
  t.equal(lab.proxy.requests.length, before)
})

t.test(
  'crashes that the kernel started no handler for are on record after a sweep, and counted, once',
  { skip: noKernelControl() ?? skip },
  async t => {
    const lab = await makeSpoolLab(t)
    await lab.sweep()
    const crasher = compileFixture('crasher', lab.node.dir)
    await underPattern('|/nonexistent/handler %P', () => startCrasher([crasher]).ended)
    const { report } = await lab.sweep()
    t.match(report, { dropped: [{ cause: 'pipe-failed', comm: 'crasher', count: 1 }] })
    const listed = await lab.node.cli('ls', hostname(), '-n', '_unknown', '--json')
    const found = (JSON.parse(listed.stdout) as { comm: string; reason: string }[]).filter(
      ({ comm, reason }) => comm === 'crasher' && reason === 'pipe-failed',
    )
    t.ok(found.length > 0)
    const budget = JSON.parse((await lab.node.cli('budget', '--json')).stdout) as { counts: unknown[] }
    t.match(
      budget.counts.find(count => (count as { reason: string }).reason === 'pipe-failed'),
      { namespace: '_unknown', rung: 'record' },
    )
    t.match((await lab.sweep()).report, { dropped: [] })
  },
)
