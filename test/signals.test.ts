import t from 'tap'
import { signalName, signalNumber } from '../src/signals.ts'

t.test('signals have their names of Linux', async t => {
  t.same([4, 6, 7, 8, 11, 31].map(signalName), ['SIGILL', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGSEGV', 'SIGSYS'])
  t.equal(signalName(77), 'signal 77')
  t.same(['SIGSEGV', 'segv', '11', 'FOO', ''].map(signalNumber), [11, 11, 11, undefined, undefined])
})
