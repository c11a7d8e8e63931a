// Handlers and sweeps that are killed at one point after the other: what is left is finished, or on record, and never counts
// as more than it is.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { cephMissing, startCephWithBucket } from '../lab/ceph.ts'
import { noBinary } from '../lab/node.ts'
import type { S3Server } from '../lab/s3-embedded.ts'
import {
  incompressibleCore,
  killed,
  makeSpoolLab,
  sha256Of,
  SPOOL,
  type SpoolLab,
  until,
} from '../lab/spool-lab.ts'

const skip = noBinary() ?? cephMissing() ?? false
/** One for all tests of this file: it lists unfinished uploads, which the embedded one does not. */
let server: S3Server

t.before(async () => {
  if (skip !== false) return
  const directory = mkdtempSync(join(tmpdir(), 'corelift-killed-'))
  server = await startCephWithBucket(directory)
  t.teardown(async () => {
    await server.stop()
    rmSync(directory, { recursive: true })
  })
})
const CORE = incompressibleCore(32 << 20)

const seen = ({ proxy }: SpoolLab, what: RegExp) => proxy.requests.some(line => what.test(line))
const entryHas = (lab: SpoolLab, what: RegExp) =>
  lab.spooled().some(id => lab.filesOf(id).some(name => what.test(name)))

