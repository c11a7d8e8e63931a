import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { cliDeps } from './commands/deps.ts'
import t from 'tap'
import { runCli } from '../src/cli.ts'
import type { CliDeps } from '../src/commands/session.ts'
import type { Io } from '../src/commands/terminal.ts'
import type { Config } from '../src/config/table.ts'
import { CoreliftError, EXIT } from '../src/errors.ts'
import { putCrash } from './commands/crashes.ts'
import { brokenStream, testIo } from './commands/terminal.ts'
import { MemoryStore } from './store/memory.ts'

const OLD = '20261101T000000Z-000000000001'
const LATEST = '20261123T204008Z-000000000004'

interface Opened {
  config?: Config['store']
}

function depsFor(store: MemoryStore, opened: Opened = {}): CliDeps {
  return cliDeps({
    openStore: config => {
      opened.config = config
      return Promise.resolve(store)
    },
  })
}

async function twoCrashes(): Promise<MemoryStore> {
  const store = new MemoryStore()
  await putCrash(store, { id: OLD, comm: 'a\u001b[31mb' })
  await putCrash(store, { id: LATEST, missing: 96 })
  return store
}

const URL = '--store-url=s3://bucket/prefix'

async function run(argv: string[], options: Parameters<typeof testIo>[0] & { store?: MemoryStore } = {}) {
  const io = testIo(options)
  const opened: Opened = {}
  const store = options.store ?? (await twoCrashes())
  const exitCode = await runCli(argv, io, depsFor(store, opened))
  return { exitCode, stdout: io.stdout.text, stderr: io.stderr.text, store, config: opened.config }
}

t.test('ls prints a table', async t => {
  const { exitCode, stdout, stderr, store } = await run([URL, 'ls'])
  t.equal(
    stdout,
    `TIME (UTC)           NAMESPACE  POD              CONTAINER  SIGNAL   COMM        OUTCOME     ID
2026-11-23 20:40:08  shop       cart-7d9f-x2x4p  app        SIGSEGV  cart        incomplete  ${LATEST}
2026-11-01 00:00:00  shop       cart-7d9f-x2x4p  app        SIGSEGV  a\\x1b[31mb  full        ${OLD}
`,
  )
  t.same([exitCode, stderr, store.isClosed], [EXIT.ok, '', true])
})

t.test('ls --json prints an array, newest first', async t => {
  const { stdout } = await run(['ls', '--json', URL])
  t.match(JSON.parse(stdout), [
    { id: LATEST, complete: false, bytes: 4, exe: '/usr/bin/cart', node: 'node-1' },
    { id: OLD, complete: true, comm: 'a\u001b[31mb' },
  ])
})

t.test('ls of nothing is empty, says so, and is no failure', async t => {
  const { exitCode, stdout, stderr } = await run(['ls', '--comm', 'none', '--json', URL])
  t.same([exitCode, stdout], [EXIT.ok, '[]\n'])
  t.match(stderr, /no crash in memory:\/\/ matches/)
})

t.test('ls takes its filters', async t => {
  const ids = async (...argv: string[]) =>
    (JSON.parse((await run(['ls', '--json', URL, ...argv])).stdout) as { id: string }[]).map(({ id }) => id)
  t.same(await ids('-1'), [LATEST])
  t.same(await ids('cart-7d9f-x2x4p', '-n', 'shop', '-1'), [LATEST])
  t.same(await ids('--since', '2h'), [LATEST])
  t.same(await ids('--until', 'yesterday'), [OLD])
  t.same(await ids('--signal', 'abrt'), [])
  t.same(await ids('--signal', '11', '--node', 'node-1', '-c', 'app'), [LATEST, OLD])
})

t.test('an unknown pod has its exit code and near names', async t => {
  const { exitCode, stdout, stderr } = await run(['ls', 'cart-7d9f-x2x4q', URL])
  t.same([exitCode, stdout], [EXIT.notFound, ''])
  t.equal(
    stderr,
    'corelift: no crash of pod cart-7d9f-x2x4q is in memory:// [E_CRASH_UNKNOWN]\n  hint: near names: cart-7d9f-x2x4p\n',
  )
})

t.test('with --json errors are JSON too', async t => {
  const { stderr } = await run(['info', 'nobody', URL, '--json'])
  t.match(JSON.parse(stderr), { error: { code: 'E_CRASH_UNKNOWN', message: /no crash of pod nobody/ } })
  t.match(JSON.parse((await run(['ls', '--json', '--frobnicate'])).stderr), { error: { code: 'E_USAGE' } })
})

