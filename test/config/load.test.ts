import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import type { Test } from 'tap'
import { examineConfig, loadConfig, renderProblem } from '../../src/config/load.ts'
import type { LoadedConfig } from '../../src/config/load.ts'
import { configFiles } from '../../src/config/settings.ts'
import type { ConfigSources } from '../../src/config/settings.ts'
import { CoreliftError } from '../../src/errors.ts'

const URL = 'url = "s3://bucket/cluster"'

function withFile(t: Test, text: string, sources: Partial<ConfigSources> = {}): ConfigSources {
  const file = join(t.testdir(), 'config.toml')
  writeFileSync(file, text)
  return { file, env: {}, ...sources }
}

function load(t: Test, text: string, sources: Partial<ConfigSources> = {}): LoadedConfig {
  return loadConfig(withFile(t, text, sources))
}

/** Problems without the directory of the file. */
function problems(t: Test, text: string | Buffer, sources: Partial<ConfigSources> = {}): string[] {
  const all = withFile(t, text as string, sources)
  return examineConfig(all).problems.map(problem => renderProblem(problem).replace(all.file!, 'FILE'))
}

t.test('without a file every key has its default', async t => {
  const { config, origins, file } = loadConfig({ searched: [], env: {} })
  t.equal(config.budget.coreBytesMax, 32 * 2 ** 30)
  t.equal(config.store.url, undefined)
  t.strictSame(config.capture.environ, [])
  t.equal(origins.get('budget.slots'), 'default')
  t.equal(file, undefined)
})

t.test('values of every type are read', async t => {
  const { config } = load(
    t,
    `[store]\n${URL}\npath_style = true\n[budget]\ncore_bytes_max = "512 MiB"\nslots = 7\n` +
      `[capture]\nenviron = ["HOME", "LANG"]\nzstd = 'runtime'\n`,
  )
  t.match(config, {
    store: { url: 's3://bucket/cluster', pathStyle: true },
    budget: { coreBytesMax: 512 * 2 ** 20, slots: 7 },
    capture: { environ: ['HOME', 'LANG'], zstd: 'runtime' },
  })
  t.equal(load(t, '[budget]\ncore_bytes_max = 4096').config.budget.coreBytesMax, 4096)
  const rated = load(t, '[budget]\nsignature_full = "7/day"', {
    env: { CORELIFT_BUDGET_WORKLOAD_FULL: '2/minute' },
  })
  t.match(rated.config.budget, {
    signatureFull: { cores: 7, seconds: 86_400 },
    workloadFull: { cores: 2, seconds: 60 },
    workloadMini: { cores: 60, seconds: 3600 },
  })
  t.match(problems(t, '[budget]\nsignature_mini = 3'), [
    /^FILE:2: budget\.signature_mini: 3 is not allowed; allowed: a whole number above 0 per minute/,
  ])
})

t.test('flags prevail over the environment, that over the file, that over defaults', async t => {
  const text = '[budget]\nslots = 2\nslot_wait_seconds = 3\ncore_bytes_max = 1\n'
  const env = { CORELIFT_BUDGET_SLOTS: '20', CORELIFT_BUDGET_SLOT_WAIT_SECONDS: '30' }
  const sources = withFile(t, text, { env, flags: { 'budget.slots': '200' } })
  const { config, origins } = loadConfig(sources)
  t.match(config.budget, { slots: 200, slotWaitSeconds: 30, coreBytesMax: 1, stateDir: '/run/corelift' })
  t.equal(origins.get('budget.slots'), 'flag')
  t.equal(origins.get('budget.slot_wait_seconds'), 'environment CORELIFT_BUDGET_SLOT_WAIT_SECONDS')
  t.equal(origins.get('budget.core_bytes_max'), `${sources.file}:4`)
  t.equal(origins.get('budget.state_dir'), 'default')
})

t.test('the environment has values of every type as text, and empty ones are not set', async t => {
  const env = {
    CORELIFT_STORE_URL: 's3://bucket',
    CORELIFT_STORE_PATH_STYLE: 'true',
    CORELIFT_BUDGET_CORE_BYTES_MAX: '1GiB',
    CORELIFT_CAPTURE_ENVIRON: 'HOME, LANG',
    CORELIFT_NODE_NAME: '',
    CORELIFT_SERVICE_HOST: '10.0.0.1',
  }
  const { config } = loadConfig({ searched: [], env })
  t.match(config, {
    store: { url: 's3://bucket', pathStyle: true },
    budget: { coreBytesMax: 2 ** 30 },
    capture: { environ: ['HOME', 'LANG'] },
    node: { name: undefined },
  })
})

