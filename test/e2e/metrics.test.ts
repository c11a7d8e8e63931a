// From crashes to what Prometheus is told, by the compiled binary.
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { buildCore } from '../core/build-core.ts'
import { makeNode, noBinary } from '../lab/node.ts'
import { noNodeExporter, scrape } from '../lab/node-exporter.ts'
import { noPromtool, promtool } from '../lab/promtool.ts'

const skip = noBinary() ?? false
const SPECIFIERS = [process.pid, process.pid, 11, 1_700_000_000, 2n ** 64n - 1n, 1, 0, 0, 'web-0', ''].map(
  String,
)
/** What another user of the directory has put there. */
const TRAP = '.corelift.prom.new'

t.test(
  'sweeps count each crash once, in a file that others may read',
  { skip: skip || (noPromtool() ?? false) },
  async t => {
    const node = makeNode('[metrics]\ntextfile_dir = "$DIR/textfile"\n[sweep]\njitter_seconds = 0')
    t.teardown(() => node.remove())
    const directory = join(node.dir, 'textfile')
    const read = () => readFileSync(join(directory, 'corelift.prom'), 'utf8')
    mkdirSync(directory)
    writeFileSync(join(node.dir, 'precious'), 'precious')
    symlinkSync(join(node.dir, 'precious'), join(directory, TRAP))
    const core = buildCore()
    await node.handle(SPECIFIERS, core.whole())
    await node.handle(SPECIFIERS, core.whole())
    for (let sweeps = 0; sweeps < 2; sweeps++) {
      t.match(await node.cli('sweep'), { code: 0 })
      const text = read()
      t.match(text, /^corelift_crashes_total\{.*outcome="full",reason="none"\} 2$/m)
      t.match(text, new RegExp(`^corelift_core_bytes_total\\{.*\\} ${core.bytes * 2}$`, 'm'))
      t.match(text, /^corelift_hold_seconds_count 2$/m)
      t.match(text, /^corelift_spool_entries 0$/m)
      t.match(text, /^corelift_sweep_last_success_timestamp_seconds \d+/m)
      t.equal(promtool(['check', 'metrics'], text), '')
    }
    await node.handle(SPECIFIERS, core.whole())
    await node.cli('sweep')
    t.match(read(), /^corelift_crashes_total\{.*\} 3$/m)
    t.equal(statSync(join(directory, 'corelift.prom')).mode & 0o777, 0o644)
    t.same(readdirSync(directory), ['corelift.prom'])
    t.equal(readFileSync(join(node.dir, 'precious'), 'utf8'), 'precious', 'no link was followed')
  },
)

t.test(
  'a directory that is not there is said so, and crashes are delivered all the same',
  { skip },
  async t => {
    const node = makeNode('[metrics]\ntextfile_dir = "$DIR/absent"\n[sweep]\njitter_seconds = 0')
    t.teardown(() => node.remove())
    await node.handle(SPECIFIERS, buildCore().whole())
    t.match(await node.cli('sweep'), { code: 0, stdout: /^metrics\.textfile_dir: ENOENT.*$/m })
  },
)

t.test('node_exporter hands them on', { skip: skip || (noNodeExporter() ?? false) }, async t => {
  const node = makeNode('[metrics]\ntextfile_dir = "$DIR/textfile"')
  t.teardown(() => node.remove())
  mkdirSync(join(node.dir, 'textfile'))
  await node.handle(SPECIFIERS, buildCore().whole())
  await node.cli('sweep')
  const text = await scrape(t, join(node.dir, 'textfile'))
  t.match(text, /^corelift_crashes_total\{.*\} 1$/m)
  t.match(text, /^# TYPE corelift_hold_seconds histogram$/m)
  t.match(text, /^node_textfile_scrape_error 0$/m)
})

t.test('a message goes to the webhook that a file names', { skip }, async t => {
  const received: string[] = []
  const server = createServer((request, response) => {
    request.on('data', chunk => received.push(String(chunk)))
    request.on('end', () => response.end())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const node = makeNode('[notify]\nwebhook_url_file = "$DIR/url"\n[sweep]\njitter_seconds = 0')
  t.teardown(() => node.remove())
  writeFileSync(join(node.dir, 'url'), `http://127.0.0.1:${(server.address() as AddressInfo).port}/\n`)
  await node.handle(SPECIFIERS, buildCore().whole())
  for (let sweeps = 0; sweeps < 2; sweeps++) t.match(await node.cli('sweep'), { code: 0 })
  t.equal(received.length, 1)
  t.match(received[0], `corelift debug ${node.manifests()[0]!.id}`)
})
