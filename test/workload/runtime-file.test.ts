import { execFileSync } from 'node:child_process'
import { symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { ANSWER_BYTES_MAX } from '../../src/workload/forms.ts'
import {
  jsonObject,
  jsonValue,
  objectOf,
  readCount,
  readRuntimeFile,
} from '../../src/workload/runtime-file.ts'

t.test('a regular file is read, to its limit', async t => {
  const directory = t.testdir({ empty: '', some: 'ä\n' })
  t.same(await readRuntimeFile(directory, 'some'), { text: 'ä\n' })
  t.same(await readRuntimeFile(directory, 'empty'), { text: '' })
  const large = path.join(directory, 'large')
  writeFileSync(large, Buffer.alloc(ANSWER_BYTES_MAX, 'x'))
  t.same(await readRuntimeFile(directory, 'large'), { text: 'x'.repeat(ANSWER_BYTES_MAX) })
  truncateSync(large, ANSWER_BYTES_MAX + 1)
  t.same(await readRuntimeFile(directory, 'large'), { detail: 'large is over 4194304 bytes' })
})

t.test('what is absent is no answer, what cannot be read is an error', async t => {
  const directory = t.testdir({ file: 'x' })
  t.equal(await readRuntimeFile(directory, 'absent'), undefined)
  t.equal(await readRuntimeFile(path.join(directory, 'absent'), 'file'), undefined)
  t.equal(await readRuntimeFile(path.join(directory, 'file', 'below'), 'file'), undefined)
  const loop = path.join(directory, 'loop')
  symlinkSync(loop, loop)
  await t.rejects(readRuntimeFile(directory, 'loop'), { code: 'ELOOP' })
})

t.test('no link is followed, neither as the file nor as its directory', async t => {
  const directory = t.testdir({ real: { file: 'x' } })
  symlinkSync('real', path.join(directory, 'link'))
  t.same(await readRuntimeFile(path.join(directory, 'link'), 'file'), {
    detail: `${path.join(directory, 'link')} is no directory`,
  })
  symlinkSync('real/file', path.join(directory, 'file'))
  await t.rejects(readRuntimeFile(directory, 'file'), { code: 'ELOOP' })
})

t.test('what is no file is not opened for long: a FIFO would block', async t => {
  const directory = t.testdir({ directory: {} })
  execFileSync('mkfifo', [path.join(directory, 'fifo')])
  t.same(await readRuntimeFile(directory, 'fifo'), { detail: 'fifo is no regular file' })
  t.same(await readRuntimeFile(directory, 'directory'), { detail: 'directory is no regular file' })
  t.same(await readRuntimeFile(path.join(directory, 'fifo'), 'x'), {
    detail: `${path.join(directory, 'fifo')} is no directory`,
  })
})

t.test('a pid file gives its text, anything else nothing', async t => {
  const directory = t.testdir({ pid: '4711\n' })
  t.equal(await readCount(directory, 'pid'), '4711')
  t.equal(await readCount(directory, 'absent'), undefined)
  symlinkSync('pid', path.join(directory, 'link'))
  t.equal(await readCount(directory, 'link'), undefined)
})

t.test('JSON is what it says, and nothing where it is none', async t => {
  t.same(jsonObject('{"a":1}'), { a: 1 })
  for (const text of ['', '{', 'null', '[]', '1', '"x"']) t.equal(jsonObject(text), undefined, text)
  t.same(jsonValue('[1]'), [1])
  t.equal(jsonValue('x'), undefined)
  t.equal(objectOf([]), undefined)
  t.equal(objectOf(null), undefined)
})
