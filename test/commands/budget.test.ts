import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cliDeps } from './deps.ts'
import t from 'tap'
import type { Test } from 'tap'
import { admit } from '../../src/budget/admission.ts'
import { runCli } from '../../src/cli.ts'
import { type BudgetReport, budgetReport } from '../../src/commands/budget.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { Config } from '../../src/config/table.ts'
import type { Place } from '../../src/crash.ts'
import { EXIT } from '../../src/errors.ts'
import { GIB } from '../../src/units.ts'
import { fakeLock } from '../budget/fake-lock.ts'
import { noTmpfs, stateDir } from '../budget/state-dir.ts'
import { testIo } from './terminal.ts'

const skip = noTmpfs
const START = Date.parse('2026-11-23T20:40:00Z')
const NOW = new Date('2026-11-23T20:45:00Z')
const cart: Place = { namespace: 'shop', pod: 'cart-1', container: 'app' }
const hostile: Place = { namespace: 'shop', pod: 'a\u001b[31mb\u202e', container: 'app' }

function configured(directory: string): Config {
  const env = { CORELIFT_BUDGET_STATE_DIR: directory, CORELIFT_BUDGET_WORKLOAD_FULL: '1/hour' }
  return loadConfig({ searched: [], env }).config
}

/** Crashes on a node, each of 1 GiB. */
async function crashes(directory: string, places: readonly Place[]): Promise<void> {
  const os = fakeLock()
  for (const place of places) {
    const admission = await admit({
      bytesExpected: GIB,
      crash: { coreRlimitBytes: 2n ** 64n - 1n },
      place,
      signature: 'SIGSEGV cart+0x1',
      policy: { capture: 'full', coreBytesMax: 32 * GIB, from: {} },
      config: configured(directory),
      os,
      nodeFacts: { memoryAvailableBytes: () => undefined, memoryPressurePercent: () => undefined },
      clock: { wall: () => START },
    })
    if (admission.rung === 'full') admission.slot.release()
  }
}

async function run(t: Test, directory: string, ...argv: string[]) {
  const toml = `[budget]\nstate_dir = ${JSON.stringify(directory)}\nworkload_full = "1/hour"\n`
  const file = join(t.testdir({ 'config.toml': toml }), 'config.toml')
  const io = testIo()
  const deps = cliDeps({ now: () => NOW })
  const exitCode = await runCli(['budget', '--config', file, ...argv], io, deps)
  return { exitCode, stdout: io.stdout.text, stderr: io.stderr.text }
}

t.test('what was never used is whole, and looking makes nothing', { skip }, async t => {
  const directory = join(stateDir(t), 'corelift')
  t.strictSame(budgetReport(configured(directory), NOW), {
    stateDir: directory,
    since: null,
    corrupt: false,
    slots: { max: 4, waitingMax: 16, held: [] },
    buckets: [],
    counts: [],
    recent: [],
  })
  t.notOk(existsSync(directory))
  const { exitCode, stdout } = await run(t, directory)
  t.equal(exitCode, EXIT.ok)
  t.equal(stdout, `  state  ${directory}\ncrashes  none yet\n  slots  0 of 4 taken\n`)
})

t.test('what was taken and refused is told, by name, and as it is refilled', { skip }, async t => {
  const directory = stateDir(t)
  await crashes(directory, [cart, cart, hostile])
  const { stdout, exitCode } = await run(t, directory)
  t.equal(exitCode, EXIT.ok)
  t.equal(
    stdout,
    `state  ${directory}
since  2026-11-23 20:40:00 UTC
slots  0 of 4 taken

OF         NAME                         WHAT   USED       LIMIT          NEXT
namespace  shop                         bytes  1.1 GiB    256.0 GiB/day  now
workload   shop/cart-1/app              cores  0.9        1/hour         in 3300 s
workload   shop/a\\x1b[31mb\\u{202e}/app  cores  0.9        1/hour         in 3300 s
workload   shop/cart-1/app              bytes  568.9 MiB  128.0 GiB/day  now
workload   shop/a\\x1b[31mb\\u{202e}/app  bytes  568.9 MiB  128.0 GiB/day  now
signature  shop/app/SIGSEGV cart+0x1    cores  1.8        3/hour         now

NAMESPACE  KEPT  REASON  COUNT  LAST (UTC)
shop       full  –       2      2026-11-23 20:40:00
shop       mini  rate    1      2026-11-23 20:40:00

REDUCED (UTC)        KEPT  REASON  NAMESPACE/POD/CONTAINER
2026-11-23 20:40:00  mini  rate    shop/cart-1/app
`,
  )
})

