// The programs crash as they say, or the tests that use them would prove nothing.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { PROGRAMS } from './programs.ts'

for (const program of PROGRAMS) {
  const why = program.whyNot()
  t.test(`${program.name} ends by ${program.signal}, silently`, { skip: why ?? false }, async t => {
    const { command, env } = program.build(t.testdir())
    // No core: the machine's handler has no part in this.
    const child = spawn('/bin/sh', ['-c', 'ulimit -c 0; exec "$@"', 'sh', ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    let printed = ''
    child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString('utf8')))
    child.stderr.on('data', (chunk: Buffer) => (printed += chunk.toString('utf8')))
    const [, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    t.equal(signal, program.signal)
    t.equal(printed, '')
  })
}
