import * as fc from 'fast-check'
import t from 'tap'
import { renderBytes, renderError, renderJson, renderTable } from '../../src/commands/render.ts'
import { colorsFor } from '../../src/commands/terminal.ts'
import { CoreliftError } from '../../src/errors.ts'
import { Screen } from './terminal.ts'

const plain = colorsFor(new Screen(), {}, true)

t.test('JSON for a terminal is the same JSON, without what a terminal acts on', async t => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), text => {
      const json = renderJson({ text })
      t.notMatch(json, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/)
      t.equal((JSON.parse(json) as { text: string }).text, text)
    }),
  )
  t.match(renderJson('\u202e\u009b'), /\\u202e\\u009b/)
})

t.test('columns line up by what is seen, not by length', async t => {
  t.equal(
    renderTable(
      ['A', 'B'],
      [
        ['日本', 'x'],
        ['\u001b[1mabc\u001b[0m', 'y'],
      ],
    ),
    'A     B\n日本  x\n\u001b[1mabc\u001b[0m   y\n',
  )
})

t.test('sizes are in binary units', async t => {
  t.same([0, 1023, 1024, 1536 * 1024, 2 ** 50].map(renderBytes), [
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.5 MiB',
    '1024.0 TiB',
  ])
  t.equal(renderBytes(null), '–')
})

t.test('an error of several lines keeps them, and nothing else of what it quotes', async t => {
  const error = new CoreliftError('E_CONFIG', 'one\ntwo\u001b[2J', { hint: 'a\rb' })
  t.equal(renderError(error, false, plain), 'corelift: one\n  two\\x1b[2J [E_CONFIG]\n  hint: a\\x0db\n')
})
