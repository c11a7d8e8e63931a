import { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { systemPrograms } from '../src/debug/programs.ts'
import { Interrupts } from '../src/interrupts.ts'

function signals() {
  const emitter = new EventEmitter() as unknown as NodeJS.Process & EventEmitter
  return { emitter, interrupts: new Interrupts(emitter) }
}

t.test('the first signal aborts, the second has its usual effect', async t => {
  const { emitter, interrupts } = signals()
  emitter.emit('SIGINT')
  t.ok(interrupts.signal.aborted)
  t.equal(emitter.listenerCount('SIGINT'), 0)
})

t.test('while a child has the terminal, Ctrl-C is for it alone; SIGTERM is sent on', async t => {
  const { emitter, interrupts } = signals()
  const forwarded: string[] = []
  let end: () => void = () => undefined
  const ended = new Promise<void>(resolve => (end = resolve))
  const during = interrupts.during(signal => forwarded.push(signal), ended)
  emitter.emit('SIGINT')
  emitter.emit('SIGINT')
  emitter.emit('SIGTERM')
  end()
  await during
  t.notOk(interrupts.signal.aborted)
  t.same(forwarded, ['SIGTERM'])
  emitter.emit('SIGINT')
  t.ok(interrupts.signal.aborted, 'afterwards it is as before')
})

const lines = (out: string[], err: string[]) => ({
  out: async (line: string) => void out.push(line),
  err: async (line: string) => void err.push(line),
})

t.test('a program’s lines are taken, and its end is told', async t => {
  const [out, err]: string[][] = [[], []]
  const programs = systemPrograms(signals().interrupts)
  const run = { path: '/bin/sh', args: ['-c', 'echo "a b"; echo c >&2; pwd; exit 3'], env: {}, cwd: '/usr' }
  t.same(await programs.listen(run, lines(out!, err!), new AbortController().signal), {
    code: 3,
    signal: null,
  })
  t.same([out, err], [['a b', '/usr'], ['c']])
})

t.test('a program whose reader has gone, or that is interrupted, ends', async t => {
  const programs = systemPrograms(signals().interrupts)
  const run = { path: '/bin/sh', args: ['-c', 'echo a; exec sleep 60'], env: {} }
  const gone = { out: () => Promise.reject(new Error('EPIPE')), err: () => Promise.resolve() }
  await t.rejects(programs.listen(run, gone, new AbortController().signal), { message: 'EPIPE' })
  const interrupt = new AbortController()
  const listening = programs.listen(run, lines([], []), interrupt.signal)
  await sleep(50)
  interrupt.abort()
  t.same(await listening, { code: null, signal: 'SIGKILL' })
})

t.test('programs are found on the PATH, but not in the current directory', async t => {
  const dir = t.testdir({ plain: '', dir: {} })
  const programs = systemPrograms(signals().interrupts)
  t.match(await programs.find('sh', { PATH: `${dir}::/usr/bin:/bin` }), /\/sh$/)
  t.equal(await programs.find('plain', { PATH: dir }), undefined)
  t.equal(await programs.find('dir', { PATH: dir }), undefined)
  t.equal(await programs.find('sh', { PATH: '.:' }), undefined)
  t.equal(await programs.find('sh', {}), undefined)
})

t.test('what cannot be started rejects', async t => {
  const programs = systemPrograms(signals().interrupts)
  await t.rejects(programs.attend({ path: '/nowhere', args: [], env: {} }), { code: 'ENOENT' })
})
