// The event that each handler leaves in the state directory, whatever became of its crash.
import { chmodSync, closeSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { recentEvents } from '../../src/telemetry/event-log.ts'
import { buildCore } from '../core/build-core.ts'
import { makeNode, noBinary, type TestNode } from '../lab/node.ts'

const skip = noBinary() ?? false

const SPECIFIERS = [process.pid, process.pid, 11, 1_700_000_000, 2n ** 64n - 1n, 1, 0, 0, 'web-0', ''].map(
  String,
)

function eventsOf(node: TestNode) {
  const directory = openSync(join(node.dir, 'state'), 'r')
  try {
    return recentEvents(directory)
  } finally {
    closeSync(directory)
  }
}

t.test('a crash that is stored leaves an event with its sizes and times', { skip }, async t => {
  const node = makeNode()
  t.teardown(() => node.remove())
  const core = buildCore()
  t.match(await node.handle(SPECIFIERS, core.whole()), { code: 0 })
  const [manifest] = node.manifests()
  const events = eventsOf(node)
  t.match(events, [
    {
      id: manifest!.id,
      time: '2023-11-14T22:13:20.000Z',
      pid: process.pid,
      comm: manifest!.process?.comm,
      signal: 11,
      fate: 'full',
      whereabouts: 'stored',
      coreBytes: core.bytes,
      storedBytes: manifest!.core?.bytesStored,
    },
  ])
  const [event] = events
  t.ok(event!.holdMilliseconds > 0 && event!.holdMilliseconds <= event!.tookMilliseconds)
})

t.test('a crash that is kept less than whole says why', { skip }, async t => {
  const node = makeNode('[[policy.rules]]\nsignal = "SIGSEGV"\ncapture = "record"')
  t.teardown(() => node.remove())
  await node.handle(SPECIFIERS, buildCore().whole())
  t.match(eventsOf(node), [{ fate: 'record', reason: 'policy', why: String, coreBytes: 0, storedBytes: 0 }])
})

t.test('a crash of which a rule keeps nothing is counted all the same', { skip }, async t => {
  const node = makeNode('[[policy.rules]]\nsignal = "SIGSEGV"\ncapture = "off"')
  t.teardown(() => node.remove())
  await node.handle(SPECIFIERS, buildCore().whole())
  t.match(eventsOf(node), [{ fate: 'off', whereabouts: 'nowhere', why: /policy\.rules\[1\]/ }])
})

t.test('a crash that the store did not take waits for a sweep, and its event says so', { skip }, async t => {
  const node = makeNode()
  t.teardown(() => node.remove())
  rmSync(node.storeDir, { recursive: true })
  await node.handle(SPECIFIERS, buildCore().whole())
  t.match(eventsOf(node), [{ whereabouts: 'spooled', why: String }])
})

t.test('a crash that neither the store nor the node could take is told of as lost', { skip }, async t => {
  const node = makeNode()
  t.teardown(() => node.remove())
  await node.handle(SPECIFIERS, buildCore().whole())
  rmSync(node.storeDir, { recursive: true })
  rmSync(join(node.dir, 'state', 'pending'), { recursive: true, force: true })
  writeFileSync(join(node.dir, 'state', 'pending'), '')
  t.match(await node.handle(SPECIFIERS, buildCore().whole()), { stderr: / lost: / })
  t.match(eventsOf(node)[1], {
    id: '',
    fate: 'lost',
    whereabouts: 'nowhere',
    comm: String,
    why: /E_STORE_ABSENT/,
  })
})

t.test('a state directory that cannot be trusted costs the event, not the crash', { skip }, async t => {
  const node = makeNode()
  t.teardown(() => node.remove())
  await node.handle(SPECIFIERS, buildCore().whole())
  chmodSync(join(node.dir, 'state'), 0o777)
  t.match(await node.handle(SPECIFIERS, buildCore().whole()), { code: 12 })
  t.equal(node.manifests().length, 2)
  t.equal(eventsOf(node).length, 1)
})
