import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deepStrictEqual, ok } from 'node:assert/strict'
import fc from 'fast-check'
import { parse } from 'smol-toml'
import t from 'tap'
import type { Test } from 'tap'
import { CONFIG_KEYS } from '../../src/config/keys.ts'
import { examineConfig, loadConfig, renderProblem } from '../../src/config/load.ts'
import { acceptRules } from '../../src/config/rules.ts'
import type { PolicyRule } from '../../src/config/table.ts'
import { tomlValue } from '../../src/config/values.ts'

function fileOf(t: Pick<Test, 'testdir'>, text: string): string {
  const file = join(t.testdir(), 'config.toml')
  writeFileSync(file, text)
  return file
}
const rulesOf = (t: Test, text: string): readonly PolicyRule[] =>
  loadConfig({ file: fileOf(t, text), env: {} }).config.policy.rules

/** Problems without the directory of the file. */
function problems(t: Test, text: string, env = {}): string[] {
  const file = fileOf(t, text)
  return examineConfig({ file, env }).problems.map(problem => renderProblem(problem).replace(file, 'FILE'))
}

t.test('a rule has what it says, and nothing else', async t => {
  t.strictSame(
    rulesOf(
      t,
      `[policy]
pod_annotations = false
[[policy.rules]]
namespace = "kube-*"
capture = "record"

[[policy.rules]]
pod = ["a", "b?"]
container = "app"
label = { app = "cart*", "app.kubernetes.io/part-of" = "shop" }
annotation = { empty = "" }
signal = ["SIGABRT", "quit", "34", 7]
comm = "java"
core_bytes_max = "4GiB"
rate = "5/hour"

[[policy.rules]]
signal = 11
core_bytes_max = 0
[policy.rules.label]
app = "x"
[[policy.rules]]
rate = "1/day"
`,
    ),
    [
      { namespace: ['kube-*'], capture: 'record' },
      {
        pod: ['a', 'b?'],
        container: ['app'],
        label: { app: 'cart*', 'app.kubernetes.io/part-of': 'shop' },
        annotation: { empty: '' },
        signal: [6, 3, 34, 7],
        comm: ['java'],
        coreBytesMax: 4 * 2 ** 30,
        rate: { cores: 5, seconds: 3600 },
      },
      { signal: [11], coreBytesMax: 0, label: { app: 'x' } },
      { rate: { cores: 1, seconds: 86_400 } },
    ],
  )
})

t.test('every problem of every rule is reported at once, at its own line', async t => {
  const text = `[policy]
pod_annotations = 1
[[policy.rules]]
namespace = "a"
capture = "off"
[[policy.rules]]
namspace = "b"
capture = "of"
  [policy.rules.label]
  app = 1
[budget]
slots = 0
[[policy.rules]]
[[policy.rules]]
pod = "x"
[[policy.rules]]
container = []
label = {}
signal = ["SIGSEGV", "SIGNAL"]
comm = "a-name-of-16-byt"
core_bytes_max = "4G"
rate = "0/hour"
`
  t.strictSame(problems(t, text), [
    'FILE:2: policy.pod_annotations: 1 is not allowed; allowed: true or false',
    'FILE:7: policy.rules[2].namspace: is not a key; did you mean namespace?',
    'FILE:8: policy.rules[2].capture: "of" is not allowed; allowed: one of "full", "mini", "record", "off"',
    'FILE:9: policy.rules[2].label: {"app":1} is not allowed; allowed: a table such as { app = "cart*", ' +
      '"example.com/tier" = "web" }, of names and globs',
    'FILE:12: budget.slots: 0 is not allowed; allowed: a whole number from 1 to 1024',
    'FILE:13: policy.rules[3]: is an empty rule; it needs one of capture, core_bytes_max, rate',
    'FILE:14: policy.rules[4]: says nothing to do; it needs one of capture, core_bytes_max, rate',
    'FILE:17: policy.rules[5].container: [] is not allowed; allowed: a glob, or a list of such',
    'FILE:18: policy.rules[5].label: {} is not allowed; allowed: a table such as { app = "cart*", "example.com/tier" = ' +
      '"web" }, of names and globs',
    'FILE:19: policy.rules[5].signal: ["SIGSEGV","SIGNAL"] is not allowed; allowed: a signal such as "SIGSEGV" or a ' +
      'number from 1 to 64, or a list of such',
    'FILE:20: policy.rules[5].comm: "a-name-of-16-byt" is not allowed; allowed: a glob of at most 15 characters ' +
      'beside its stars, or a list of such',
    'FILE:21: policy.rules[5].core_bytes_max: "4G" is not allowed; allowed: bytes, or a whole number with a unit such ' +
      'as "32GiB" (KiB MiB GiB TiB, KB MB GB TB), up to 1024TiB',
    'FILE:22: policy.rules[5].rate: "0/hour" is not allowed; allowed: a whole number above 0 per minute, hour or day ' +
      'such as "5/hour"',
  ])
})

