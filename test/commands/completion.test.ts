// Completion by the shells themselves: each loads its script and says what it offers.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { runCli } from '../../src/cli.ts'
import { SHELLS, type Shell } from '../../src/commands/completion.ts'
import { EXIT } from '../../src/errors.ts'
import { run } from '../lab/node.ts'
import { cliDeps } from './deps.ts'
import { testIo } from './terminal.ts'

const TYPED = join(import.meta.dirname, '..', 'lab', 'typed-completion.py')

async function script(shell: Shell): Promise<string> {
  const io = testIo()
  const code = await runCli(['completion', shell], io, cliDeps())
  if (code !== EXIT.ok) throw new Error(io.stderr.text)
  return io.stdout.text
}

const scripts = Object.fromEntries(
  await Promise.all(SHELLS.map(async shell => [shell, await script(shell)] as const)),
) as Record<Shell, string>
const dir = t.testdir({
  'corelift.bash': scripts.bash,
  _corelift: scripts.zsh,
  'corelift.fish': scripts.fish,
  files: { 'one.toml': '', 'two.toml': '', deeper: {} },
})

/** What stands before the cursor, and what may stand there. The last word of it counts. */
const CASES: readonly (readonly [line: string, offered: readonly string[]])[] = [
  ['corelift de', ['debug']],
  ['corelift --json inf', ['info']],
  ['corelift --store-url info b', ['bt', 'bucket', 'budget']],
  ['corelift config ', ['check', 'defaults', 'help', 'show']],
  ['corelift help conf', ['config']],
  ['corelift get --m', ['--mini']],
  ['corelift get --f', ['--force', '--full']],
  ['corelift whose --js', ['--json']],
  ['corelift config check --sto', storeOptions()],
  ['corelift debug --debugger ', ['dlv', 'gdb', 'lldb', 'none']],
  ['corelift debug --debugger=l', ['lldb']],
  ['corelift debug --debugger=', ['dlv', 'gdb', 'lldb', 'none']],
  ['corelift completion ', ['bash', 'fish', 'zsh']],
  [`corelift config check ${dir}/files/`, ['deeper', 'one.toml', 'two.toml']],
  [`corelift ls --config ${dir}/files/o`, ['one.toml']],
  [`corelift get -o ${dir}/files/t`, ['two.toml']],
  // Names of pods and namespaces are only in the store: it is not asked, and files of this directory are none.
  ['corelift ls ', []],
  ['corelift ls -n ', []],
  ['corelift ls -- --', []],
  // Those of `config` it has not, whose name is a value here.
  ['corelift get -n config ', []],
]

function storeOptions(): string[] {
  return ['ca-file', 'credentials-file', 'endpoint', 'path-style', 'region', 'url'].map(
    name => `--store-${name}`,
  )
}

/** `/dir/files/one.toml` as `one.toml`, `--debugger=lldb` as `lldb`; without what a shell adds for the next word. */
const bare = (candidate: string): string =>
  candidate
    .replace(/[/=]$/, '')
    .replace(/^-+[a-z]+=/, '')
    .replace(`${dir}/files/`, '')

function lacking(...programs: string[]): string | false {
  const missing = programs.find(program => spawnSync(program, ['--version']).error !== undefined)
  return missing === undefined ? false : `${missing} is not installed`
}

for (const [mode, file] of [
  ['bash', 'corelift.bash'],
  ['zsh', '_corelift'],
  ['zsh-fpath', '_corelift'],
] as const) {
  const shell = mode === 'bash' ? 'bash' : 'zsh'
  t.test(`${mode} completes what is typed`, { skip: lacking(shell, 'python3') }, async t => {
    const lines = CASES.map(([line]) => `${line}\n`).join('')
    const { code, stdout, stderr } = await run('python3', [TYPED, mode, join(dir, file)], Buffer.from(lines))
    t.equal(code, 0, stderr)
    const typed = stdout
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line) as string[])
    for (const [index, [line, offered]] of CASES.entries()) {
      const before = line.split(' ')
      // Where nothing is offered the line stays as it was.
      const left = offered.length === 0 ? before.filter(word => word !== '') : before.slice(0, -1)
      const words = typed[index] ?? []
      t.strictSame(words.slice(0, left.length), left, line)
      t.strictSame(words.slice(left.length).map(bare).toSorted(), offered.toSorted(), line)
    }
  })
}

t.test('fish completes what is typed, and says what it means', { skip: lacking('fish') }, async t => {
  const source = `source ${join(dir, 'corelift.fish')}`
  for (const [line, offered] of CASES) {
    const { code, stdout, stderr } = await run('fish', [
      '--no-config',
      '-c',
      `${source}; complete -C '${line}'`,
    ])
    t.equal(code, 0, stderr)
    const candidates = stdout.split('\n').filter(text => text !== '')
    t.strictSame(candidates.map(text => bare(text.split('\t')[0]!)).toSorted(), offered.toSorted(), line)
  }
  const { stdout } = await run('fish', ['--no-config', '-c', `${source}; complete -C 'corelift get --na'`])
  t.equal(stdout, '--namespace\tnamespace of the pod\n')
})

t.test('every shell knows every command and every option', async t => {
  const help = async (...argv: string[]): Promise<string> => {
    const io = testIo()
    await runCli([...argv, '--help'], io, cliDeps())
    return io.stdout.text
  }
  const commands = [...(await help()).matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name!)
  t.ok(commands.length > 10)
  for (const command of commands.filter(name => name !== 'help')) {
    const options = [...(await help(command)).matchAll(/^ {2}(?:-\w, )?--([a-z-]+)/gm)].map(
      ([, name]) => name!,
    )
    for (const shell of SHELLS) {
      const missing = [command, ...options].filter(name => !scripts[shell].includes(name))
      t.strictSame(missing, [], `${shell}: ${command}`)
    }
  }
})

t.test('another shell is refused', async t => {
  const io = testIo()
  t.equal(await runCli(['completion', 'tcsh'], io, cliDeps()), EXIT.usage)
  t.match(io.stderr.text, /bash, zsh, fish/)
})