/** In the order in which a handler comes by. */
const POINTS: readonly [where: string, reached: (lab: SpoolLab) => boolean, quick?: true][] = [
  ['before it has done anything', () => true],
  ['when its entry is there', lab => lab.spooled().length > 0],
  ['when its note is there', lab => entryHas(lab, /^entry\.json$/)],
  ['while it sends the kit', lab => seen(lab, /^PUT .*kit\.tar\.zst/)],
  ['while it begins the upload', lab => seen(lab, /^POST .*uploads/)],
  ['while it sends the first part', lab => seen(lab, /partNumber=1/)],
  ['when a part is in the spool', lab => entryHas(lab, /^part-/)],
  ['while it writes to the spool', lab => entryHas(lab, /^\.new-part/)],
  ['while it sends a later part', lab => seen(lab, /partNumber=2/)],
  ['while it completes the upload', lab => seen(lab, /^POST .*uploadId=/), true],
  ['while it sends the manifest', lab => seen(lab, /^PUT .*manifest\.json/), true],
  ['while it sends the index entry', lab => seen(lab, /^PUT .*\/index\//), true],
]

for (const [where, reached, quick] of POINTS) {
  t.test(`a handler that is killed ${where} leaves nothing half-done that counts`, { skip }, async t => {
    const lab = await makeSpoolLab(t, SPOOL, 20, server)
    // So slow that parts go to the spool.
    if (!quick) lab.proxy.set({ match: /partNumber=/, fault: { kind: 'trickle', bytesPerSecond: 8_000_000 } })
    const handler = lab.startCrash(CORE)
    t.ok(await until(() => reached(lab)), 'the point is reached')
    await killed(handler)
    lab.proxy.set()

    await lab.sweepAll()
    const [manifest, ...others] = await lab.manifests()
    t.strictSame(others, [])
    if (manifest?.core) t.equal(await lab.fetched(manifest.id), sha256Of(CORE))
    else if (manifest) t.match(manifest, { reason: 'killed', outcome: manifest.mini ? 'mini' : 'record' })
    else t.equal(where, 'before it has done anything', 'all others are on record')
    t.strictSame(lab.spooled(), [])
    if (where === 'while it completes the upload') {
      // The store may have done it, and nobody was there to say so: the core is there, and is found.
      t.match(await lab.verify('--repair'), { code: 0 })
      const [mended] = await lab.manifests()
      if (mended?.core) t.equal(await lab.fetched(mended.id), sha256Of(CORE))
    }
    t.strictSame((await lab.verify()).report.findings, [], 'no object, and no upload, is left over')
  })
}

for (let requests = 1; requests <= 12; requests++) {
  t.test(
    `a sweep that is killed at its request ${requests} is gone on with by the next`,
    { skip },
    async t => {
      const lab = await makeSpoolLab(t, SPOOL, 20, server)
      lab.proxy.set({ match: /./, fault: { kind: 'answer', status: 500, body: '' } })
      t.match(await lab.crash(CORE), { code: 13 })
      lab.proxy.set({ match: /partNumber=/, fault: { kind: 'trickle', bytesPerSecond: 50_000_000 } })
      const before = lab.proxy.requests.length
      // Records of what the kernel dropped are swept too; what is of this crash counts.
      const mine = () =>
        lab.proxy.requests.slice(before).filter(line => line.includes(lab.spooled()[0] ?? 'none'))
      const [id] = lab.spooled()
      const sweep = spawn(lab.node.binary, ['sweep', '--now', '--config', lab.node.configFile], {
        stdio: 'ignore',
      })
      await until(() => mine().length >= requests || sweep.exitCode !== null)
      await killed(sweep)
      lab.proxy.set()

      t.match(await lab.sweep(), { code: 0 })
      const [manifest] = await lab.manifests()
      t.match(manifest, { id, outcome: 'full', core: { complete: true }, delivery: { by: 'sweep' } })
      t.equal(await lab.fetched(id!), sha256Of(CORE))
      t.strictSame(lab.spooled(), [])
      t.strictSame((await lab.verify()).report.findings, [])
      const sends = lab.proxy.requests.slice(before).filter(line => /partNumber=/.test(line))
      const parts = new Set(sends.map(line => /partNumber=(\d+)/.exec(line)![1]))
      t.ok(sends.length <= parts.size + 1, 'no part was sent again but the one on its way')
    },
  )
}

t.test('of two sweeps at once one does the work, or each its part of it', { skip }, async t => {
  const lab = await makeSpoolLab(t, SPOOL, 20, server)
  lab.proxy.set({ match: /./, fault: { kind: 'answer', status: 500, body: '' } })
  t.match(await lab.crash(CORE), { code: 13 })
  lab.proxy.set()
  const before = lab.proxy.requests.length
  const sweeps = await Promise.all([lab.sweep(), lab.sweep(), lab.sweep()])
  t.strictSame(
    sweeps.map(({ code }) => code),
    [0, 0, 0],
  )
  t.ok(sweeps.some(({ report }) => report.state === 'busy'))
  const [manifest] = await lab.manifests()
  t.equal(await lab.fetched(manifest!.id), sha256Of(CORE))
  const sends = lab.proxy.requests.slice(before).filter(line => /partNumber=/.test(line))
  t.equal(sends.length, new Set(sends.map(line => /partNumber=(\d+)/.exec(line)![1])).size)
})

t.test('a reboot takes what was on tmpfs, not what is in the spool', { skip }, async t => {
  const lab = await makeSpoolLab(t, SPOOL, 20, server)
  lab.proxy.set({ match: /./, fault: { kind: 'answer', status: 503, body: '' } })
  t.match(await lab.crash(CORE), { code: 13 })
  // And one whose handler the reboot took.
  lab.proxy.set({ match: /partNumber=/, fault: { kind: 'trickle', bytesPerSecond: 1_000_000 } })
  const handler = lab.startCrash(CORE)
  await until(() => seen(lab, /partNumber=1/) && lab.spooled().length === 2)
  await killed(handler)
  rmSync(join(lab.node.dir, 'state'), { recursive: true })
  lab.proxy.set()

  await lab.sweepAll()
  const manifests = await lab.manifests()
  const whole = manifests.find(({ core }) => core !== null)
  t.equal(manifests.length, 2)
  t.equal(await lab.fetched(whole!.id), sha256Of(CORE))
  t.match(
    manifests.find(({ core }) => core === null),
    { reason: 'killed', outcome: 'mini' },
  )
  t.strictSame((await lab.verify()).report.findings, [], 'the upload is gone with its handler')
})
