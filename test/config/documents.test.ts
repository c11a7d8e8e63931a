import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { exampleFile, referenceMarkdown } from '../../src/config/example.ts'
import { CONFIG_KEYS } from '../../src/config/keys.ts'
import { loadConfig } from '../../src/config/load.ts'

/** A file from the example, its keys made to count. */
function uncommented(keep: (line: string) => boolean): string {
  return exampleFile()
    .split('\n')
    .map(line => (/^#[a-z[]/.test(line) && keep(line) ? line.slice(1) : line))
    .join('\n')
}

t.test('the example as it is changes nothing', async t => {
  const file = join(t.testdir({ 'config.toml': exampleFile() }), 'config.toml')
  t.strictSame(loadConfig({ file, env: {} }).config, loadConfig({ searched: [], env: {} }).config)
})

t.test('the example without its comment marks is valid and names every key', async t => {
  // The example of a KMS key needs another encryption than the default.
  const text = uncommented(() => true).replace('encryption = "bucket-default"', 'encryption = "sse-kms"')
  const file = join(t.testdir({ 'config.toml': text }), 'config.toml')
  const { config, origins } = loadConfig({ file, env: {} })
  t.equal(config.store.url, 's3://my-bucket/my-cluster')
  t.match(config.policy.rules, [{ namespace: ['kube-*'] }, { label: { app: 'cart*' }, signal: [3, 6] }])
  for (const { name } of CONFIG_KEYS) t.match(origins.get(name), /config\.toml:\d+$/, name)
})

t.test('what the example shows as defaults are the defaults', async t => {
  const withoutDefault = CONFIG_KEYS.filter(({ definition }) => definition.default === undefined)
  const text = uncommented(line => !withoutDefault.some(({ key }) => line.startsWith(`#${key} =`)))
    // There are no rules by default.
    .replace(/^\[\[policy\.rules\]\]\n(?:\w.*\n)*/gm, '')
  const file = join(t.testdir({ 'config.toml': text }), 'config.toml')
  t.strictSame(loadConfig({ file, env: {} }).config, loadConfig({ searched: [], env: {} }).config)
})

t.test('the example fits into 100 columns', async t => {
  t.strictSame(
    exampleFile()
      .split('\n')
      .filter(line => line.length > 100),
    [],
  )
})

// `npx tap --snapshot test/config/documents.test.ts` writes the tables anew.
t.test('docs/configuration.md has the tables of keys', async t => {
  const page = 'docs/configuration.md'
  const text = readFileSync(page, 'utf8')
  const current = text.replace(
    /(?<=<!-- keys -->\n)[^]*(?=<!-- \/keys -->)/,
    () => `\n${referenceMarkdown()}\n`,
  )
  if (process.env['TAP_SNAPSHOT'] === '1') writeFileSync(page, current)
  else t.equal(text, current)
})

t.test('the rules that docs/configuration.md shows are rules', async t => {
  const [, toml = ''] = /^## Policy rules$[^]*?^```toml\n([^]*?)^```/m.exec(
    readFileSync('docs/configuration.md', 'utf8'),
  )!
  const file = join(t.testdir({ 'config.toml': toml }), 'config.toml')
  t.match(loadConfig({ file, env: {} }).config.policy.rules, [
    { namespace: ['kube-*'], capture: 'record' },
    { label: { app: 'cart*' }, rate: { cores: 5, seconds: 3600 } },
    { container: ['noisy.service'], capture: 'off' },
  ])
})
