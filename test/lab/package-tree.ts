// A small system for package managers: busybox for a shell, and in the package's place of corelift a script that writes down
// how it is called, and leaves what an installation leaves. dpkg and rpm run a package's scripts in it by chroot(2).
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Why no package can be installed here, or undefined. */
export function whyNoPackages(...tools: readonly string[]): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root, to chroot'
  const lacking = [...tools, 'busybox'].find(tool => spawnSync(tool, ['--help']).error !== undefined)
  return lacking === undefined ? undefined : `needs ${lacking}`
}

/** Stands in for the binary. With a file /fails it ends as it does where an installation fails. */
export const STAND_IN = `#!/bin/sh
echo "$*" >>/calls
[ ! -e /fails ] || exit 9
state=/var/lib/corelift/install.json
case $1 in
  install) mkdir -p /var/lib/corelift && printf '{\\n  "binary": "/usr/bin/corelift"\\n}\\n' >$state ;;
  uninstall) rm $state ;;
esac
`

const STATUS = `Package: libc6
Status: install ok installed
Architecture: amd64
Maintainer: nobody
Description: GNU C library
Version: `

export interface Outcome {
  readonly code: number
  /** What the package manager and the scripts said. */
  readonly said: string
  /** Arguments of corelift, a line for each time it was called. */
  readonly calls: readonly string[]
}

export class PackageTree {
  readonly #root: string

  /** @param glibc - The version that dpkg is told is there. */
  constructor(root: string, glibc = '2.36-9') {
    this.#root = root
    for (const directory of ['bin', 'etc', 'var/lib/dpkg/info', 'var/lib/dpkg/updates', 'run/systemd/system'])
      mkdirSync(join(root, directory), { recursive: true })
    const busybox = execFileSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).trim()
    copyFileSync(busybox, join(root, 'bin', 'busybox'))
    execFileSync('chroot', [root, '/bin/busybox', '--install', '-s', '/bin'])
    this.write('/var/lib/dpkg/status', `${STATUS}${glibc}\n\n`)
    this.write('/var/lib/dpkg/available', '')
  }

  write(path: string, content = ''): void {
    mkdirSync(join(this.#root, path, '..'), { recursive: true })
    writeFileSync(join(this.#root, path), content)
  }

  read(path: string): string {
    return readFileSync(join(this.#root, path), 'utf8')
  }

  remove(path: string): void {
    rmSync(join(this.#root, path), { recursive: true })
  }

  has(path: string): boolean {
    return existsSync(join(this.#root, path))
  }

  dpkg(...args: readonly string[]): Outcome {
    return this.#run('dpkg', ['--root', this.#root, ...args])
  }

  /** rpm knows of no glibc here. */
  rpm(...args: readonly string[]): Outcome {
    return this.#run('rpm', ['--root', this.#root, '--nodeps', ...args])
  }

  #run(command: string, args: readonly string[]): Outcome {
    rmSync(join(this.#root, 'calls'), { force: true })
    const env = { ...process.env, LC_ALL: 'C.UTF-8' }
    const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', env })
    const calls = this.has('/calls') ? this.read('/calls').trimEnd().split('\n') : []
    return { code: status ?? -1, said: stdout + stderr, calls }
  }
}
