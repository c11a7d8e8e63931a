// A node that is examined in tests: a tree of files that stands for `/`, and what the other parts of corelift would say of it.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Test } from 'tap'
import { runCli } from '../../../src/cli.ts'
import type { StatusReport } from '../../../src/commands/status.ts'
import { examineConfig } from '../../../src/config/load.ts'
import { EXIT } from '../../../src/errors.ts'
import { corePattern } from '../../../src/kernel/core-pattern.ts'
import type { Check } from '../../../src/node/doctor/check.ts'
import { type CheckResult, examineNode } from '../../../src/node/doctor/doctor.ts'
import type { ExaminedNode } from '../../../src/node/doctor/examined-node.ts'
import { cliDeps } from '../../commands/deps.ts'
import { testIo } from '../../commands/terminal.ts'
import { plant, type Tree } from '../tree.ts'

export const NOW = new Date('2026-11-23T20:45:00Z')
export const PATTERN = corePattern(['/usr/local/bin/corelift', 'handle'])

export const NOTHING_WAITS: StatusReport = {
  spool: null,
  waiting: [],
  lastSweep: null,
  lastSuccess: null,
  backoff: null,
  drift: null,
}

export interface FakeNode {
  readonly tree?: Tree
  /** TOML. */
  readonly config?: string
  /** What systemctl prints, by the units that it is asked about. */
  readonly systemctl?: (args: readonly string[]) => string | undefined
  readonly changes?: Partial<ExaminedNode>
}

const STORE = '[store]\nurl = "s3://bucket/cluster"\n'

export function fakeNode(
  t: Test,
  { tree = {}, config = '', systemctl, changes = {} }: FakeNode,
): ExaminedNode {
  // Not t.testdir(), which has one directory for each test: tests have several nodes.
  const directory = mkdtempSync(path.join(tmpdir(), 'corelift-doctor-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const configFile = path.join(directory, 'config.toml')
  writeFileSync(configFile, /^\[store\]/m.test(config) ? config : STORE + config)
  const root = path.join(directory, 'root')
  mkdirSync(root)
  plant(root, tree)
  const examined = examineConfig({ file: configFile, env: {}, required: ['store.url'] })
  const notAsked = () => {
    throw new Error('no test asks for it')
  }
  return {
    root,
    isRoot: true,
    now: () => NOW,
    config: examined.config,
    configFile,
    configProblems: examined.problems,
    status: async () => NOTHING_WAITS,
    budget: notAsked,
    events: () => [],
    kernelLog: () => [],
    whose: notAsked,
    probe: notAsked,
    systemctl: async args => systemctl?.(args),
    ...changes,
  }
}

/** What a check finds. Whatever it says that mends it is tried, if it is a command of corelift's. */
export async function examined(t: Test, check: Check, node: ExaminedNode): Promise<CheckResult> {
  const { checks } = await examineNode(node, [check])
  const [result] = checks
  if (result === undefined) throw new Error('no result')
  if (result.fix !== null) await hasCommands(t, result.fix)
  return result
}

/** Commands of corelift's in a text exist, with their options. */
export async function hasCommands(t: Test, text: string): Promise<void> {
  for (const part of text.split(/[;,:] ?/)) {
    const command = /^corelift((?: [a-z]+)+)((?: --[a-z-]+)*)/.exec(part)
    if (command === null) continue
    const words = command[1]!.trim().split(' ')
    const io = testIo()
    t.equal(await runCli([...words, '--help'], io, cliDeps()), EXIT.ok)
    t.ok(io.stdout.text.startsWith(`Usage: corelift ${words.join(' ')} `), `${part} is a command`)
    for (const option of command[2]!.trim().split(' '))
      t.ok(io.stdout.text.includes(option), `${part}: ${option}`)
  }
}
