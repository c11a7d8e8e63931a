// Executables and libraries of real crashes, through the real kernel: in the store once for all, with all that a debugger
// needs to find them.
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Manifest, ManifestFile } from '../../src/store/manifest.ts'
import { noKernelControl, startCrasher, underPattern } from '../lab/kernel.ts'
import { compileFixture, makeNode, noBinary, sha256OfFile, type TestNode } from '../lab/node.ts'
import { makeSpoolLab, SPOOL } from '../lab/spool-lab.ts'

const skip = noKernelControl() ?? noBinary() ?? false
const PYTHON = ['python3', '-c', 'import os, ssl, ctypes; os.abort()']

/** Crashes a program. @returns The record, once all is sent that is to be. */
async function recordOf(node: TestNode, command: readonly string[]): Promise<Manifest> {
  const before = new Set(node.manifests().map(({ id }) => id))
  await underPattern(node.pattern, () => startCrasher(command).ended)
  await node.waitForManifests(before.size + 1)
  await node.waitForHandlers()
  return node.manifests().find(({ id }) => !before.has(id))!
}

/** Decompressed by zstd itself. */
function contentOf(node: TestNode, { key }: ManifestFile): Buffer {
  return execFileSync('zstd', ['-dcq', join(node.storeDir, key!)], { maxBuffer: 1 << 30 })
}

const executableOf = ({ files }: Manifest): ManifestFile => files!.mapped[files!.executable!]!
const stored = (node: TestNode): string[] => {
  const directory = join(node.storeDir, 'buildid')
  return existsSync(directory) ? readdirSync(directory) : []
}

t.test('every mapped executable and library is stored by its build-id, once', { skip }, async t => {
  const node = makeNode('[binaries]')
  t.teardown(() => node.remove())
  const first = await recordOf(node, PYTHON)
  const { mapped, linkMap, mappedOmitted } = first.files!
  t.ok(mapped.length > 10, `${mapped.length} files`)
  t.equal(mappedOmitted, 0)
  for (const file of mapped) {
    t.equal(file.key, `buildid/${file.buildId}/executable`)
    t.ok(contentOf(node, file).equals(readFileSync(file.path)), file.path)
  }
  t.equal(executableOf(first).path, first.process!.exe)
  const names = linkMap.map(({ name, file }) => `${name} ${mapped[file]!.path}`)
  t.ok(
    names.some(name => /^\/lib.*libc\.so\.6 .*libc\.so\.6$/.test(name)),
    names.join('\n'),
  )

  const written = () =>
    stored(node).map(id => statSync(join(node.storeDir, 'buildid', id, 'executable')).mtimeMs)
  const before = written()
  const second = await recordOf(node, PYTHON)
  const keys = ({ files }: Manifest) => files!.mapped.map(({ key }) => key).sort()
  t.same(keys(second), keys(first))
  t.same(written(), before, 'nothing was written again')

  t.comment('another node, which knows of none')
  rmSync(join(node.dir, 'state'), { recursive: true })
  await recordOf(node, PYTHON)
  t.same(written(), before, 'it asked for each')
})

t.test('a file without a build-id is stored by its content', { skip }, async t => {
  const node = makeNode('[binaries]')
  t.teardown(() => node.remove())
  const program = compileFixture('crasher', node.dir, '-Wl,--build-id=none')
  const file = executableOf(await recordOf(node, [program]))
  const sha256 = await sha256OfFile(program)
  t.match(file, { sha256, key: `buildid/sha256-${sha256}/executable`, buildId: undefined })
  t.ok(contentOf(node, file).equals(readFileSync(program)))
})

t.test('an executable that was deleted while it ran is stored', { skip }, async t => {
  const node = makeNode('[binaries]')
  t.teardown(() => node.remove())
  const program = compileFixture('crasher', node.dir)
  const content = readFileSync(program)
  const crasher = await underPattern(node.pattern, async () => {
    const { child, ended } = startCrasher([program, '--sleep-ms', '1000'])
    await new Promise(resolve => setTimeout(resolve, 300))
    rmSync(program)
    await ended
    return child
  })
  t.ok(crasher.pid)
  const [manifest] = await node.waitForManifests(1)
  await node.waitForHandlers()
  const file = executableOf(manifest!)
  t.equal(file.path, `${program} (deleted)`)
  t.ok(contentOf(node, file).equals(content))
})

