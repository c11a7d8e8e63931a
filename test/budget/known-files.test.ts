import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { bytesSentLately, noteKnownFiles, readKnownFiles } from '../../src/budget/known-files.ts'
import { fakeLock } from './fake-lock.ts'
import { noTmpfs, stateDir } from './state-dir.ts'

const skip = noTmpfs
const NOW = Date.UTC(2026, 10, 24)
const HOUR_MS = 3_600_000
const os = fakeLock()

t.test('files are known for a day, and what was sent of them counts for an hour', { skip }, async t => {
  const directory = stateDir(t)
  await noteKnownFiles(os, directory, new Map([['a', { at: NOW, bytes: 5 }]]), NOW)
  const later = NOW + 2 * HOUR_MS
  await noteKnownFiles(os, directory, new Map([['b', { at: later, bytes: 7 }]]), later)
  t.same([...readKnownFiles(directory, later).keys()], ['a', 'b'])
  t.equal(bytesSentLately(readKnownFiles(directory, later), later), 7)
  t.same([...readKnownFiles(directory, NOW + 25 * HOUR_MS).keys()], ['b'])
})

t.test('a clock that was put back makes nothing last for ever', { skip }, async t => {
  const directory = stateDir(t)
  await noteKnownFiles(os, directory, new Map([['a', { at: NOW, bytes: 5 }]]), NOW)
  t.equal(readKnownFiles(directory, NOW - HOUR_MS).size, 0)
})

t.test('the oldest are forgotten', { skip }, async t => {
  const directory = stateDir(t)
  const files = Array.from({ length: 5000 }, (_, at) => [`f${at}`, { at: NOW + at, bytes: 0 }] as const)
  await noteKnownFiles(os, directory, new Map(files), NOW + 5000)
  const known = readKnownFiles(directory, NOW + 5000)
  t.equal(known.size, 4096)
  t.notOk(known.has('f0'))
  t.ok(known.has('f4999'))
})

t.test('a file that holds something else is as good as none', { skip }, async t => {
  const directory = stateDir(t)
  for (const content of ['', '{', 'null', '{"a":1}', '[1,["a"],["b",null],["c",{"at":"x"}]]']) {
    writeFileSync(join(directory, 'known-files.json'), content)
    t.equal(readKnownFiles(directory, NOW).size, 0, content)
    await noteKnownFiles(os, directory, new Map([['a', { at: NOW, bytes: 0 }]]), NOW)
    t.same([...readKnownFiles(directory, NOW).keys()], ['a'])
  }
  t.equal(statSync(join(directory, 'known-files.json')).mode & 0o777, 0o600)
})

t.test('a directory that cannot be used costs nothing but the knowledge', async t => {
  t.equal(readKnownFiles('/nonexistent/x', NOW).size, 0)
  await noteKnownFiles(os, '/nonexistent/x', new Map(), NOW)
})
