// The papers say what the code says, where that is cheap to see.
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { CONFIG_KEYS } from '../../src/config/keys.ts'
import { loadConfig } from '../../src/config/load.ts'
import { CONFIG_TABLE } from '../../src/config/table.ts'
import { corePattern } from '../../src/kernel/core-pattern.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
const markdownIn = (directory: string): string[] =>
  readdirSync(join(ROOT, directory))
    .filter(name => name.endsWith('.md'))
    .map(name => join(directory, name))
const PAPERS = ['.', 'docs', 'docs/adr', 'bench', 'deploy'].flatMap(markdownIn)

const matchesOf = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map(([, found = '']) => found)
/** As GitHub makes them of headings. */
const anchorsOf = (text: string): string[] =>
  matchesOf(text, /^#+ (.+)$/gm).map(heading =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )

t.test('every link between the papers leads somewhere', async t => {
  for (const paper of PAPERS) {
    for (const link of matchesOf(read(paper), /\]\((?!https?:)([^)\s]+)\)/g)) {
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? paper : join(dirname(paper), path)
      t.ok(existsSync(join(ROOT, target)), `${paper}: ${link}`)
      if (anchor !== undefined) t.ok(anchorsOf(read(target)).includes(anchor), `${paper}: ${link}`)
    }
  }
})

t.test('every file of the project that a paper names exists', async t => {
  // `docs/format.md` from the root, `store/keys.ts` from src.
  const named = /`(?:\.\/)?((?:\.?\w+\/)+[\w.-]+\.(?:ts|md|c|toml|json)|(?:scripts|\.ci)\/[\w-]+)[` ]/g
  for (const paper of PAPERS) {
    for (const path of matchesOf(read(paper), named)) {
      if (path.startsWith('corelift/')) continue // below ~/.config
      t.ok(existsSync(join(ROOT, path)) || existsSync(join(ROOT, 'src', path)), `${paper}: ${path}`)
    }
  }
})

t.test('the two commands of the README can be run', async t => {
  const commands = matchesOf(read('README.md'), /^- `\.\/(scripts\/\w+)`/gm)
  t.strictSame(commands, ['scripts/quickstart', 'scripts/test'])
  for (const command of commands) t.doesNotThrow(() => accessSync(join(ROOT, command), constants.X_OK))
})

t.test('every configuration key that a paper names exists', async t => {
  const sections = Object.keys(CONFIG_TABLE).join('|')
  // format.md speaks of fields of the manifest, which look the same.
  for (const paper of PAPERS.filter(path => path !== 'docs/format.md')) {
    for (const key of matchesOf(read(paper), new RegExp(`\`((?:${sections})\\.[a-z_]+)[\` =]`, 'g')))
      t.ok(
        CONFIG_KEYS.some(({ name }) => name === key),
        `${paper}: ${key}`,
      )
  }
})

t.test("the README's configuration is one, and its core_pattern is the handler's", async t => {
  const [toml = ''] = matchesOf(read('README.md'), /^```toml\n([^]*?)^```/gm)
  const file = join(t.testdir({ 'config.toml': toml }), 'config.toml')
  t.equal(
    loadConfig({ file, env: {}, required: ['store.url'] }).config.store.url,
    's3://my-bucket/my-cluster',
  )
  const pattern = matchesOf(read('README.md'), /^kernel\.core_pattern=(.*)$/gm)
  t.strictSame(pattern, [corePattern(['/usr/local/bin/corelift', 'handle'])])
})

t.test('every promise of the design has a test of the name that it says', async t => {
  const promises = [...read('docs/design.md').matchAll(/\| `(test\/[\w/.-]+\.test\.ts)`: (.*) \|$/gm)]
  t.ok(promises.length > 0)
  for (const [, file = '', name = ''] of promises) t.ok(read(file).includes(name), `${file}: ${name}`)
})