t.test('--json has the same as values', { skip }, async t => {
  const directory = stateDir(t)
  await crashes(directory, [cart, cart, hostile, hostile])
  const { stdout } = await run(t, directory, '--json')
  const report = JSON.parse(stdout) as BudgetReport
  t.match(report, {
    since: '2026-11-23T20:40:00.000Z',
    counts: [
      { namespace: 'shop', rung: 'full', count: 2, last: '2026-11-23T20:40:00.000Z' },
      { namespace: 'shop', rung: 'mini', reason: 'rate', count: 2 },
    ],
    recent: [
      { rung: 'mini', reason: 'rate', names: Object.values(hostile) },
      { rung: 'mini', reason: 'rate', names: ['shop', 'cart-1', 'app'] },
    ],
  })
  const bucket = report.buckets.find(({ of, meter }) => of === 'workload' && meter === 'full')
  t.notMatch(stdout, /\u202e/)
  t.match(bucket, { names: ['shop', 'cart-1', 'app'], max: 1, seconds: 3600, nextSeconds: 3300 })
})

t.test('looking changes nothing', { skip }, async t => {
  const directory = stateDir(t)
  await crashes(directory, [cart])
  const before = readdirSync(directory).map(name => [name, statSync(join(directory, name)).mtimeMs])
  await run(t, directory)
  t.strictSame(
    readdirSync(directory).map(name => [name, statSync(join(directory, name)).mtimeMs]),
    before,
  )
})

t.test('a ledger that is none is said, and left for the next crash', { skip }, async t => {
  const directory = stateDir(t)
  writeFileSync(join(directory, 'ledger.json'), '{')
  t.match((await run(t, directory)).stdout, /^ledger {2}corrupt: /m)
  t.equal(readFileSync(join(directory, 'ledger.json'), 'utf8'), '{')
})

t.test('a directory that others can write is not believed', { skip }, async t => {
  const directory = stateDir(t)
  chmodSync(directory, 0o777)
  const open = await run(t, directory)
  t.match([open.exitCode, open.stderr], [EXIT.config, /can be written by others .*\[E_CONFIG\]/])
  const file = join(directory, 'file')
  writeFileSync(file, '')
  const none = await run(t, file)
  t.match([none.exitCode, none.stderr], [EXIT.config, /is no directory .*\[E_CONFIG\]/])
})

t.test('the help ends with exit codes and an example', async t => {
  const { exitCode, stdout } = await run(t, '/nonexistent', '--help')
  t.equal(exitCode, EXIT.ok)
  t.match(
    stdout,
    /\nExit codes:\n {2}0 +done\n(.*\n)* {2}4 +E_CONFIG .*\n\nExamples:\n {2}\$ corelift budget\n/,
  )
})

const noFlock = existsSync('/usr/bin/flock') ? false : 'flock(1) is not installed'

t.test('a slot that is held shows who holds it', { skip: skip || noFlock }, async t => {
  const directory = stateDir(t)
  await crashes(directory, [hostile])
  const holder = await holding(t, join(directory, 'slot-0'))
  const { slots } = budgetReport(configured(directory), NOW)
  t.match(slots.held, [{ kind: 'slot', index: 0, pid: holder.pid, place: hostile }])
  t.match((await run(t, directory)).stdout, /^slots {2}1 of 4 taken$/m)
  t.match(
    (await run(t, directory)).stdout,
    new RegExp(`^0 +${holder.pid} +shop/a\\\\x1b\\[31mb\\\\u\\{202e\\}/app$`, 'm'),
  )
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  t.strictSame(budgetReport(configured(directory), NOW).slots.held, [], 'a handler that is killed holds none')
})

/** A process that holds a file's lock, and says so. */
async function holding(t: Pick<Test, 'teardown'>, file: string): Promise<ChildProcess> {
  // --no-fork: what is killed is what holds it.
  const child = spawn('flock', ['--no-fork', file, 'sh', '-c', 'echo held; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return child
}
