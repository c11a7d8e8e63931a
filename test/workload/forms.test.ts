import * as fc from 'fast-check'
import t from 'tap'
import { answerOf } from '../../src/workload/forms.ts'
import type { RawFacts } from '../../src/workload/forms.ts'
import { NAMES, SANDBOX_ID, UID } from './asking.ts'

const POD = { namespace: 'shop', pod: 'web-0', podUid: UID }
const IN_POD: RawFacts = { pod: POD, container: 'app' }
const answer = (raw: Partial<RawFacts>) => answerOf('containerd', { ...IN_POD, ...raw }, 'fields')

t.test('what has its form is a fact', async t => {
  const details = {
    image: 'registry.example.com/shop/web:1',
    imageDigest: `registry.example.com/shop/web@sha256:${SANDBOX_ID}`,
    restartCount: 3,
    logPath: '/var/log/pods/shop_web-0_x/app/0.log',
    labels: { app: 'web' },
    annotations: { 'a/b': '' },
    sandboxId: SANDBOX_ID,
    firstPid: 4711,
  }
  t.same(answer(details), { facts: { runtime: 'containerd', names: NAMES, ...details } })
  t.same(answerOf('docker', { container: 'web_1' }, 'fields'), {
    facts: { runtime: 'docker', names: { kind: 'container', container: 'web_1' } },
  })
})

t.test('in a pod, a container that has no name is the sandbox; an empty name is none', async t => {
  t.match(answer({ container: undefined }), { facts: { names: { container: 'POD' } } })
  t.same(answer({ container: '' }), { detail: 'fields do not name the container' })
})

t.test('without one of its names there is no answer, without the UID there is', async t => {
  for (const name of ['namespace', 'pod'])
    for (const value of [undefined, null, ''])
      t.same(answer({ pod: { ...POD, [name]: value } }), { detail: 'fields do not name the container' })
  const { podUid: _, ...names } = NAMES
  t.same(answer({ pod: { ...POD, podUid: undefined } }), { facts: { runtime: 'containerd', names } })
})

const FORMS: [string, (value: unknown) => Partial<RawFacts>, good: string[], bad: unknown[]][] = [
  [
    'namespace',
    namespace => ({ pod: { ...POD, namespace } }),
    ['a', 'kube-system', 'a'.repeat(63)],
    ['A', 'a.b', '-a', 'a-', 'a'.repeat(64), '_host', 'a\n', '\u0430', {}, 7],
  ],
  [
    'pod',
    pod => ({ pod: { ...POD, pod } }),
    ['web-0', 'etcd-node1.example.com', 'a'.repeat(63)],
    ['a..b', '.a', 'a.', '../x', 'a/b', 'a'.repeat(64), `${'a.'.repeat(127)}a`],
  ],
  [
    'podUid',
    podUid => ({ pod: { ...POD, podUid } }),
    [UID, 'f'.repeat(32)],
    [UID.toUpperCase(), UID.slice(1), UID.replaceAll('-', '_'), 'f'.repeat(33)],
  ],
  [
    'podContainer',
    container => ({ container }),
    ['app', 'POD'],
    ['App', 'POD2', 'a.b', 'a_b', 'a'.repeat(64), ['app']],
  ],
  [
    'plainContainer',
    container => ({ pod: undefined, container }),
    ['web_1', '0a.b-c', 'a'.repeat(253)],
    ['_host', '-', '.x', '/web', 'a b', 'a'.repeat(254), 'a\n'],
  ],
  [
    'image',
    image => ({ image }),
    ['web', 'sha256:0123', '<none>:<none>'],
    ['a b', 'a\u001B', 'ä', 'a'.repeat(513)],
  ],
  ['imageDigest', imageDigest => ({ imageDigest }), ['sha256:0'], [' ', 'a\n']],
  [
    'sandboxId',
    sandboxId => ({ sandboxId }),
    [SANDBOX_ID],
    [SANDBOX_ID.toUpperCase(), 'b'.repeat(63), '../x'],
  ],
  [
    'logPath',
    logPath => ({ logPath }),
    ['/a', '/var/log/pods/a b/0.log', '/a/..b/...'],
    ['a', '/', '/a/', '//a', '/..', '/a/../b', '/a/.', '/a\nb', '/a\u009Bb', `/${'a'.repeat(4096)}`],
  ],
]
for (const [form, rawOf, good, bad] of FORMS)
  t.test(`${form} has one form, and what is of another is named by its form alone`, async t => {
    for (const value of good) t.match(answer(rawOf(value)), { facts: Object, detail: undefined }, value)
    for (const value of bad) {
      const { detail } = answer(rawOf(value))
      t.equal(detail, `fields not of their form: ${form}`, JSON.stringify(value))
    }
  })

t.test('a count is a whole number, or its digits', async t => {
  const countOf = (restartCount: unknown) => answer({ restartCount }).facts?.restartCount
  for (const [raw, count] of [
    [0, 0],
    [7, 7],
    ['0', 0],
    [' 12\n', 12],
    ['9999999999', 9_999_999_999],
  ] as const)
    t.equal(countOf(raw), count)
  const none = [
    undefined,
    null,
    '',
    ' ',
    '-1',
    '1.5',
    '1e3',
    '0x1',
    '99999999999',
    -1,
    1.5,
    NaN,
    Infinity,
    2 ** 53,
  ]
  for (const raw of [...none, true, [], [1], {}]) t.equal(countOf(raw), undefined, typeof raw)
})

t.test("an image's bare id is given its algorithm", async t => {
  t.match(answer({ imageDigest: SANDBOX_ID }), { facts: { imageDigest: `sha256:${SANDBOX_ID}` } })
})

t.test('of labels, those are kept that are texts', async t => {
  const labels = JSON.parse('{"a":"b","n":1,"o":{},"__proto__":"p"}') as object
  t.strictSame(Object.entries(answer({ labels }).facts?.labels ?? {}), [
    ['a', 'b'],
    ['__proto__', 'p'],
  ])
  for (const none of [undefined, null, 'x', 7, ['a']])
    t.equal(answer({ labels: none }).facts?.labels, undefined)
  t.same(answer({ labels: {} }).facts?.labels, {})
})

t.test('nothing that has not its form comes out, in facts or detail', async () => {
  const hostile = fc.oneof(fc.string({ unit: 'binary' }), fc.jsonValue(), fc.anything())
  const raw = fc.record({
    pod: fc.option(fc.record({ namespace: hostile, pod: hostile, podUid: hostile }), { nil: undefined }),
    container: hostile,
    image: hostile,
    logPath: hostile,
    restartCount: hostile,
    labels: hostile,
    firstPid: hostile,
  })
  const isPlain = (text: string | undefined) => text === undefined || /^[!-~]*$/.test(text)
  fc.assert(
    fc.property(raw, raw => {
      const { facts, detail } = answerOf('crio', raw, 'fields')
      const names = Object.values(facts?.names ?? {})
      return [...names, facts?.image, detail?.replaceAll(' ', '')].every(isPlain)
    }),
  )
})
