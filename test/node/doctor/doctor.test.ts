import { readFileSync } from 'node:fs'
import t from 'tap'
import { runCli } from '../../../src/cli.ts'
import { renderDoctor } from '../../../src/commands/render-doctor.ts'
import { colorsFor } from '../../../src/commands/terminal.ts'
import { CoreliftError, EXIT } from '../../../src/errors.ts'
import { type Check, fail, GROUPS, ok, warn } from '../../../src/node/doctor/check.ts'
import { CHECKS, examineNode } from '../../../src/node/doctor/doctor.ts'
import { cliDeps } from '../../commands/deps.ts'
import { testIo } from '../../commands/terminal.ts'
import { fakeNode, hasCommands } from './examining.ts'

function check(id: string, examine: Check['examine'], changes: Partial<Check> = {}): Check {
  return { id, group: 'node', why: 'it matters', fix: 'mend it', needsRoot: false, examine, ...changes }
}

t.test('a check that throws, or does not end, is a failure, and the others go on', async t => {
  const { checks, summary } = await examineNode(fakeNode(t, {}), [
    check('throws', () => {
      throw new TypeError('a bug')
    }),
    check('rejects', () => Promise.reject(new CoreliftError('E_SPOOL', 'no spool', { hint: 'make one' }))),
    check('hangs', () => new Promise(() => undefined), { secondsMax: 0.01 }),
    check('works', () => ok('fine')),
    check('notes', () => warn('so so', 'do this')),
  ])
  t.match(checks, [
    { id: 'throws', result: 'fail', found: 'the check itself failed: a bug', fix: 'mend it' },
    { id: 'rejects', result: 'fail', found: 'no spool', fix: 'make one' },
    { id: 'hangs', result: 'fail', found: 'no answer in 0.01 s' },
    { id: 'works', result: 'ok', found: 'fine', fix: null },
    { id: 'notes', result: 'warn', fix: 'do this' },
  ])
  t.same(summary, { ok: 1, warn: 1, fail: 3, skipped: 0 })
})

t.test('who is not root is told what was not looked at', async t => {
  const node = { ...fakeNode(t, {}), isRoot: false }
  const { checks } = await examineNode(node, [check('rooted', () => ok('fine'), { needsRoot: true })])
  t.match(checks, [{ result: 'skipped', found: 'needs root' }])
})

t.test('a line for each check, more where there is trouble, and nothing as others spelled it', async t => {
  const report = await examineNode(fakeNode(t, {}), [
    check('one', () => ok('fine'), { group: 'kernel' }),
    check('other', () => fail('a\u001b[31mb\nc', 'see \u202e')),
  ])
  const { stdout } = testIo()
  t.equal(
    renderDoctor(report, colorsFor(stdout, {}, false)),
    `kernel
  ok       one               fine

node
  fail     other             a\\x1b[31mb\\nc
           why: it matters
           fix: see \\u{202e}

2 checks: 1 ok, 0 to be noted, 1 failed, 0 skipped
`,
  )
})

t.test('what mends as a rule is there: its commands exist', async t => {
  for (const { fix } of CHECKS) await hasCommands(t, fix)
})

t.test('ids are unique, and groups in order', async t => {
  t.equal(new Set(CHECKS.map(({ id }) => id)).size, CHECKS.length)
  t.same([...new Set(CHECKS.map(({ group }) => group))], [...GROUPS])
})

t.test('docs/doctor.md has every check, with its reason and what mends it', async t => {
  const page = readFileSync(new URL('../../../docs/doctor.md', import.meta.url), 'utf8')
  const cell = (text: string) => text.replaceAll('|', '\\|')
  t.same(
    [...page.matchAll(/^\| `([a-z-]+)` \| (.*?) \| (.*) \|$/gm)].map(([, id, why, fix]) => ({
      id,
      why,
      fix,
    })),
    CHECKS.map(({ id, why, fix }) => ({ id, why: cell(why), fix: cell(fix) })),
  )
})

t.test('a configuration that is not there fails that check, and the command', async t => {
  const io = testIo()
  t.equal(await runCli(['doctor', '--json', '--config', '/nonexistent'], io, cliDeps()), EXIT.node)
  const { checks, summary } = JSON.parse(io.stdout.text) as Awaited<ReturnType<typeof examineNode>>
  t.match(
    checks.find(({ id }) => id === 'config'),
    { result: 'fail', found: '/nonexistent: cannot be read: no such file' },
  )
  t.equal(checks.length, CHECKS.length)
  t.ok(summary.fail > 0)
})