t.test('two programs of the same path are two files', { skip }, async t => {
  const node = makeNode('[binaries]')
  t.teardown(() => node.remove())
  const place = join(node.dir, 'app')
  const files: ManifestFile[] = []
  for (const flag of ['-DONE', '-O2']) {
    copyFileSync(
      compileFixture('crasher', node.dir, flag, `-Wl,--build-id=0x${flag === '-DONE' ? 'aa' : 'bb'}`),
      place,
    )
    files.push(executableOf(await recordOf(node, [place])))
  }
  t.same(
    files.map(({ path, key }) => [path, key]),
    [
      [place, 'buildid/aa/executable'],
      [place, 'buildid/bb/executable'],
    ],
  )
  t.notOk(contentOf(node, files[0]!).equals(contentOf(node, files[1]!)))
})

t.test('bounds hold: of one file, of a crash, of an hour', { skip }, async t => {
  const bounded = async (config: string, crashes: number): Promise<[TestNode, Manifest]> => {
    const node = makeNode(`[binaries]\n${config}`)
    t.teardown(() => node.remove())
    let manifest: Manifest | undefined
    for (let crash = 0; crash < crashes; crash++) manifest = await recordOf(node, PYTHON)
    return [node, manifest!]
  }
  const sizes = (node: TestNode, { files }: Manifest) =>
    files!.mapped.flatMap(file =>
      file.key && existsSync(join(node.storeDir, file.key)) ? [file.bytes!] : [],
    )

  const [small, ofSmall] = await bounded('file_bytes_max = "1MiB"', 1)
  t.ok(sizes(small, ofSmall).every(bytes => bytes <= 1 << 20))
  const large = ofSmall.files!.mapped.filter(({ bytes }) => bytes! > 1 << 20)
  t.ok(large.length > 0)
  for (const file of large)
    t.match(file, { why: /binaries\.file_bytes_max/, key: undefined, buildId: /^[0-9a-f]+$/ })

  const { stdout } = await small.cli('info', ofSmall.id)
  t.match(stdout, /binaries {2}\d+ executables and libraries, /)
  t.match(stdout, /not stored {2}\/.*: larger than binaries\.file_bytes_max/)

  const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0)
  const [once, ofOnce] = await bounded('crash_bytes_max = "2MiB"', 1)
  const sent = sum(sizes(once, ofOnce))
  t.ok(sent > 0 && sent <= 2 << 20, `${sent} bytes`)
  const [often, ofOften] = await bounded('hour_bytes_max = "2MiB"', 2)
  t.ok(sum(sizes(often, ofOften)) <= 2 << 20)
  const [off, ofOff] = await bounded('enabled = false', 1)
  t.same(stored(off), [])
  t.match(ofOff.files!.mapped[0], { why: /binaries\.enabled/, buildId: /^[0-9a-f]+$/ })
})

t.test(
  'what a store that is away did not take waits in the spool, and a sweep sends it',
  { skip },
  async t => {
    const lab = await makeSpoolLab(t, `${SPOOL}[binaries]`)
    const { node, proxy } = lab
    const program = compileFixture('crasher', node.dir)
    const crash = async () => {
      await underPattern(node.pattern, () => startCrasher([program]).ended)
      await node.waitForHandlers()
    }
    const waiting = () => {
      const directory = join(node.dir, 'spool', 'files')
      return existsSync(directory) ? readdirSync(directory) : []
    }
    proxy.set({ match: /./, fault: { kind: 'answer', status: 500, body: '' } })
    await crash()
    const files = waiting()
    t.ok(files.length >= 3, files.join('\n'))
    await crash()
    t.same(waiting(), files, 'each once')

    proxy.set()
    const { report } = await lab.sweep()
    t.match(report, { state: 'swept', debugFiles: files.length })
    t.same(waiting(), [])
    const manifests = await lab.manifests()
    t.equal(manifests.length, 2)
    for (const { files } of manifests)
      for (const { key } of files!.mapped) t.ok(await lab.has(key!), `${key}`)

    t.match((await lab.sweep()).report, { debugFiles: 0 })
  },
)

t.test('without a spool nothing waits, and the next crash brings it', { skip }, async t => {
  const lab = await makeSpoolLab(t, '[binaries]')
  const { node, proxy } = lab
  const program = compileFixture('crasher', node.dir)
  const crash = async () => {
    await underPattern(node.pattern, () => startCrasher([program]).ended)
    await node.waitForHandlers()
  }
  proxy.set({ match: /buildid/, fault: { kind: 'answer', status: 500, body: '' } })
  await crash()
  const [manifest] = await lab.manifests()
  const { key } = executableOf(manifest!)
  t.notOk(await lab.has(key!))
  t.equal(manifest!.outcome, 'full', 'the crash itself is there')
  proxy.set()
  await crash()
  t.ok(await lab.has(key!))

  const asked = () => proxy.requests.filter(line => line.includes('buildid')).length
  const before = asked()
  await crash()
  t.equal(asked(), before, 'of what this node knows it asks nothing')
})
