// The changes that installations are made of.
import { readdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { CoreliftError } from '../errors.ts'
import { readSysctl, SYSCTLS, type SysctlName } from './layout.ts'
import { hasLeftover, isSame, type PathContent, readPath, writePath } from './paths.ts'
import type { Systemd } from './systemctl.ts'
import type { Change } from './transaction.ts'

/**
 * Puts a file or a link at its place, or takes it away.
 * @param root - Directory that stands for `/`.
 * @param onChange - Called before it is changed, and before that is undone.
 */
export function pathChange(
  root: string,
  name: string,
  wanted: PathContent,
  onChange: () => void = () => undefined,
): Change {
  let former: PathContent | undefined
  return {
    title: pathTitle(name, wanted),
    isDone: () => isSame((former = readPath(root, name)), wanted) && !hasLeftover(root, name),
    apply() {
      onChange()
      writePath(root, name, wanted)
    },
    undo: () => writePath(root, name, former!),
  }
}

function pathTitle(name: string, wanted: PathContent): string {
  if (wanted.kind === 'absent') return `remove ${name}`
  if (wanted.kind === 'file') return `write ${name}`
  return wanted.target === '/dev/null' ? `mask ${path.basename(name)}` : `link ${name} to ${wanted.target}`
}

export function sysctlChange(name: SysctlName, wanted: string): Change {
  let former: string | undefined
  return {
    title: `set ${name}=${wanted}`,
    isDone: () => (former = readSysctl(name)) === wanted,
    apply: () => setSysctl(name, wanted),
    undo: () => setSysctl(name, former!),
  }
}

/** @throws CoreliftError `E_INSTALL` where the kernel does not take it. */
export function setSysctl(name: SysctlName, value: string): void {
  try {
    // open(2) with O_TRUNC: a plain file that stands for it is not to keep the end of a longer value.
    writeFileSync(SYSCTLS[name], `${value}\n`)
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code
    throw new CoreliftError('E_INSTALL', `${name} cannot be set: ${why}`, {
      hint: 'write to it by hand to see what keeps root from it: a container’s read-only /proc/sys, or a lockdown',
      cause: error,
    })
  }
  const taken = readSysctl(name)
  if (taken !== value)
    throw new CoreliftError('E_INSTALL', `${name} is ${JSON.stringify(taken)} after writing ${value}`, {
      hint: 'somebody else sets it too, or the kernel does not take this value',
    })
}

/** Starts a unit that is to run from now on. */
export function startChange(systemd: Systemd, unit: string): Change {
  return {
    title: `start ${unit}`,
    isDone: () => systemd.isActive(unit),
    apply: () => systemd.start(unit),
    undo: () => systemd.stop(unit),
  }
}

export function stopChange(systemd: Systemd, unit: string): Change {
  return {
    title: `stop ${unit}`,
    isDone: async () => !(await systemd.isActive(unit)),
    apply: () => systemd.stop(unit),
  }
}

/** Removes directories that are empty, children first; what others put there stays. */
export function removeEmptyDirectories(root: string, directories: readonly string[]): void {
  for (const directory of directories.toReversed()) {
    try {
      rmdirSync(path.join(root, directory))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'ENOTEMPTY' && code !== 'ENOENT' && code !== 'EBUSY') throw error
    }
  }
}

/** @returns Names in a directory; none where there is no such directory. */
export function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

export function removeTree(directory: string): void {
  rmSync(directory, { recursive: true, force: true })
}
