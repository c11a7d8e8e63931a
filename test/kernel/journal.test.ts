import t from 'tap'
import { encodeJournalEntry } from '../../src/kernel/journal.ts'

t.test('a value cannot end its field, nor begin another', async t => {
  const entry = Buffer.from(encodeJournalEntry({ MESSAGE: 'a\nPRIORITY=0', PRIORITY: 5 }))
  const length = (bytes: number): string =>
    Buffer.from(BigUint64Array.of(BigInt(bytes)).buffer).toString('latin1')
  t.equal(entry.toString('latin1'), `MESSAGE\n${length(12)}a\nPRIORITY=0\nPRIORITY\n${length(1)}5\n`)
})
