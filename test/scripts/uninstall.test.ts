// scripts/uninstall.sh finds the binary that is installed, or says what to do without it.
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { encodeInstallState } from '../../src/node/install-state.ts'
import { linesOf, recordingCorelift, scriptFile, startScript, writeScript } from '../lab/shell-script.ts'

const SCRIPT = scriptFile('scripts/uninstall.sh')
const PREFIX = '/opt/my corelift'

/** A node below a directory, as an installation leaves it. */
function node(t: Test) {
  const root = t.testdir({ opt: { 'my corelift': { bin: {} } }, var: { lib: { corelift: {} } } })
  const log = path.join(root, 'log')
  const binary = `${PREFIX}/bin/corelift`
  const state = encodeInstallState({
    ...{ format: 1, version: '1.2.3', time: '2026-11-24T12:00:00Z', binary, prefix: PREFIX },
    before: { sysctls: { 'kernel.core_pattern': 'core' }, paths: {}, madeDirectories: [], activeUnits: [] },
    installed: { sysctls: {}, paths: {} },
  })
  const uninstall = (shell: string[], ...args: string[]) =>
    startScript([...shell, SCRIPT, '--root', `${root}/`, ...args], { PATH: '/usr/bin:/bin' }).ended
  return { root, log, state, stateFile: path.join(root, 'var/lib/corelift/install.json'), uninstall }
}

const SHELLS: Record<string, string[]> = { dash: ['dash'], busybox: ['busybox', 'sh'] }
for (const [name, shell] of Object.entries(SHELLS)) {
  t.test(`${name}: runs the binary that is installed, with the same options`, async t => {
    const { root, log, state, stateFile, uninstall } = node(t)
    writeScript(path.join(root, PREFIX, 'bin', 'corelift'), `${recordingCorelift(log)}\nexit 9`)
    writeFileSync(stateFile, state)
    t.equal((await uninstall(shell, '--purge')).code, 9)
    t.strictSame(linesOf(log), [`uninstall --root ${root}/ --purge`])
  })
}

t.test('where corelift is not installed there is nothing to do', async t => {
  const { log, uninstall } = node(t)
  const run = await uninstall(['dash'])
  t.equal(run.code, 0)
  t.match(run.stderr, /not installed here/)
  t.strictSame(linesOf(log), [])
})

t.test('where the binary is gone it says so, changes nothing, and says what helps', async t => {
  const { root, state, stateFile, uninstall } = node(t)
  writeFileSync(stateFile, state)
  const run = await uninstall(['dash'], '--purge')
  t.equal(run.code, 9)
  t.match(run.stderr, `${root}${PREFIX}/bin/corelift is gone`)
  t.match(run.stderr, './corelift uninstall')
  t.equal(readFileSync(stateFile, 'utf8'), state)
})
