import { join } from 'node:path'
import { ok } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import type { Test } from 'tap'
import { decidePolicy, needsDetails } from '../../src/budget/policy.ts'
import type { PolicySubject } from '../../src/budget/policy.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { Config } from '../../src/config/table.ts'
import { GIB, MIB } from '../../src/units.ts'

/** As the file says it, through the real thing. */
function configured(t: Pick<Test, 'testdir'>, toml: string): Config {
  const file = join(t.testdir({ 'config.toml': toml }), 'config.toml')
  return loadConfig({ file, env: {} }).config
}
const defaults = loadConfig({ searched: [], env: {} }).config

const pod: PolicySubject = {
  place: { namespace: 'shop', pod: 'cart-1', container: 'app' },
  workload: 'pod',
  labels: { app: 'cart', tier: 'web' },
  annotations: {},
  signal: 6,
  comm: Buffer.from('java'),
}
const host: PolicySubject = {
  ...pod,
  place: { namespace: '_host', pod: 'node-17', container: 'nginx.service' },
  workload: 'host',
  labels: {},
}
const unknown: PolicySubject = {
  ...pod,
  place: { namespace: '_unknown', pod: 'node-17', container: '-' },
  workload: 'unknown',
  labels: undefined,
  annotations: undefined,
}

t.test('without rules everything is captured whole, under the budget', async t => {
  const policy = { capture: 'full', coreBytesMax: 32 * GIB, from: {}, warnings: [] }
  for (const subject of [pod, host, unknown]) t.strictSame(decidePolicy(subject, defaults), policy)
})

t.test('the first rule that matches decides, alone', async t => {
  const config = configured(
    t,
    `[budget]
core_bytes_max = "1GiB"
[[policy.rules]]
namespace = "other"
capture = "off"
[[policy.rules]]
namespace = ["prod-*", "sh?p"]
core_bytes_max = "4GiB"
rate = "5/hour"
[[policy.rules]]
namespace = "shop"
capture = "record"
`,
  )
  t.strictSame(decidePolicy(pod, config), {
    capture: 'full',
    coreBytesMax: 4 * GIB,
    rate: { cores: 5, seconds: 3600 },
    rule: 2,
    from: { coreBytesMax: 'policy.rules[2].core_bytes_max', rate: 'policy.rules[2].rate' },
    warnings: [],
  })
  const other = { ...pod, place: { ...pod.place, namespace: 'other' } }
  t.strictSame(decidePolicy(other, config), {
    capture: 'off',
    coreBytesMax: GIB,
    rule: 1,
    from: { capture: 'policy.rules[1].capture' },
    warnings: [],
  })
})

t.test('every matcher of a rule must match', async t => {
  const matched = (matchers: string, subject: PolicySubject = pod) =>
    decidePolicy(subject, configured(t, `[[policy.rules]]\n${matchers}\ncapture = "off"`)).rule === 1
  t.ok(matched('namespace = "shop"\npod = "cart-*"\ncontainer = "app"\nsignal = "ABRT"\ncomm = "ja*"'))
  t.notOk(matched('namespace = "shop"\npod = "cart-*"\ncontainer = "sidecar"'))
  t.notOk(matched('namespace = "shop"\npod = "cart-*"\nsignal = ["SEGV", 7]'))
  t.ok(matched('label = { app = "c*", tier = "web" }'))
  t.notOk(matched('label = { app = "c*", tier = "db" }'))
  t.notOk(matched('label = { app = "c*", absent = "*" }'))
  t.notOk(matched('label = { constructor = "*" }'))
  t.notOk(matched('annotation = { app = "*" }'), 'a label is no annotation')
  t.ok(matched('annotation = { "example.com/a" = "" }', { ...pod, annotations: { 'example.com/a': '' } }))
})

t.test('what stands for no namespace is meant by name only', async t => {
  const matched = (glob: string, subject: PolicySubject) =>
    decidePolicy(subject, configured(t, `[[policy.rules]]\nnamespace = "${glob}"\ncapture = "off"`)).rule ===
    1
  for (const glob of ['*', '?host', '**host']) t.notOk(matched(glob, host), glob)
  for (const glob of ['_host', '_*']) t.ok(matched(glob, host), glob)
  t.ok(matched('*', pod))
})

t.test('the node and the unit are the names of a process of the host', async t => {
  const config = configured(
    t,
    '[[policy.rules]]\npod = "node-*"\ncontainer = "nginx.service"\ncapture = "off"',
  )
  t.equal(decidePolicy(host, config).rule, 1)
})

t.test('a failing lookup captures: neither names nor labels of it match', async t => {
  const config = configured(
    t,
    ['namespace = "*"', 'pod = "*"', 'container = "*"', 'label = { app = "*" }', 'annotation = { a = "*" }']
      .map(matcher => `[[policy.rules]]\n${matcher}\ncapture = "off"\n`)
      .join(''),
  )
  t.match(decidePolicy(unknown, config), { capture: 'full', coreBytesMax: 32 * GIB })
  const meant = configured(t, '[[policy.rules]]\nnamespace = "_unknown"\nsignal = 6\ncapture = "record"')
  t.match(decidePolicy(unknown, meant), { capture: 'record', rule: 1 })
})

t.test('a pod without its labels goes to the rules that need none', async t => {
  const config = configured(
    t,
    '[[policy.rules]]\nlabel = { app = "cart" }\ncapture = "off"\n[[policy.rules]]\nnamespace = "shop"\nrate = "1/day"',
  )
  t.equal(decidePolicy(pod, config).rule, 1)
  t.equal(decidePolicy({ ...pod, labels: undefined }, config).rule, 2)
})

