// What would outrank corelift's sysctls at the next boot: sysctl.d(5). Of files of one name only that in the first directory
// counts; the files are applied in the order of their names, and the last assignment holds.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { SYSCTL_FILE, SYSCTLS, type SysctlName } from './layout.ts'

/** An assignment by somebody else that would hold. */
export interface SysctlConflict {
  readonly name: SysctlName
  readonly value: string
  readonly file: string
  /** From 1. */
  readonly line: number
}

export type SysctlValues = Readonly<Partial<Record<SysctlName, string>>>

/** The first prevails. On older systems /lib is a directory of its own. */
const DIRECTORIES = [
  '/etc/sysctl.d',
  '/run/sysctl.d',
  '/usr/local/lib/sysctl.d',
  '/usr/lib/sysctl.d',
  '/lib/sysctl.d',
]

/** systemd does not read it, but for a link in one of the directories; `sysctl --system` of procps does, last of all. */
const SYSCTL_CONF = '/etc/sysctl.conf'

/**
 * Finds assignments that come after those of SYSCTL_FILE, whether that is there yet or not, and hold against them.
 * @param wanted - What SYSCTL_FILE says, or is to say.
 * @param root - Directory that stands for `/`.
 * @returns At most one for each sysctl and program that applies them (systemd, procps).
 */
export function sysctlConflicts(wanted: SysctlValues, root = '/'): SysctlConflict[] {
  const later = filesInOrder(root).filter(file => path.basename(file) > path.basename(SYSCTL_FILE))
  const bySystemd = assignmentsIn(root, later)
  const byProcps = assignmentsIn(root, [SYSCTL_CONF])
  return (Object.keys(wanted) as SysctlName[]).flatMap(name => {
    const holding = [bySystemd, byProcps].flatMap(each => each.findLast(found => found.name === name) ?? [])
    return holding.filter(({ value }) => value !== wanted[name])
  })
}

/** @returns What SYSCTL_FILE says; empty where there is none. */
export function ownSysctls(root = '/'): SysctlValues {
  return Object.fromEntries(assignmentsIn(root, [SYSCTL_FILE]).map(({ name, value }) => [name, value]))
}

function filesInOrder(root: string): string[] {
  const files = new Map<string, string>()
  for (const directory of DIRECTORIES)
    for (const name of namesIn(path.join(root, directory)))
      if (name.endsWith('.conf') && !files.has(name)) files.set(name, path.join(directory, name))
  return [...files].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, file]) => file)
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

/** Patterns of names (`kernel.*`) are left aside: what a file names outranks them, in whichever order. */
function assignmentsIn(root: string, files: readonly string[]): SysctlConflict[] {
  return files.flatMap(file =>
    textOf(path.join(root, file))
      .split('\n')
      .flatMap((text, index) => {
        const [, written = '', value = ''] = /^\s*-?\s*([^#;=\s]+)\s*=\s*(.*?)\s*$/.exec(text) ?? []
        // `kernel/core_pattern` is another spelling.
        const name = written.replaceAll('/', '.')
        return isOurs(name) ? [{ name, value, file, line: index + 1 }] : []
      }),
  )
}

const isOurs = (name: string): name is SysctlName => Object.hasOwn(SYSCTLS, name)

/** A file that cannot be read assigns nothing; a link to /dev/null is how one is switched off. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