t.test('info prints what is on record, made printable', async t => {
  const { stdout, stderr } = await run(['info', OLD, URL])
  t.match(stdout, /^ +signal {2}SIGSEGV \(11\)$/m)
  t.match(stdout, /^ +comm {2}a\\x1b\[31mb$/m)
  t.match(stdout, /^ +outcome {2}full, complete$/m)
  t.equal(stderr, '')
  const newest = await run(['info', 'cart-7d9f-x2x4p', URL])
  t.match(newest.stdout, /incomplete: 4 of 100 bytes were received/)
  t.match(newest.stderr, new RegExp(`the newest of the pod's 2 crashes: ${LATEST}`))
})

t.test('info --json is the manifest', async t => {
  const { stdout } = await run(['info', OLD, URL, '--json'])
  t.notMatch(stdout, /\u001b/)
  t.match(JSON.parse(stdout), { version: 1, id: OLD, core: { complete: true } })
})

t.test('get writes the file and prints its name', async t => {
  const file = join(t.testdir(), 'core')
  const { exitCode, stdout, stderr } = await run(['get', 'cart-7d9f-x2x4p', '-o', file, URL])
  t.same([exitCode, stdout], [EXIT.ok, `${file}\n`])
  t.equal(readFileSync(file, 'utf8'), 'core')
  t.match(stderr, /the newest of the pod's 2 crashes/)
  t.match(stderr, /96 of 100 bytes are missing/)
  const again = await run(['get', OLD, '-o', file, URL])
  t.equal(again.exitCode, EXIT.output)
  const forced = await run(['get', OLD, '-o', file, '--force', '--json', URL])
  t.same(JSON.parse(forced.stdout), { id: OLD, file, kind: 'full', bytes: 4, complete: true })
})

t.test('get writes to stdout', async t => {
  const { stdout } = await run(['get', OLD, '-o', '-', URL])
  t.equal(stdout, 'core')
  t.equal((await run(['get', OLD, '-o', '-', '--json', URL])).exitCode, EXIT.usage)
})

t.test('a progress bar is drawn on a terminal only, and taken away', async t => {
  const onTerminal = await run(['get', OLD, '-o', '-', URL], { isTTY: true })
  t.match(onTerminal.stderr, /% of 4 B/)
  t.equal(onTerminal.stdout, 'core')
  t.equal((await run(['get', OLD, '-o', '-', URL])).stderr, '')
})

t.test('colours are for terminals, and for those who want them', async t => {
  const isColored = async (argv: string[], env: Io['env'], isTTY = true) =>
    (await run([...argv, 'ls', URL], { env, isTTY })).stdout.includes('\u001b[')
  t.ok(await isColored([], {}))
  t.notOk(await isColored([], {}, false))
  t.notOk(await isColored([], { NO_COLOR: '1' }))
  t.notOk(await isColored([], { TERM: 'dumb' }))
  t.notOk(await isColored(['--no-color'], {}))
})

t.test('global options are taken before and after a command', async t => {
  const file = join(
    t.testdir({ 'c.toml': '[store]\nurl = "s3://from-file/x"\nregion = "eu-west-1"\n' }),
    'c.toml',
  )
  for (const argv of [
    ['--config', file, 'ls'],
    ['ls', '--config', file],
    ['ls', 'cart-7d9f-x2x4p', '--config', file, '-n', 'shop'],
  ]) {
    const { config, exitCode } = await run(argv)
    t.match([exitCode, config], [EXIT.ok, { url: 's3://from-file/x', region: 'eu-west-1' }])
  }
  const flags = await run([
    '--config',
    file,
    'ls',
    URL,
    '--store-path-style',
    '--store-credentials-file',
    '/c',
  ])
  t.match(flags.config, {
    url: 's3://bucket/prefix',
    pathStyle: true,
    credentialsFile: '/c',
    region: 'eu-west-1',
  })
  const environment = await run(['ls'], { env: { CORELIFT_STORE_URL: 's3://from-env/x' } })
  t.match(environment.config, { url: 's3://from-env/x' })
})

t.test('without a store the configuration is to blame', async t => {
  const { exitCode, stderr } = await run(['ls'])
  t.equal(exitCode, EXIT.config)
  t.match(stderr, /store\.url/)
})

t.test('what no command takes is a usage error with a near name', async t => {
  const unknownCommand = await run(['lss'])
  t.equal(unknownCommand.exitCode, EXIT.usage)
  t.match(unknownCommand.stderr, /unknown command 'lss' \[E_USAGE\]\n {2}hint: Did you mean ls\?/)
  const unknownOption = await run(['ls', '--sinse', '2h'])
  t.match([unknownOption.exitCode, unknownOption.stderr], [EXIT.usage, /Did you mean --since\?/])
  t.equal((await run(['get'])).exitCode, EXIT.usage)
  t.equal((await run(['ls', 'a', 'b', URL])).exitCode, EXIT.usage)
  t.equal((await run(['ls', '--since', 'tomorrow', URL])).exitCode, EXIT.usage)
  t.equal((await run(['ls', '--signal', 'SIGFOO', URL])).exitCode, EXIT.usage)
  const nothing = await run([])
  t.match([nothing.exitCode, nothing.stderr], [EXIT.usage, /Usage: corelift/])
})

t.test('every help page ends with exit codes and an example', async t => {
  for (const argv of [
    ['ls'],
    ['info'],
    ['get'],
    ['config'],
    ['config', 'check'],
    ['config', 'show'],
    ['config', 'defaults'],
  ]) {
    const { exitCode, stdout } = await run([...argv, '--help'])
    t.equal(exitCode, EXIT.ok)
    t.match(
      stdout,
      /\nExit codes:\n {2}0 +done\n {2}2 +E_USAGE .*\n(.*\n)*\nExamples?:\n {2}\$ corelift [^\n]+\n/,
      argv.join(' '),
    )
  }
  t.match((await run(['ls', '--help'])).stdout, /--store-url <url>/)
  t.match((await run(['--help'])).stdout, /ls \[options\] \[pod\] +list crashes/)
  t.equal((await run(['--version'])).stdout, '1.2.3\n')
})

t.test('config commands answer without a store', async t => {
  t.match((await run(['config', 'defaults'])).stdout, /\[store\]/)
  t.match((await run(['config', 'show', URL, '--json'])).stdout, /s3:\/\/bucket\/prefix/)
  const file = join(t.testdir({ 'c.toml': '[stor]\n' }), 'c.toml')
  const { exitCode, stdout } = await run(['config', 'check', file])
  t.match([exitCode, stdout], [EXIT.config, /c\.toml:1/])
})

t.test('a reader that has enough is no failure, a full disk is', async t => {
  const deps = depsFor(await twoCrashes())
  t.equal(await runCli(['ls', URL], { ...testIo(), stdout: brokenStream('EPIPE') }, deps), EXIT.ok)
  const io = { ...testIo(), stdout: brokenStream('ENOSPC') }
  t.equal(await runCli(['ls', URL], io, deps), EXIT.output)
  t.match(io.stderr.text, /cannot write the output: ENOSPC/)
})

t.test('a store that stays away is told once, then by its error', async t => {
  const io = testIo()
  const away = new CoreliftError('E_STORE_UNREACHABLE', 'no answer from s3', { retryable: true })
  const deps: CliDeps = {
    ...depsFor(new MemoryStore()),
    openStore: (_config, { onRetry }) => {
      onRetry?.(away, 1)
      onRetry?.(away, 1)
      return Promise.reject(away)
    },
  }
  t.equal(await runCli(['ls', URL], io, deps), EXIT.store)
  t.equal(
    io.stderr.text,
    'corelift: no answer from s3; trying again\ncorelift: no answer from s3 [E_STORE_UNREACHABLE]\n',
  )
})

t.test('an interruption ends a command that hangs', async t => {
  const interrupt = new AbortController()
  const io = { ...testIo(), interrupted: interrupt.signal }
  const deps: CliDeps = {
    ...depsFor(new MemoryStore()),
    openStore: () => {
      interrupt.abort()
      return new Promise<never>(() => undefined)
    },
  }
  t.equal(await runCli(['ls', URL], io, deps), EXIT.failure)
  t.match(io.stderr.text, /interrupted/)
})

t.test('a bug is called one', async t => {
  const io = testIo()
  const deps: CliDeps = {
    ...depsFor(new MemoryStore()),
    openStore: () => Promise.reject(new TypeError('oh\u001b')),
  }
  t.equal(await runCli(['ls', URL], io, deps), EXIT.failure)
  t.match(io.stderr.text, /^corelift: a bug: TypeError: oh\\x1b\n/)
})