t.test('every problem is reported at once, by line, with what is allowed', async t => {
  const text = `[store]
url = "ftp://x"
endpoint = "https://s3.example.com"
ulr = "s3://bucket"
path_style = "yes"
[budget]
slots = 0
core_bytes_max = "32G"
slot_wait_seconds = 1.5
[stroe]
[handler]
nice = "a\\u001b[2J\\nb"
[capture]
environ = ["OK", "not ok"]
zstd = "fast"
`
  t.strictSame(problems(t, text), [
    'FILE:2: store.url: "ftp://x" is not allowed; allowed: s3://BUCKET[/PREFIX] or file:///DIRECTORY',
    'FILE:4: store.ulr: is not a key; did you mean store.url?',
    'FILE:5: store.path_style: "yes" is not allowed; allowed: true or false',
    'FILE:7: budget.slots: 0 is not allowed; allowed: a whole number from 1 to 1024',
    'FILE:8: budget.core_bytes_max: "32G" is not allowed; allowed: bytes, or a whole number with a unit such as ' +
      '"32GiB" (KiB MiB GiB TiB, KB MB GB TB), up to 1024TiB',
    'FILE:9: budget.slot_wait_seconds: 1.5 is not allowed; allowed: a whole number from 0 to 3600',
    'FILE:10: stroe: is not a key; did you mean store?',
    'FILE:12: handler.nice: "a\\u001b[2J\\nb" is not allowed; allowed: a whole number from 0 to 19',
    'FILE:14: capture.environ: ["OK","not ok"] is not allowed; allowed: a list of names of environment variables',
    'FILE:15: capture.zstd: "fast" is not allowed; allowed: one of "addon", "runtime"',
  ])
})

t.test('the error has one line for each problem', async t => {
  const sources = withFile(t, '[budget]\nslots = 0\nslot = 1\n')
  try {
    loadConfig(sources)
    t.fail('loaded')
  } catch (error) {
    t.ok(error instanceof CoreliftError)
    t.match(error, { code: 'E_CONFIG', hint: /config defaults/ })
    t.strictSame(
      (error as Error).message.split('\n').map(line => line.split(': ').slice(0, 2)),
      [
        [`${sources.file}:2`, 'budget.slots'],
        [`${sources.file}:3`, 'budget.slot'],
      ],
    )
  }
})

t.test('a wrong value from elsewhere names its place', async t => {
  const env = { CORELIFT_BUDGET_SLOTS: 'many' }
  t.match(problems(t, '', { env, flags: { 'store.path_style': 'maybe' } }), [
    /^flag: store\.path_style: "maybe" is not allowed/,
    /^environment CORELIFT_BUDGET_SLOTS: budget\.slots: "many" is not allowed/,
  ])
})

t.test('keys are found wherever TOML lets them stand', async t => {
  const slots = (text: string) => problems(t, text)[0]?.split(': ').slice(0, 2)
  t.strictSame(slots('\nbudget.slots = 0'), ['FILE:2', 'budget.slots'])
  t.strictSame(slots('\n\nbudget = { slots = 0 }'), ['FILE:3', 'budget.slots'])
  t.strictSame(slots('# [budget]\n[ "budget" ]\r\n  \'slots\'\t= 0'), ['FILE:3', 'budget.slots'])
  const text = '[handler]\ncgroup = """/\n[budget]\nslots = 1"""\n[budget]\nslots = 0'
  t.match(problems(t, text), [/^FILE:2: handler.cgroup: /, /^FILE:6: budget.slots: /])
})

t.test('a key outside of its section, and a section that is none', async t => {
  t.strictSame(problems(t, `${URL}\nbudget = 3\n"store.url" = 1\n`), [
    'FILE:1: url: is not a key; did you mean store.url?',
    'FILE:2: budget: is a section: its keys stand below [budget]',
    'FILE:3: "store.url": is not a key; did you mean store.url?',
  ])
  t.strictSame(problems(t, '[[store]]\n[completely.different]\n[__proto__]\nx = 1'), [
    'FILE:1: store: is a section: its keys stand below [store]',
    'FILE:2: completely: is not a key',
    'FILE:3: __proto__: is not a key',
  ])
})

t.test('a syntax error has line and column, and hides nothing else', async t => {
  const found = problems(t, '[store]\nurl = s3', {
    env: { CORELIFT_BUDGET_SLOTS: '0' },
    required: ['store.url'],
  })
  t.match(found, [/^FILE:2:\d+: is not TOML: [^\n]+$/, /^environment CORELIFT_BUDGET_SLOTS: /])
  t.equal(found.length, 2, 'and does not claim that store.url is missing')
})

