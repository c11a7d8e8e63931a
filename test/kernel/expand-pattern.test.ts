import fc from 'fast-check'
import t from 'tap'
import { expandWord, type PatternFacts, patternWords } from '../../src/kernel/expand-pattern.ts'

const FACTS: PatternFacts = {
  pid: 4711,
  tid: 4712,
  ownPid: 1,
  ownTid: 2,
  signal: 11,
  timeSeconds: 1_700_000_000,
  coreRlimitBytes: 2n ** 64n - 1n,
  dumpable: 2,
  uid: 1000,
  gid: 1001,
  hostname: 'node-17',
  comm: Buffer.from('cart'),
  exe: Buffer.from('/usr/bin/cart'),
  pidfd: 3,
}

t.test('each specifier stands for what core(5) says', async t => {
  const expected = {
    '%%': '%',
    '%p': '1',
    '%P': '4711',
    '%i': '2',
    '%I': '4712',
    '%u': '1000',
    '%g': '1001',
    '%d': '2',
    '%s': '11',
    '%t': '1700000000',
    '%h': 'node-17',
    '%e': 'cart',
    '%E': '!usr!bin!cart',
    '%f': 'cart',
    '%c': '18446744073709551615',
    '%F': '3',
  }
  for (const [specifier, text] of Object.entries(expected))
    t.equal(expandWord(specifier, FACTS), text, specifier)
})

t.test('a word is text and specifiers in any order', async t => {
  t.equal(expandWord('-p%p,%s%%%%P', FACTS), '-p1,11%%P')
})

t.test('what is not known is nothing', async t => {
  t.equal(expandWord('a%Cb%Q%\u{1f600}c%', FACTS), 'abc')
  t.equal(expandWord('%F', { ...FACTS, pidfd: undefined }), '')
})

t.test('names that a workload chose cannot lead elsewhere', async t => {
  const comm = (name: string) => expandWord('%e', { ...FACTS, comm: Buffer.from(name) })
  t.strictSame(['../../x', '/', '.', '..', ''].map(comm), ['..!..!x', '!', '!', '!.', '!'])
  t.equal(expandWord('%h', { ...FACTS, hostname: '' }), '!')
})

t.test('nor are they expanded again, or split', async t => {
  for (const name of ['%P %s', 'a b', 'a\nb', '$(id)', '"', '%'])
    t.equal(expandWord('%e', { ...FACTS, comm: Buffer.from(name) }), name)
})

t.test('bytes that are no UTF-8 are told apart from nothing', async t => {
  t.equal(expandWord('%e', { ...FACTS, comm: Buffer.from('caf\xe9', 'latin1') }), 'caf\ufffd')
})

t.test('a process without an executable is named by its comm', async t => {
  const facts = { ...FACTS, exe: undefined }
  t.equal(expandWord('%E', facts), 'cart (path unknown)')
  t.equal(expandWord('%f', facts), 'cart (path unknown)')
})

t.test('a pattern is split at blanks, however many', async t => {
  t.strictSame(patternWords('|  /usr/bin/x  -p%p\t%e \n'), ['/usr/bin/x', '-p%p', '%e'])
  t.strictSame(patternWords('|'), [])
  for (const pattern of ['core', 'core.%p', '/var/core/%e', '@/run/x', '@@/run/x', ''])
    t.equal(patternWords(pattern), undefined, pattern)
})

t.test('whatever a workload is called, there is one argument for each word', async t => {
  const word = fc.stringMatching(/^[^ \t\n\v\f\r]{1,20}$/)
  const bytes = fc.uint8Array({ maxLength: 40 })
  fc.assert(
    fc.property(fc.array(word, { maxLength: 8 }), bytes, bytes, (words, comm, exe) => {
      const split = patternWords(`|${words.join(' ')}`)!
      const expanded = split.map(each => expandWord(each, { ...FACTS, comm, exe }))
      return (
        split.join(' ') === words.join(' ') &&
        expanded.every((text, n) => words[n]!.includes('/') || !text.includes('/'))
      )
    }),
  )
  t.pass()
})
