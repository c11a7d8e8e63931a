// A crash that loses something says so, and is found as what it is then.
import t from 'tap'
import { withoutCore, withoutKit } from '../../src/spool/reduce.ts'
import { crashNote, idOf } from './crash-note.ts'

const [kit, body] = [Buffer.from('kit'), Buffer.from('core')]
const core = { bytes: body.length, parts: [] }
const WHOLE = {
  ...crashNote({ id: idOf(1), kit, core: body }),
  upload: { id: 'u' },
  completing: true as const,
  core,
}

t.test('without its core a crash has its mini core, and the upload is still known', async t => {
  const { core: noted, completing, ...note } = withoutCore(WHOLE, 'no room')
  t.strictSame([noted, completing], [undefined, undefined])
  t.match(note, {
    upload: { id: 'u' },
    index: { kept: /~mini$/ },
    manifest: { core: null, outcome: 'mini', reason: 'spool', reasonText: 'no room', kit: { bytes: 3 } },
  })
})

t.test('without both it is a record, in whatever order they go', async t => {
  for (const note of [
    withoutKit(withoutCore(WHOLE, 'no room'), 'no room'),
    withoutCore(withoutKit(WHOLE, 'no room'), 'no room'),
  ])
    t.match(note, {
      index: { kept: /~record$/ },
      manifest: {
        ...{ core: null, kit: null, mini: null, outcome: 'record' },
        ...{ reason: 'spool', reasonText: 'no room', warnings: ['no kit: no room'] },
      },
    })
})

t.test('without its kit a full core is still one', async t => {
  t.match(withoutKit(WHOLE, 'no room'), {
    core,
    index: { kept: /~full$/, reduced: /~record$/ },
    reducedOutcome: 'record',
    manifest: { outcome: 'full', reason: null, kit: null, mini: null, warnings: [/no room/] },
  })
})

t.test('a crash that has no core, or whose core is in the store, keeps its reason', async t => {
  const { core: _core, ...stored } = WHOLE
  t.strictSame(withoutCore(stored, 'no room'), stored)
  t.match(withoutCore(crashNote({ id: idOf(1), kit, state: 'open' }), 'no room'), {
    manifest: { reason: 'slots', outcome: 'mini' },
  })
  t.match(withoutKit(crashNote({ id: idOf(1) }), 'no room'), { manifest: { reason: 'slots', warnings: [] } })
})
