import * as fc from 'fast-check'
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { LOG_BYTES_MAX, readLogTail } from '../../src/workload/log-tail.ts'

const numbered = (count: number) => Array.from({ length: count }, (_, index) => `line ${index}\n`).join('')

/** @returns The path of a log that holds this, where a kubelet would put it. */
function logOf(dir: string, content: string | Uint8Array): string {
  const directory = join(dir, 'pods/shop_web-0_uid/app')
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, '0.log'), content)
  return join(directory, '0.log')
}

async function tailText(path: string, lines: number): Promise<string> {
  const tail = await readLogTail(path, lines)
  return tail.state === 'read' ? Buffer.from(tail.bytes).toString() : `none: ${tail.detail}`
}

t.test('the last lines of a log, and no more', async t => {
  const path = logOf(t.testdir(), numbered(1000))
  t.equal(await tailText(path, 3), 'line 997\nline 998\nline 999\n')
  t.equal(await tailText(path, 2000), numbered(1000))
  t.equal(await tailText(logOf(t.testdir(), ''), 3), '')
  t.equal(await tailText(logOf(t.testdir(), 'one\ntwo'), 1), 'two', 'a line that is still being written')
  t.equal(await tailText(logOf(t.testdir(), '\n\n\n'), 2), '\n\n')
})

t.test('of a long log whole lines within the bound, of a line beyond it its end', async t => {
  const line = `${'x'.repeat(999)}\n`
  const tail = await tailText(logOf(t.testdir(), line.repeat(1000)), 1000)
  t.ok(tail.length <= LOG_BYTES_MAX && tail.length > LOG_BYTES_MAX - 1000)
  t.equal(tail.length % 1000, 0)
  t.equal((await tailText(logOf(t.testdir(), 'x'.repeat(LOG_BYTES_MAX * 2)), 10)).length, LOG_BYTES_MAX)
})

t.test('any log ends as its tail does, with as many lines as wanted', async t => {
  const dir = t.testdir()
  const log = fc.array(fc.constantFrom('\n', 'a', 'bc', '\r')).map(pieces => pieces.join(''))
  await fc.assert(
    fc.asyncProperty(log, fc.integer({ min: 1, max: 5 }), async (content, lines) => {
      const expected = (content.match(/[^\n]*\n|[^\n]+$/g) ?? []).slice(-lines).join('')
      return (await tailText(logOf(dir, content), lines)) === expected
    }),
  )
})

t.test('nothing but the log is read', async t => {
  const dir = t.testdir({ secret: { app: { '0.log': 'secret' } }, other: { 'shop_web-0_uid': {} } })
  const path = logOf(dir, 'mine\n')

  const linked = join(dir, 'pods/linked.log')
  symlinkSync(path, linked)
  t.equal(await tailText(linked, 1), 'none: ELOOP', 'a link in the last place')

  symlinkSync(join(dir, 'secret'), join(dir, 'pods/shop_web-1_uid'))
  t.equal(await tailText(join(dir, 'pods/shop_web-1_uid/app/0.log'), 1), 'none: its path leads elsewhere')

  symlinkSync(join(dir, 'pods'), join(dir, 'moved'))
  t.equal(
    await tailText(join(dir, 'moved/shop_web-0_uid/app/0.log'), 1),
    'mine\n',
    'a log directory that was moved',
  )

  execFileSync('mkfifo', [join(dir, 'fifo')])
  t.equal(await tailText(join(dir, 'fifo'), 1), 'none: it is no regular file')
  t.equal(await tailText(join(dir, 'absent'), 1), 'none: ENOENT')
})