t.test('the name of a process is bytes', async t => {
  const config = configured(t, '[[policy.rules]]\ncomm = "caf\u00e9*"\ncapture = "off"')
  const matched = (comm: Uint8Array) => decidePolicy({ ...pod, comm }, config).rule === 1
  t.ok(matched(Buffer.from('caf\u00e9-1')))
  t.ok(matched(Buffer.from([...Buffer.from('caf\u00e9'), 0xff, 0x0a, 0x00])))
  t.notOk(matched(Buffer.from('caf\u00e9', 'latin1')))
})

const annotated = (annotations: Record<string, string>): PolicySubject => ({ ...pod, annotations })
const asking = (capture: string) => annotated({ 'corelift.io/capture': capture })
const limiting = (size: string) => annotated({ 'corelift.io/core-bytes-max': size })

t.test('a pod lowers what is kept of it, and never raises it', async t => {
  const recorded = configured(t, '[[policy.rules]]\ncapture = "record"\ncore_bytes_max = "1GiB"')
  for (const capture of ['mini', 'record', 'off'])
    t.match(decidePolicy(asking(capture), defaults), {
      capture,
      from: { capture: 'annotation corelift.io/capture' },
      warnings: [],
    })
  for (const capture of ['full', 'mini', 'record'])
    t.strictSame(decidePolicy(asking(capture), recorded), decidePolicy(pod, recorded), capture)
  t.match(decidePolicy(asking('off'), recorded), { capture: 'off', rule: 1 })

  const coreBytesMax = (size: string) => decidePolicy(limiting(size), recorded).coreBytesMax
  t.equal(coreBytesMax('2GiB'), GIB)
  t.equal(coreBytesMax('512Mi'), 512 * MIB)
  t.equal(coreBytesMax('512 MiB'), 512 * MIB)
  t.equal(coreBytesMax('1G'), 1e9)
  t.equal(coreBytesMax('64k'), 64_000)
  t.equal(coreBytesMax('4096'), 4096)
  t.equal(coreBytesMax('0'), 0)
  t.match(decidePolicy(limiting('1'), recorded).from, {
    capture: 'policy.rules[1].capture',
    coreBytesMax: 'annotation corelift.io/core-bytes-max',
  })
})

t.test('an annotation that is not understood changes nothing, is said, and is not repeated', async t => {
  const secret = 'OFF\u001b[2J'
  const policy = decidePolicy(
    annotated({ 'corelift.io/capture': secret, 'corelift.io/core-bytes-max': `1.5Gi${secret}` }),
    defaults,
  )
  t.strictSame(policy, {
    ...decidePolicy(pod, defaults),
    warnings: [
      'annotation corelift.io/capture is none of full, mini, record, off',
      'annotation corelift.io/core-bytes-max is no size such as 512Mi or 4GiB',
    ],
  })
  for (const name of ['__proto__', 'constructor', ''])
    t.match(decidePolicy(asking(name), defaults), { capture: 'full', warnings: [/is none of/] }, name)
})

t.test('annotations count for pods, where the configuration lets them', async t => {
  const off = asking('off')
  for (const workload of ['container', 'host', 'unknown'] as const)
    t.equal(decidePolicy({ ...off, workload }, defaults).capture, 'full', workload)
  t.equal(decidePolicy(off, configured(t, '[policy]\npod_annotations = false')).capture, 'full')
  t.equal(decidePolicy({ ...off, annotations: undefined }, defaults).capture, 'full')
})

t.test('labels and annotations are waited for where they can decide', async t => {
  const labels = '[[policy.rules]]\nlabel = { app = "*" }\ncapture = "off"\n'
  const needed = (toml: string) =>
    (['pod', 'container', 'host', 'unknown'] as const).filter(kind => needsDetails(configured(t, toml), kind))
  t.strictSame(needed(''), ['pod'])
  t.strictSame(needed(labels), ['pod', 'container'])
  t.strictSame(needed(`[policy]\npod_annotations = false\n${labels}`), ['pod', 'container'])
  t.strictSame(
    needed('[policy]\npod_annotations = false\n[[policy.rules]]\nnamespace = "*"\ncapture = "off"'),
    [],
  )
})

t.test('whatever a pod says of itself, no more is kept than without it', async () => {
  const order = ['off', 'record', 'mini', 'full']
  const value = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(...order),
    fc
      .tuple(fc.nat(5000), fc.constantFrom('', 'k', 'Ki', 'GiB', 'T', 'm', 'e9'))
      .map(parts => parts.join('')),
  )
  const rule = fc.record(
    { capture: fc.constantFrom('full', 'mini', 'record', 'off'), coreBytesMax: fc.nat(2 ** 31 - 1) },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(value, value, fc.array(rule, { maxLength: 1 }), (capture, size, rules) => {
      const config = { ...defaults, policy: { podAnnotations: true, rules } }
      const without = decidePolicy(pod, config)
      const annotations = { 'corelift.io/capture': capture, 'corelift.io/core-bytes-max': size }
      const policy = decidePolicy(annotated(annotations), config)
      ok(order.indexOf(policy.capture) <= order.indexOf(without.capture))
      ok(policy.coreBytesMax <= without.coreBytesMax && policy.coreBytesMax >= 0)
    }),
    { numRuns: 2000 },
  )
})
