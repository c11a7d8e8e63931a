import { appendFileSync, closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { encodeEvent } from '../../src/telemetry/crash-event.ts'
import { appendEvent, recentEvents, takeEvents } from '../../src/telemetry/event-log.ts'
import { crashEvent as event } from './events.ts'

function directoryOf(t: Tap): { fd: number; path: string } {
  const path = t.testdir()
  const fd = openSync(path, 'r')
  t.teardown(() => closeSync(fd))
  return { fd, path }
}
type Tap = { testdir(): string; teardown(end: () => void): void }

t.test('each event is taken once', async t => {
  const { fd } = directoryOf(t)
  t.same(takeEvents(fd, undefined), { events: [], position: undefined }, 'before the first')
  appendEvent(fd, event('a'))
  const first = takeEvents(fd, undefined)
  appendEvent(fd, event('b'))
  appendEvent(fd, event('c'))
  const second = takeEvents(fd, first.position)
  t.same(first.events, [event('a')])
  t.same(
    second.events.map(({ id }) => id),
    ['b', 'c'],
  )
  t.same(takeEvents(fd, second.position).events, [])
  t.same(
    recentEvents(fd).map(({ id }) => id),
    ['a', 'b', 'c'],
    'and all are there to be looked at',
  )
})

t.test('a handler that writes to the file while a sweep puts it aside loses nothing', async t => {
  const { fd, path: directory } = directoryOf(t)
  const why = 'x'.repeat(3000)
  for (let n = 0; n < 400; n++) appendEvent(fd, event(`early-${n}`, { why }))
  const late = openSync(path.join(directory, 'events'), 'a')
  const first = takeEvents(fd, undefined)
  t.equal(first.events.length, 400)

  writeSync(late, encodeEvent(event('late')))
  closeSync(late)
  appendEvent(fd, event('new'))
  const second = takeEvents(fd, first.position)
  t.same(
    second.events.map(({ id }) => id),
    ['late', 'new'],
  )
  appendEvent(fd, event('newer'))
  t.same(
    takeEvents(fd, second.position).events.map(({ id }) => id),
    ['newer'],
  )
})

t.test('without a sweep the file stays bounded', async t => {
  const { fd, path: directory } = directoryOf(t)
  for (let n = 0; n < 3000; n++) appendEvent(fd, event(`e-${n}`, { why: 'x'.repeat(2000) }))
  const size = readFileSync(path.join(directory, 'events')).length
  t.ok(size > 4 * 1024 * 1024 - 4096 && size < 4 * 1024 * 1024 + 4096, String(size))
})

t.test('long texts are cut, half a line is no event', async t => {
  const { fd, path: directory } = directoryOf(t)
  appendEvent(fd, event('long', { why: 'w'.repeat(5000), signature: 's'.repeat(5000) }))

  appendFileSync(path.join(directory, 'events'), 'garbage\n{"id":"half"')
  const { events, position } = takeEvents(fd, undefined)
  t.same(events, [event('long', { why: 'w'.repeat(500), signature: 's'.repeat(500) })])
  appendFileSync(path.join(directory, 'events'), ',"fate":"full","place":{}}\n')
  t.same(
    takeEvents(fd, position).events.map(({ id }) => id),
    ['half'],
    'it is one when its writer has ended it',
  )
})
