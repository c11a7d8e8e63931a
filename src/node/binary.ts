// The binary's versions on a node. Each is in a directory of its own, and a link names the one that counts: nothing that runs
// is ever written to (ETXTBSY), and there is no moment at which the kernel finds nothing to start.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  copyFileSync,
  createReadStream,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
} from 'node:fs'
import path from 'node:path'
import { CoreliftError } from '../errors.ts'
import { namesIn, removeTree } from './changes.ts'
import { binaryLink, versionsDir } from './layout.ts'
import { replace } from './paths.ts'
import type { Change } from './transaction.ts'

/** @returns In hex. */
export async function sha256OfFile(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

/**
 * Copies the running binary to its version's place.
 * @param root - Directory that stands for `/`.
 */
export function copyChange(
  root: string,
  source: { readonly path: string; readonly sha256: string },
  name: string,
): Change {
  const file = path.join(root, name)
  return {
    title: `copy the binary to ${name}`,
    // What was cut by a full disk has another sum.
    isDone: async () => existsSync(file) && (await sha256OfFile(file)) === source.sha256,
    apply() {
      mkdirSync(path.dirname(file), { recursive: true, mode: 0o755 })
      replace(file, incoming => {
        copyFileSync(source.path, incoming)
        chmodSync(incoming, 0o755)
        sync(incoming)
      })
      if (root === '/') label(file)
    },
    undo: () => removeTree(path.dirname(file)),
  }
}

function sync(file: string): void {
  const fd = openSync(file, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** There while SELinux is on, enforcing or not. */
const SELINUX = '/sys/fs/selinux/enforce'

/** The kernel starts it as kernel_t, which policies let run what is bin_t. */
function label(file: string): void {
  if (!existsSync(SELINUX)) return
  try {
    execFileSync('chcon', ['-t', 'bin_t', file], { stdio: ['ignore', 'ignore', 'pipe'] })
  } catch (error) {
    throw new CoreliftError('E_INSTALL', `chcon -t bin_t ${file}: ${(error as Error).message}`, {
      hint: 'SELinux would not let the kernel run it: see that policycoreutils or coreutils has chcon',
      cause: error,
    })
  }
}

/** @returns Name of the version that the link leads to; undefined where there is none. */
export function linkedVersion(root: string, prefix: string): string | undefined {
  try {
    return path.basename(path.dirname(readlinkSync(path.join(root, binaryLink(prefix)))))
  } catch {
    return undefined
  }
}

/** Removes versions that are not to be kept and that nothing runs. */
export function pruneVersions(root: string, prefix: string, kept: readonly (string | undefined)[]): void {
  const directory = path.join(root, versionsDir(prefix))
  const running = runningBinaries()
  for (const version of namesIn(directory)) {
    const binary = path.join(directory, version, 'corelift')
    if (!kept.includes(version) && !running.has(binary)) removeTree(path.join(directory, version))
  }
}

/** Paths of what runs: proc_pid_exe(5). */
function runningBinaries(): Set<string> {
  const pids = readdirSync('/proc').filter(name => /^\d+$/.test(name))
  return new Set(
    pids.flatMap(pid => {
      try {
        return [readlinkSync(`/proc/${pid}/exe`)]
      } catch {
        return [] // a kernel thread, or it has ended
      }
    }),
  )
}
