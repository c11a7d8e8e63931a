// A node to install corelift on: a Debian tree under systemd-nspawn(1) with systemd-coredump as its handler. It has no
// kernel of its own, and the sysctls are this machine's: plain files stand in their places, bound there before systemd
// reads sysctl.d at boot. What the node writes into its core_pattern, this machine's kernel does with crashes of the
// node's processes: a stand-in, registered on this machine, runs in the node what stands there.
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CORE_PATTERN, corePattern } from '../../src/kernel/core-pattern.ts'
import { labDirectory, type Test } from './daemon.ts'
import { BINARY, type CommandResult, run as runHere } from './node.ts'
import { bootTree, makeTree } from './nspawn.ts'

export interface InstallNode {
  /** Of the node, seen from outside. */
  readonly root: string
  /** Runs a command in the node as its root; whatever its exit code. */
  run(...command: readonly string[]): Promise<CommandResult>
  /** A shell script in the node. @returns What it printed. @throws Where it fails. */
  sh(script: string): Promise<string>
  /** As the node's kernel would say. */
  sysctls(): Record<string, string>
  /** Of its own accord; waits until it is up again. */
  reboot(): Promise<void>
  /** For `underPattern`: what stands in for the node's kernel. */
  readonly pattern: string
}

/** In the node; a tmpfs of this machine. */
export const STORE_DIR = '/mnt/store'
/** In the node: the binary that was built. */
export const NEW_BINARY = '/opt/corelift/corelift'

const SYSCTLS = {
  'kernel.core_pattern': 'core',
  'kernel.core_pipe_limit': '0',
  'fs.suid_dumpable': '0',
}
/** In the node. */
const STAND_INS = '/lab'

export async function buildInstallTree(t: Test): Promise<string> {
  const tree = path.join(await labDirectory(t), 'tree')
  await makeTree(tree, ['systemd-coredump', 'procps', 'strace'])
  const at = (file: string) => path.join(tree, file)
  await writeFile(at('etc/systemd/system/lab-sysctls.service'), BIND_SYSCTLS)
  await mkdir(at('etc/systemd/system/sysinit.target.wants'), { recursive: true })
  await symlink('../lab-sysctls.service', at('etc/systemd/system/sysinit.target.wants/lab-sysctls.service'))
  await mkdir(at('etc/systemd/system/systemd-sysctl.service.d'))
  // /proc/sys as such is read-only in the node.
  await writeFile(
    at('etc/systemd/system/systemd-sysctl.service.d/lab.conf'),
    '[Unit]\nConditionPathIsReadWrite=\n',
  )
  return tree
}

const procFile = (name: string): string => `/proc/sys/${name.replace('.', '/')}`

const BIND_SYSCTLS = `[Unit]
DefaultDependencies=no
Before=systemd-sysctl.service
[Service]
Type=oneshot
RemainAfterExit=yes
${Object.entries(SYSCTLS)
  .map(
    ([name, value]) =>
      `ExecStart=/bin/sh -c 'echo ${value} >${STAND_INS}/${name}; mount --bind ${STAND_INS}/${name} ${procFile(name)}'`,
  )
  .join('\n')}
`

/** @param tree - From buildInstallTree(). */
export async function bootInstallNode(t: Test, tree: string): Promise<InstallNode> {
  // The kernel's pattern holds 127 bytes.
  const outside = mkdtempSync('/dev/shm/cl-')
  t.teardown(() => rmSync(outside, { recursive: true }))
  for (const name of ['lab', 'store', 'bin']) await mkdir(path.join(outside, name))
  const booted = await bootTree(t, tree, {
    binds: {
      [path.join(outside, 'lab')]: STAND_INS,
      [path.join(outside, 'store')]: STORE_DIR,
      [path.dirname(BINARY)]: path.dirname(NEW_BINARY),
    },
    isReady: async ({ initPid }) => initPid() !== undefined && (await isUp(initPid()!)),
  })
  const run = (...command: readonly string[]) => runIn(booted.initPid()!, command)
  const sh = async (script: string): Promise<string> => {
    const { code, stdout, stderr } = await run('sh', '-c', script)
    if (code !== 0) throw new Error(`${script}: exit code ${code}\n${stdout}${stderr}`)
    return stdout
  }
  writeStandIn(outside, booted.initPid()!)
  return {
    root: booted.root,
    run,
    sh,
    sysctls: () =>
      Object.fromEntries(
        Object.keys(SYSCTLS).map(name => [
          name,
          readFileSync(path.join(outside, 'lab', name), 'utf8').trimEnd(),
        ]),
      ),
    async reboot() {
      const former = booted.initPid()!
      await run('systemctl', 'reboot')
      while (existsSync(`/proc/${former}`)) await sleep(POLL_MS)
      while (booted.initPid() === undefined || !(await isUp(booted.initPid()!))) await sleep(POLL_MS)
      writeStandIn(outside, booted.initPid()!)
    },
    pattern: corePattern([path.join(outside, STAND_IN)]),
  }
}

const POLL_MS = 50
/** A short name, for the pattern's sake. */
const STAND_IN = 'k'

function runIn(init: number, command: readonly string[]): Promise<CommandResult> {
  return runHere('nsenter', ['--target', String(init), '--all', '--', ...command], undefined, {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  })
}

async function isUp(init: number): Promise<boolean> {
  const { stdout } = await runIn(init, ['systemctl', 'is-system-running'])
  return ['running', 'degraded'].includes(stdout.trim())
}

/** What this machine's kernel starts: kernel-stand-in.py says what it needs beside it. */
function writeStandIn(outside: string, init: number): void {
  const letters = CORE_PATTERN.map(([, specifier]) => specifier.slice(1)).join('')
  writeFileSync(path.join(outside, 'letters'), letters)
  writeFileSync(path.join(outside, 'init'), String(init))
  copyFileSync(path.join(import.meta.dirname, 'kernel-stand-in.py'), path.join(outside, STAND_IN))
}
