import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { parseStat, readProcess, splitNul } from '../../src/kernel/procfs.ts'

t.test('stat is parsed behind the comm, whatever the comm is', async t => {
  const rest = `S 42 ${Array.from({ length: 15 }, (_, i) => i).join(' ')} 7 0 123456789 0 0`
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 15 }), comm => {
      const stat = Buffer.concat([Buffer.from('4711 ('), comm, Buffer.from(`) ${rest}\n`)])
      const { ppid, threads, startTimeTicks } = parseStat(stat)!
      return ppid === 42 && threads === 7 && startTimeTicks === 123456789n
    }),
  )
  t.equal(parseStat(Buffer.from('garbage')), undefined)
  t.equal(parseStat(new Uint8Array(0)), undefined)
})

t.test('NUL-separated text keeps empty words and an end without its NUL', async t => {
  const words = (text: string): string[] =>
    splitNul(Buffer.from(text)).map(word => Buffer.from(word).toString())
  t.strictSame(words('a\0\0b\0'), ['a', '', 'b'])
  t.strictSame(words('a\0b'), ['a', 'b'])
  t.strictSame(words(''), [])
})

const skip = process.platform === 'linux' ? false : 'not Linux'

t.test('a live process is read as /proc shows it', { skip }, async t => {
  const reading = readProcess({ pid: process.pid, tid: process.pid, pidfd: undefined }, ['PATH'])
  t.match(reading, { state: 'read', pidfd: 'absent' })
  if (reading.state !== 'read') return
  const { files, links, stat, environ, openFiles } = reading.process
  t.strictSame(Buffer.from(files.cgroup!), readFileSync('/proc/self/cgroup'))
  t.equal(Buffer.from(links.exe!).toString(), process.execPath)
  t.equal(stat!.ppid, process.ppid)
  t.strictSame(
    environ.map(([name]) => name),
    ['PATH'],
  )
  t.ok(openFiles.some(({ fd }) => fd === 0))
})

t.test('a process that is not there is refused, not half read', { skip }, async t => {
  t.match(readProcess({ pid: 4_194_304, tid: 1, pidfd: undefined }, []), {
    state: 'refused',
    pidfd: 'absent',
  })
})
