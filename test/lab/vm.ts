// A node of its own with a kernel of its own: Debian under qemu, without hardware virtualisation, so that it works
// wherever tests run. Its core_pattern is nobody else's.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { labDirectory, whyNoLab } from './daemon.ts'
import type { Test } from './daemon.ts'
import { GuestAgent, RETRY_MS } from './guest-agent.ts'
import type { CommandResult } from './node.ts'
import { whyNoPackageSources } from './nspawn.ts'
import { makeDisk, vmImage } from './vm-image.ts'
import type { VmImage } from './vm-image.ts'

export interface Vm {
  /** Runs a shell script as root. */
  run(script: string): Promise<CommandResult>
  /** As run(). @returns What it wrote to standard output. @throws Error when it fails. */
  output(script: string): Promise<string>
  reboot(): Promise<void>
  /** Boots anew without shutting down: what was not written to a disk is lost. */
  cutPower(): Promise<void>
}

/** Why no virtual node can be booted here, or undefined. */
export function whyNoVm(): string | undefined {
  const lacking = whyNoLab(['mmdebstrap', 'qemu-system-x86_64', 'setpriv', 'mkfs.ext4'])
  if (lacking !== undefined) return lacking
  if (process.arch !== 'x64') return 'needs x86-64'
  // The package of its kernel is Debian's.
  return /^ID=debian$/m.test(readFileSync('/etc/os-release', 'utf8')) ? whyNoPackageSources() : 'needs Debian'
}

/**
 * Boots a node, in half a minute. Its disks live as long as it does, over its reboots; the test's end removes all.
 * @param lab - Directory whose contents the guest finds in LAB_DIR. STORE_DIR there is an empty file system.
 */
export async function bootVm(t: Test, lab: string): Promise<Vm> {
  const image = await vmImage()
  const directory = await labDirectory(t)
  const at = (name: string) => path.join(directory, name)
  await makeDisk(at('lab'), 'lab', LAB_BYTES, lab)
  await makeDisk(at('store'), 'store', STORE_BYTES)
  const agent = new GuestAgent(at('agent'))
  t.teardown(() => agent.close())
  const qemu = startQemu(t, qemuArgs(image, at))
  const booted = (formerBootId: string) => waitForBoot(agent, qemu, at('console'), formerBootId)
  /** @param script - Takes the guest down a moment after it has returned, so that the agent can still answer. */
  const bootAgain = async (script: string) => {
    const former = await agent.execute('/bin/cat', [BOOT_ID])
    await agent.execute('/bin/sh', ['-c', `(sleep 1; ${script}) >/dev/null 2>&1 &`])
    await booted(former.stdout.trim())
  }
  await booted('')
  const run = (script: string) => agent.execute('/bin/sh', ['-c', script])
  return {
    run,
    async output(script) {
      const result = await run(script)
      if (result.code !== 0)
        throw new Error(`${script}: exit code ${result.code}\n${result.stdout}${result.stderr}`)
      return result.stdout
    },
    reboot: () => bootAgain('systemctl reboot'),
    // sysrq.rst: `b` will immediately reboot the system without syncing or unmounting your disks.
    cutPower: () => bootAgain('echo b >/proc/sysrq-trigger'),
  }
}

/** The test's end kills it. */
function startQemu(t: Test, args: readonly string[]): ChildProcess {
  // setpriv(1) executes it in its own place: it dies with this process, should that be killed.
  const command = ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...args]
  const qemu = spawn('setpriv', command, { stdio: ['ignore', 'ignore', 'inherit'] })
  const exited = once(qemu, 'exit')
  t.teardown(async () => {
    qemu.kill('SIGKILL')
    await exited
  })
  return qemu
}

/** Another one for each boot: proc_sys_kernel(5). */
const BOOT_ID = '/proc/sys/kernel/random/boot_id'

/** @param formerBootId - Of the boot that is to end first; empty where there is none. */
async function waitForBoot(
  agent: GuestAgent,
  qemu: ChildProcess,
  console: string,
  formerBootId: string,
): Promise<void> {
  for (let deadline = Date.now() + BOOT_MS_MAX; Date.now() < deadline && qemu.exitCode === null;) {
    const id = await bootId(agent)
    if (id !== undefined && id !== formerBootId) {
      // Until all units of the boot were started; its exit code says whether one of them failed.
      await agent.execute('/usr/bin/systemctl', ['is-system-running', '--wait'])
      return
    }
    await sleep(BOOT_POLL_MS)
  }
  throw new Error(`the guest did not boot:\n${readFileSync(console, 'utf8').slice(-CONSOLE_CHARS_SHOWN)}`)
}

/** @returns undefined when the agent is not there, or gone before it answered. */
async function bootId(agent: GuestAgent): Promise<string | undefined> {
  try {
    if (!(await agent.synchronize())) return undefined
    return (await agent.execute('/bin/cat', [BOOT_ID], RETRY_MS)).stdout.trim()
  } catch {
    return undefined
  }
}

function qemuArgs(image: VmImage, at: (name: string) => string): string[] {
  // snapshot: written to a temporary file, and read from there. unsafe: what the guest flushes need not reach our disk.
  const drive = (file: string) => ['-drive', `file=${file},format=raw,if=virtio,snapshot=on,cache=unsafe`]
  return [
    ...['-accel', 'tcg,thread=multi', '-machine', 'q35', '-cpu', 'max', '-smp', '2', '-m', '2048'],
    ...['-nodefaults', '-display', 'none', '-monitor', 'none', '-serial', `file:${at('console')}`],
    ...['-kernel', image.kernel, '-initrd', image.initrd],
    ...['-append', 'root=LABEL=node rw console=ttyS0 panic=-1 mitigations=off'],
    ...[image.disk, at('lab'), at('store')].flatMap(drive),
    ...['-chardev', `socket,id=agent,path=${at('agent')}`, '-device', 'virtio-serial'],
    ...['-device', 'virtserialport,chardev=agent,name=org.qemu.guest_agent.0'],
  ]
}

const LAB_BYTES = 1024 ** 3
const STORE_BYTES = 2 * 1024 ** 3
/** Half a minute; a busy machine is given twenty times that. */
const BOOT_MS_MAX = 600_000
const BOOT_POLL_MS = 200
const CONSOLE_CHARS_SHOWN = 4000
