// The manual: readers of man(7) take it without complaint, and nothing that there is lacks in it.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { manualPages, unrunProgram } from '../../scripts/man/pages.ts'
import { literal, page, prose } from '../../scripts/man/roff.ts'
import { CONFIG_KEYS } from '../../src/config/keys.ts'
import { POLICY_ACTIONS, POLICY_MATCHERS } from '../../src/config/policy-table.ts'
import { ERROR_CODES, EXIT } from '../../src/errors.ts'

const RELEASE = { version: '1.2.3', date: '2026-11-24' }
const pages = manualPages(RELEASE)
const dir = t.testdir()
const files = pages.map(({ name, section, roff }) => {
  const file = join(dir, `${name}.${section}`)
  writeFileSync(file, roff)
  return file
})

const installed = (program: string): boolean => spawnSync(program, ['--version']).error === undefined
const noMandoc = installed('mandoc') ? false : 'mandoc is not installed'

/** A page as a reader sees it, unbroken and without overstriking. */
function read(name: string): string {
  const file = files.find(path => path.startsWith(join(dir, `${name}.`)))!
  const text = execFileSync('mandoc', ['-T', 'utf8', '-O', 'width=1000', file], { encoding: 'utf8' })
  return text.replaceAll(/.\x08/g, '')
}

t.test('mandoc finds nothing wrong', { skip: noMandoc }, async t => {
  const { status, stdout, stderr } = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning', ...files], {
    encoding: 'utf8',
  })
  t.strictSame([status, stdout, stderr], [0, '', ''])
})

t.test(
  'groff finds nothing wrong',
  { skip: installed('man') ? false : 'man-db is not installed' },
  async t => {
    for (const file of files) {
      const { stderr } = spawnSync('man', ['--warnings', '-l', file], {
        encoding: 'utf8',
        env: { ...process.env, LC_ALL: 'C.UTF-8', MANWIDTH: '80' },
      })
      t.equal(stderr, '', file)
    }
  },
)

t.test('every command has a page, with every option, exit code and example', { skip: noMandoc }, async t => {
  let help = ''
  const program = unrunProgram(RELEASE.version, text => void (help += text))
  const helpOf = (command: (typeof program.commands)[number]): string => {
    help = ''
    command.outputHelp()
    return help
  }
  const all = read('corelift')
  for (const command of program.commands) {
    const name = `corelift-${command.name()}`
    t.match(all, new RegExp(`^ +${name}\\([18]\\)$`, 'm'))
    const text = read(name)
    for (const each of [command, ...command.commands]) {
      const own = helpOf(each)
      const told = [
        ...each.options.map(option => option.flags),
        ...own.match(/\bE_\w+/g)!,
        ...[...own.matchAll(/^ {2}\$ (.*)$/gm)].map(([, example]) => example!),
      ]
      t.strictSame(
        told.filter(part => !text.includes(part)),
        [],
        name,
      )
    }
  }
  for (const { flags } of program.options) t.ok(all.includes(flags), flags)
})

t.test('every exit code and every error is explained', { skip: noMandoc }, async t => {
  const all = read('corelift')
  for (const code of Object.values(EXIT)) t.match(all, new RegExp(`^ {5,}${code} {2,}\\S`, 'm'))
  const everything = pages.map(({ name }) => read(name)).join('')
  t.strictSame(
    Object.keys(ERROR_CODES).filter(code => !everything.includes(code)),
    [],
  )
})

t.test('every configuration key is explained', { skip: noMandoc }, async t => {
  const text = read('corelift-config.toml')
  const keys = [
    ...CONFIG_KEYS.map(({ key }) => key),
    ...Object.keys(POLICY_MATCHERS),
    ...Object.keys(POLICY_ACTIONS),
  ]
  for (const key of keys) t.match(text, new RegExp(`^ +${key}( (?!=)|$)`, 'm'))
  for (const { section } of CONFIG_KEYS) t.ok(text.includes(`[${section}]`), section)
})

t.test('what roff would take for its own stays a text', { skip: noMandoc }, async t => {
  const hostile = [
    String.raw`.so /etc/passwd`,
    String.raw`'br`,
    String.raw`a \fBb\fR \n(.x`,
    '--dash "q" ~^`’…',
  ]
  const roff = page('x', 1, 'y', RELEASE, [
    ...hostile.flatMap(text => ['.PP', prose(text), '.PP', `\\&${literal(text)}`]),
  ])
  mkdirSync(join(dir, 'hostile'))
  const file = join(dir, 'hostile', 'x.1')
  writeFileSync(file, roff.roff)
  const text = execFileSync('mandoc', ['-T', 'utf8', file], { encoding: 'utf8' }).replaceAll(/.\x08/g, '')
  for (const line of hostile) t.equal(text.split(line).length, 3, line)
})

// Debian's man(1) and mandoc show a hyphen where others show U+2010, which no shell takes for an option.
t.test('options are written with the hyphen that is typed', async t => {
  t.equal(
    prose('well-known: `a-b`, --dry-run or -1'),
    String.raw`well-known: \fBa\-b\fR, \-\-dry\-run or \-1`,
  )
})
