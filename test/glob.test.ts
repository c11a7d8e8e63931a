import { equal } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { matchesGlob } from '../src/glob.ts'

t.test('a star is any text, a question mark one character, all else itself', async t => {
  for (const [glob, text] of [
    ['kube-*', 'kube-system'],
    ['kube-*', 'kube-'],
    ['*', ''],
    ['*-?', 'web-1'],
    ['a*b*c', 'a-b-b-c'],
    ['?', '\u{1f600}'],
    ['', ''],
    ['a.c', 'a.c'],
    ['[a]+(b)\\', '[a]+(b)\\'],
  ] as const)
    t.ok(matchesGlob(glob, text), `${glob} describes ${text}`)
  for (const [glob, text] of [
    ['kube-*', 'kube'],
    ['kube', 'kube-system'],
    ['ube-*', 'kube-system'],
    ['?', ''],
    ['??', '\u{1f600}'],
    ['', 'a'],
    ['a.c', 'abc'],
    ['Web', 'web'],
  ] as const)
    t.notOk(matchesGlob(glob, text), `${glob} does not describe ${text}`)
})

/** By trying everything: exponential, and plainly right. */
function matchesSlowly([head, ...glob]: string[], text: string[]): boolean {
  if (head === undefined) return text.length === 0
  if (head === '*')
    return text.some((_, at) => matchesSlowly(glob, text.slice(at))) || matchesSlowly(glob, [])
  return text.length > 0 && (head === '?' || head === text[0]) && matchesSlowly(glob, text.slice(1))
}

t.test('whatever glob and text are, the answer is that of trying everything', async () => {
  const text = (...characters: string[]) => fc.array(fc.constantFrom(...characters), { maxLength: 8 })
  fc.assert(
    fc.property(text('a', 'b', '?', '*', '\u{1f600}'), text('a', 'b', '*', '\u{1f600}'), (glob, text) =>
      equal(matchesGlob(glob.join(''), text.join('')), matchesSlowly(glob, text)),
    ),
    { numRuns: 5000 },
  )
})

t.test('a hostile annotation does not make it try everything', async t => {
  // Exponential for a matcher that goes back to every star: this test would not end.
  t.notOk(matchesGlob(`${'a*'.repeat(30)}b`, 'a'.repeat(256 * 1024)))
})