t.test('what is required must be set', async t => {
  t.strictSame(problems(t, '', { required: ['store.url'] }), ['configuration: store.url: is not set'])
  t.strictSame(problems(t, `[store]\n${URL}`, { required: ['store.url'] }), [])
  t.equal(problems(t, '[store]\nurl = 1', { required: ['store.url'] }).length, 1, 'wrong is not missing too')
})

t.test('S3 settings contradict a file:// store', async t => {
  const text =
    '[store]\nurl = "file:///big/cores"\nregion = "eu-central-1"\nkms_key_id = "k"\nencryption = "sse-kms"\n'
  t.strictSame(problems(t, text), [
    'FILE:3: store.region: has no meaning for a file:// store',
    'FILE:4: store.kms_key_id: has no meaning for a file:// store',
    'FILE:5: store.encryption: has no meaning for a file:// store',
  ])
})

t.test("a flag may turn from the file's S3 store to a directory", async t => {
  const text = `[store]\n${URL}\nendpoint = "https://s3.example.com"\n`
  t.strictSame(problems(t, text, { flags: { 'store.url': 'file:///big/cores' } }), [])
})

t.test('a KMS key needs KMS', async t => {
  const text = (encryption: string) => `[store]\n${URL}\nkms_key_id = "k"\nencryption = "${encryption}"\n`
  t.strictSame(problems(t, text('sse-s3')), ['FILE:3: store.kms_key_id: needs store.encryption = "sse-kms"'])
  t.strictSame(problems(t, text('sse-kms')), [])
  t.equal(problems(t, text('sse-kma')).length, 1, 'a misspelled one is the only problem')
})

t.test('a named file that is missing or no file is an error', async t => {
  const directory = t.testdir()
  const find = (file: string) =>
    examineConfig({ file, env: {}, required: ['store.url'] }).problems.map(renderProblem)
  t.strictSame(find(join(directory, 'none')), [`${directory}/none: cannot be read: no such file`])
  t.strictSame(find(directory), [`${directory}: cannot be read: EISDIR`])
  t.strictSame(find('/a\nb\u001b[2J'), ['/a\\u000ab\\u001b[2J: cannot be read: no such file'])
})

t.test(
  'a searched file that may not be read is not passed over',
  { skip: process.getuid!() === 0 && 'root reads everything' },
  async t => {
    const file = withFile(t, '').file!
    chmodSync(file, 0)
    t.match(examineConfig({ searched: [file], env: {} }).problems, [{ text: 'cannot be read: EACCES' }])
  },
)

t.test('the first file that exists is read, the most personal first', async t => {
  const home = t.testdir()
  t.strictSame(configFiles({ HOME: home, XDG_CONFIG_HOME: '/xdg' }), [
    '/xdg/corelift/config.toml',
    `${home}/.config/corelift/config.toml`,
    '/etc/corelift/config.toml',
  ])
  t.strictSame(configFiles({ XDG_CONFIG_HOME: 'relative' }), ['/etc/corelift/config.toml'])
  mkdirSync(join(home, '.config/corelift'), { recursive: true })
  writeFileSync(join(home, '.config/corelift/config.toml'), `[store]\n${URL}`)
  const { config, file } = loadConfig({ env: { HOME: home, XDG_CONFIG_HOME: join(home, 'none') } })
  t.equal(file, `${home}/.config/corelift/config.toml`)
  t.equal(config.store.url, 's3://bucket/cluster')
})

t.test('whatever the file holds, problems are single lines without control bytes', async t => {
  const key = fc.constantFrom('url', 'slots', 'x', '"\\u0000"', '"a\\nb"', 'environ', "'\u202e'")
  const value = fc.oneof(
    fc.string({ unit: 'binary' }).map(text => JSON.stringify(text)),
    fc.constantFrom('1', 'nan', '-inf', '[1]', '{ a = 1 }', '2020-01-01', 'true', '[[["x"]]]'),
  )
  const line = fc.oneof(
    fc.tuple(key, value).map(pair => pair.join(' = ')),
    fc.constantFrom('[store]', '[budget]', '[[capture]]', '["\\t"]'),
    fc.string(),
  )
  fc.assert(
    fc.property(fc.array(line, { maxLength: 6 }), lines => {
      for (const problem of problems(t, lines.join('\n'))) {
        if (/[\p{Cc}\u2028\u2029\u202e]/u.test(problem)) throw new Error(JSON.stringify(problem))
      }
    }),
    { numRuns: 300 },
  )
})