t.test('a misspelled action is the only problem of its rule', async t => {
  t.strictSame(problems(t, '[[policy.rules]]\npod = "x"\ncaptur = "off"'), [
    'FILE:3: policy.rules[1].captur: is not a key; did you mean capture?',
  ])
})

t.test('rules within one value have the line where it begins', async t => {
  const text = '\n[policy]\nrules = [\n  { capture = "off" },\n  { x = 1 },\n]\n[budget]\nslots = 0'
  t.strictSame(problems(t, text), [
    'FILE:3: policy.rules[2].x: is not a key',
    'FILE:8: budget.slots: 0 is not allowed; allowed: a whole number from 1 to 1024',
  ])
})

t.test('a label whose dots are not in quotes is shown as TOML understood it', async t => {
  const text = '[[policy.rules]]\ncapture = "off"\nlabel = { example.com = "x" }'
  t.match(problems(t, text), [
    /^FILE:3: policy.rules\[1\].label: \{"example":\{"com":"x"\}\} is not allowed; /,
  ])
})

t.test('what is no array of tables is one problem', async t => {
  const allowed = 'is not allowed; allowed: tables, each a rule below its own line [[policy.rules]]'
  t.strictSame(problems(t, '[policy]\nrules = "x"'), [`FILE:2: policy.rules: "x" ${allowed}`])
  t.strictSame(problems(t, '[policy]\nrules = [1]'), [`FILE:2: policy.rules: [1] ${allowed}`])
  t.strictSame(problems(t, '[policy.rules]\ncapture = "off"'), [
    `FILE:1: policy.rules: {"capture":"off"} ${allowed}`,
  ])
})

t.test('rules come from the file only', async t => {
  t.strictSame(problems(t, '', { CORELIFT_POLICY_RULES: '[]' }), [
    'environment CORELIFT_POLICY_RULES: policy.rules: can stand in the configuration file only; allowed there: tables, ' +
      'each a rule below its own line [[policy.rules]]',
  ])
})

t.test('a rule that is written as TOML reads as the same', async () => {
  const { definition } = CONFIG_KEYS.find(({ name }) => name === 'policy.rules')!
  if (definition.type !== 'rules') throw new Error('not rules')
  const name = fc.oneof(fc.constantFrom('app', 'app.kubernetes.io/name', '', '__proto__'), fc.string())
  const glob = fc.string({ minLength: 1, maxLength: 15, unit: fc.constantFrom(...'*?.aA-_"\\\u00e9\u202e') })
  const globs = fc.array(glob, { minLength: 1, maxLength: 3 })
  const byName = fc.dictionary(name, fc.string({ unit: 'binary' }), {
    minKeys: 1,
    maxKeys: 3,
    noNullPrototype: true,
  })
  const rule = fc.record(
    {
      namespace: globs,
      comm: globs,
      label: byName,
      signal: fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 3 }),
      capture: fc.constantFrom('full', 'mini', 'record', 'off'),
      coreBytesMax: fc.nat(),
      rate: fc.record(
        { cores: fc.integer({ min: 1, max: 999_999 }), seconds: fc.constantFrom(60, 3600, 86_400) },
        { noNullPrototype: true },
      ),
    },
    { requiredKeys: ['capture'], noNullPrototype: true },
  )
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 3 }), rules => {
      const toml = tomlValue(definition, rules)
      ok(toml.split('\n').every(line => !/[\p{Cc}\p{Cf}]/u.test(line)))
      const accepted = acceptRules(definition, parse(`rules = ${toml}`)['rules'])
      deepStrictEqual(accepted, { rules, problems: [] })
    }),
    { numRuns: 1000 },
  )
})

t.test('whatever stands in rules, problems are single lines without control bytes', async t => {
  const key = fc.constantFrom(
    'namespace',
    'label',
    'signal',
    'rate',
    'capture',
    'x',
    '"\\u0000"',
    '"a\\nb"',
    "'\u202e'",
  )
  const value = fc.oneof(
    fc.string({ unit: 'binary' }).map(text => JSON.stringify(text)),
    fc.constantFrom(
      '1',
      'nan',
      '[1]',
      '{ a = 1 }',
      '{ "\\u0007" = "\\u0007" }',
      '2020-01-01',
      '[["x"]]',
      '["x"]',
    ),
  )
  const line = fc.oneof(
    fc.tuple(key, value).map(pair => pair.join(' = ')),
    fc.constantFrom(
      '[[policy.rules]]',
      '[policy.rules.label]',
      '[[policy.rules.label]]',
      '[policy.rules]',
      '[policy]',
    ),
  )
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), lines => {
      for (const problem of problems(t, lines.join('\n')))
        ok(!/[\p{Cc}\u2028\u2029\u202e]/u.test(problem), JSON.stringify(problem))
    }),
    { numRuns: 300 },
  )
})
