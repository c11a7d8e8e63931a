import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Hold } from '../../src/handle/hold.ts'

t.test('at the deadline everything of the process is let go, once', async t => {
  const letGo: string[] = []
  // Counted from the start of this process, which is longer ago.
  const hold = new Hold(0)
  t.equal(hold.isOver, false)
  hold.holds(() => letGo.push('input'))
  await hold.whenOver
  t.strictSame([hold.isOver, letGo], [true, ['input']])
  hold.holds(() => letGo.push('memory'))
  t.strictSame(letGo, ['input', 'memory'], 'what comes later is not held at all')
  hold.release()
  t.equal(letGo.length, 2)
})

t.test('a process that was let go before is not held at the deadline, which comes all the same', async t => {
  const letGo: string[] = []
  const hold = new Hold(performance.now() / 1000 + 0.05)
  hold.holds(() => letGo.push('input'))
  hold.release()
  t.strictSame([hold.isOver, letGo], [false, ['input']])
  await hold.whenOver
  t.strictSame([hold.isOver, letGo], [true, ['input']])
})

t.test('how long a process was held ends when it is let go', async t => {
  const hold = new Hold(performance.now() / 1000 + 0.05)
  const before = hold.milliseconds
  hold.release()
  const held = hold.milliseconds
  t.ok(before > 0 && before <= held && held <= performance.now())
  await hold.whenOver
  t.equal(hold.milliseconds, held)
})

t.test('a deadline that is postponed comes later, one that has come does not', async t => {
  const letGo: string[] = []
  const hold = new Hold(0)
  hold.holds(() => letGo.push('input'))
  hold.postpone(3600)
  await sleep(1) // a timer that was to fire comes first
  t.strictSame([hold.isOver, letGo], [false, []])
  hold.postpone(0)
  await hold.whenOver
  t.strictSame([hold.isOver, letGo], [true, ['input']])
  hold.postpone(3600)
  t.equal(hold.isOver, true, 'and no timer keeps this process')
})
