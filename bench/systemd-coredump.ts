// Debian's systemd-coredump without a booted systemd and without installing it (its postinst sets core_pattern): the
// package's files in a temporary directory, its socket unit played by systemd-socket-activate(1), in a mount namespace
// in which /run and /var/lib are its own. What the machine has there is neither used nor touched.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { until } from './dump.ts'
import { type Handler, handlerScript, scratchDirectory } from './handlers.ts'

/** It keeps the core uncompressed while it compresses: twice the heap, and KeepFree= on top. */
const DISK_BYTES_FREE_MIN = 8e9
const DISK_DIRECTORY = '/var/tmp'
/** A 1.5 GB heap compressed to a hundredth: anything smaller is not that core. */
const STORED_BYTES_MIN = 15e6
/** Nice= of its unit, systemd-coredump@.service. */
const NICE = 9

export interface SystemdCoredump extends Handler {
  readonly version: string
  /** Where it stores: `/var/tmp (ext4)`. */
  readonly disk: string
  /** Removes the one core that it stored; an error when there is none. */
  takeStored(): Promise<void>
  stop(): Promise<void>
}

/** @returns Why it cannot be run here, or undefined. */
export function whyNoSystemdCoredump(): string | undefined {
  if (!existsSync('/usr/bin/systemd-socket-activate')) return 'no systemd-socket-activate (package systemd)'
  if (!existsSync('/usr/bin/apt-get')) return 'not Debian or Ubuntu: no package systemd-coredump to take'
  const { bavail, bsize } = statfsSync(DISK_DIRECTORY)
  if (bavail * bsize < DISK_BYTES_FREE_MIN) return `less than 8 GB are free in ${DISK_DIRECTORY}`
  return undefined
}

/** Starts the service's half; the kernel's half is the handler. */
export async function startSystemdCoredump(): Promise<SystemdCoredump> {
  const dir = scratchDirectory()
  const disk = mkdtempSync(join(DISK_DIRECTORY, 'corelift-bench-'))
  const version = unpackPackage(dir)
  const program = join(dir, 'package', 'lib', 'systemd', 'systemd-coredump')
  const cores = join(disk, 'systemd', 'coredump')
  mkdirSync(cores, { recursive: true })
  const activator = await startActivator(disk, program)

  const { path, pid } = handlerScript(
    dir,
    `exec nsenter --mount=/proc/${activator.pid}/ns/mnt ${program} "$@"`,
  )
  return {
    // The specifiers of Debian's 50-coredump.conf, which says why %c is not among them.
    pattern: `|${path} %P %u %g %s %t 9223372036854775808 %h %d`,
    pid,
    version,
    disk: `${DISK_DIRECTORY} (${execFileSync('stat', ['-f', '-c', '%T', disk], { encoding: 'utf8' }).trim()})`,
    takeStored: () => takeStored(cores),
    async stop() {
      activator.kill()
      await once(activator, 'exit')
      rmSync(disk, { recursive: true })
      rmSync(dir, { recursive: true })
    },
  }
}

/** @returns The package's version. */
function unpackPackage(dir: string): string {
  execFileSync('apt-get', ['download', 'systemd-coredump'], {
    cwd: dir,
    stdio: ['ignore', 'ignore', 'ignore'],
  })
  const file = readdirSync(dir).find(name => name.endsWith('.deb'))!
  execFileSync('dpkg', ['-x', file, 'package'], { cwd: dir })
  return execFileSync('dpkg-deb', ['-f', file, 'Version'], { cwd: dir, encoding: 'utf8' }).trim()
}

/** systemd-coredump.socket and systemd-coredump@.service: one process for each connection, the socket as fd 3. */
async function startActivator(disk: string, program: string) {
  const activate = `/usr/bin/systemd-socket-activate --seqpacket --accept -l /run/systemd/coredump nice -n ${NICE} ${program}`
  const steps = [
    `mount --bind ${disk} /var/lib`,
    'mount -t tmpfs tmpfs /run',
    'mkdir /run/systemd',
    `exec ${activate}`,
  ]
  const child = spawn('unshare', ['--mount', 'sh', '-ec', steps.join('\n')], { stdio: 'ignore' })
  const socket = `/proc/${child.pid}/root/run/systemd/coredump`
  await until('systemd-socket-activate listens', () => child.exitCode !== null || existsSync(socket))
  if (child.exitCode !== null) throw new Error('systemd-socket-activate did not start')
  return child
}

async function takeStored(cores: string): Promise<void> {
  // Files in the making begin with `.#`.
  const isOnlyCore = (names: readonly string[]): boolean =>
    names.length === 1 && names[0]!.startsWith('core.')
  await until('systemd-coredump has stored the core', () => isOnlyCore(readdirSync(cores)))
  const core = join(cores, readdirSync(cores)[0]!)
  const { size } = statSync(core)
  rmSync(core)
  if (size < STORED_BYTES_MIN) throw new Error(`systemd-coredump stored ${size} bytes only`)
}
