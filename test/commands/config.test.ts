import { join } from 'node:path'
import { parse } from 'smol-toml'
import t from 'tap'
import {
  configCheck,
  configCheckExit,
  configDefaults,
  configShow,
  renderConfigCheck,
  renderConfigShow,
} from '../../src/commands/config.ts'
import { CONFIG_KEYS } from '../../src/config/keys.ts'
import { exampleFile } from '../../src/config/example.ts'

const GOOD = '[store]\nurl = "s3://bucket/cluster"\n[budget]\nslots = 2\n'

t.test('check: a good file has no problems', async t => {
  const file = join(t.testdir({ 'config.toml': GOOD }), 'config.toml')
  const check = configCheck(file)
  t.equal(configCheckExit(check), 0)
  t.equal(renderConfigCheck(check), `${file}: no problems\n`)
})

t.test('check: every problem is a line, and the exit code tells', async t => {
  const file = join(t.testdir({ 'config.toml': '[budget]\nslots = 0\nslot = 1\n' }), 'config.toml')
  const check = configCheck(file)
  t.equal(configCheckExit(check), 4)
  t.match(renderConfigCheck(check).split('\n'), [
    `${file}:2: budget.slots: 0 is not allowed; allowed: a whole number from 1 to 1024`,
    `${file}:3: budget.slot: is not a key; did you mean budget.slots?`,
    'configuration: store.url: is not set',
    '',
  ])
})

t.test('check: the handler has no environment, so that of the caller does not count', async t => {
  const file = join(t.testdir({ 'config.toml': '' }), 'config.toml')
  const before = process.env['CORELIFT_STORE_URL']
  process.env['CORELIFT_STORE_URL'] = 's3://bucket'
  t.teardown(() => {
    if (before === undefined) delete process.env['CORELIFT_STORE_URL']
    else process.env['CORELIFT_STORE_URL'] = before
  })
  t.match(configCheck(file).problems, [{ key: 'store.url', text: 'is not set' }])
})

t.test('show: every key, its effective value and where it comes from', async t => {
  const file = join(t.testdir({ 'config.toml': GOOD }), 'config.toml')
  const shown = configShow({
    file,
    env: { CORELIFT_BUDGET_CORE_BYTES_MAX: '1GiB' },
    flags: { 'node.name': 'n1' },
  })
  t.equal(shown.file, file)
  t.strictSame(
    shown.keys.map(({ key }) => key),
    CONFIG_KEYS.map(({ name }) => name),
  )
  const show = (name: string) => shown.keys.find(({ key }) => key === name)
  t.match(show('store.url'), { value: 's3://bucket/cluster', from: `${file}:2` })
  t.match(show('budget.core_bytes_max'), {
    value: 2 ** 30,
    from: 'environment CORELIFT_BUDGET_CORE_BYTES_MAX',
  })
  t.match(show('node.name'), { value: 'n1', from: 'flag' })
  t.match(show('store.endpoint'), { value: null, from: 'default' })
})

t.test('show: what is printed is TOML that says the same', async t => {
  const file = join(t.testdir({ 'config.toml': GOOD }), 'config.toml')
  const shown = configShow({ file, env: {}, flags: { 'handler.cgroup': '/a "b"\u202eslots' } })
  const printed = renderConfigShow(shown)
  t.match(printed, new RegExp(`^budget\\.slots = 2 +# ${file}:4$`, 'm'))
  t.match(printed, /^# store\.endpoint is not set +# default$/m)
  t.notMatch(printed, /\u202e/)
  t.match(parse(printed), {
    budget: { slots: 2, core_bytes_max: '32GiB' },
    handler: { cgroup: '/a "b"\u202eslots' },
  })
})

t.test('show: rules are a line each, and data in JSON', async t => {
  const rules = '[[policy.rules]]\nsignal = 6\ncapture = "off"\n[[policy.rules]]\nrate = "5/hour"\n'
  const file = join(t.testdir({ 'config.toml': rules }), 'config.toml')
  const shown = configShow({ file, env: {} })
  t.match(shown.keys.find(({ key }) => key === 'policy.rules')?.value, [
    { signal: [6], capture: 'off' },
    { rate: { cores: 5, seconds: 3600 } },
  ])
  const printed = renderConfigShow(shown)
  t.match(
    printed,
    /^policy\.rules = \[\n {2}\{ signal = "SIGABRT", capture = "off" \},\n {2}\{ rate = "5\/hour" \},\n\] +# .*:1$/m,
  )
  t.same(parse(printed)['policy'], {
    pod_annotations: true,
    rules: [{ signal: 'SIGABRT', capture: 'off' }, { rate: '5/hour' }],
  })
})

t.test('show: a configuration that cannot be used is an error', async t => {
  const file = join(t.testdir({ 'config.toml': 'x = 1' }), 'config.toml')
  t.throws(() => configShow({ file, env: {} }), { code: 'E_CONFIG' })
})

t.test('defaults: the example file', async t => {
  t.equal(configDefaults(), exampleFile())
})
