// What the kernel is told to do with a crash: core(5), and the kernel's Documentation/admin-guide/sysctl/kernel.rst.
import { SYSCTL_FILE, SYSCTLS, type SysctlName } from '../layout.ts'
import { type PatternOwner, patternOwner } from '../pattern-owner.ts'
import { ownSysctls, sysctlConflicts } from '../sysctl-conflicts.ts'
import { pipeLimit } from '../sysctl-files.ts'
import { type Check, fail, type Finding, ok, skipped, someOf, warn } from './check.ts'
import { type ExaminedNode, hasFile, ownerOf, textOf } from './examined-node.ts'

const sysctlOf = (node: ExaminedNode, name: SysctlName): string | undefined => textOf(node, SYSCTLS[name])

const APPLY = `sysctl -p ${SYSCTL_FILE}`
const INSTALL = 'corelift install'

export const corePatternCheck: Check = {
  id: 'core-pattern',
  group: 'kernel',
  why: 'the kernel gives every crash to what kernel.core_pattern names, and to nothing else',
  fix: APPLY,
  needsRoot: false,
  examine(node) {
    const pattern = sysctlOf(node, 'kernel.core_pattern')
    if (pattern === undefined) return skipped('kernel.core_pattern cannot be read')
    const owner = patternOwner(pattern)
    if (owner.kind === 'corelift') return ok(pattern)
    if (owner.kind === 'other-version')
      return fail(`${pattern}: the specifiers of another version of corelift`, INSTALL)
    const mend = hasFile(node, SYSCTL_FILE) ? APPLY : INSTALL
    return fail(`not ours: ${ownerWords(owner, pattern)}`, mend)
  },
}

function ownerWords(owner: PatternOwner, pattern: string): string {
  if (owner.kind === 'file')
    return pattern === ''
      ? 'it is empty: the kernel writes files named core'
      : `the kernel writes files (${pattern}) into the file systems of the processes that crash`
  const known = 'name' in owner && owner.name !== undefined ? `${owner.name} has it` : 'somebody has it'
  return `${known} (${pattern})`
}

export const pipeLimitCheck: Check = {
  id: 'core-pipe-limit',
  group: 'kernel',
  why: 'at 0 /proc/PID may be gone before it is read, and nothing bounds the handlers; over the limit crashes get no handler at all',
  fix: 'sysctl -w kernel.core_pipe_limit=256',
  needsRoot: false,
  examine(node) {
    const text = sysctlOf(node, 'kernel.core_pipe_limit')
    const kibibytes = /^MemTotal: +(\d+) kB$/m.exec(textOf(node, '/proc/meminfo') ?? '')?.[1]
    if (text === undefined) return skipped('kernel.core_pipe_limit cannot be read')
    const wanted = pipeLimit(Number(kibibytes ?? Infinity) * 1024)
    const mend = `sysctl -w kernel.core_pipe_limit=${wanted}`
    if (text === '0')
      return fail('0: crashes may be filed under nobody, and handlers are without bound', mend)
    return Number(text) < wanted ? warn(`${text}, where ${wanted} fits this node's memory`, mend) : ok(text)
  },
}

export const suidDumpableCheck: Check = {
  id: 'suid-dumpable',
  group: 'kernel',
  why: "at 0 processes that change their user, such as nginx's workers, leave no core; at 1 their memory can be read by others",
  fix: 'sysctl -w fs.suid_dumpable=2',
  needsRoot: false,
  examine(node) {
    const text = sysctlOf(node, 'fs.suid_dumpable')
    if (text === '2') return ok(text)
    if (text === '1')
      return fail('1: meant for debugging a whole system, it lifts the protection of such processes')
    return text === undefined
      ? skipped('fs.suid_dumpable cannot be read')
      : warn(`${text}: processes that changed their user do not reach the handler`)
  },
}

export const coreModesCheck: Check = {
  id: 'core-modes',
  group: 'kernel',
  why: 'the handler is started through a pipe; a kernel whose pattern can name sockets lets others take crashes that way too',
  fix: 'boot a kernel that has `pipe` in /proc/sys/kernel/core_modes',
  needsRoot: false,
  examine(node) {
    const modes = textOf(node, '/proc/sys/kernel/core_modes')?.split(/\s+/)
    // Kernels before it have files and pipes.
    if (modes === undefined) return ok('not told by this kernel; all that do not tell have pipes')
    return modes.includes('pipe') ? ok(modes.join(', ')) : fail(`${modes.join(', ')}: no pipes`)
  },
}

export const sysctlFilesCheck: Check = {
  id: 'sysctl-files',
  group: 'kernel',
  why: 'what the sysctl.d files say last holds from the next boot on',
  fix: 'remove the lines, or give the file a name that sorts before 60-corelift.conf',
  needsRoot: false,
  examine(node) {
    const own = ownSysctls(node.root)
    if (own['kernel.core_pattern'] === undefined) return withoutOwn(node)
    const conflicts = sysctlConflicts(own, node.root)
    if (conflicts.length === 0) return ok(`nothing outranks ${SYSCTL_FILE}`)
    const words = conflicts.map(({ name, value, file, line }) => `${file}:${line} sets ${name} to ${value}`)
    const takesPattern = conflicts.some(({ name }) => name === 'kernel.core_pattern')
    return (takesPattern ? fail : warn)(someOf(words))
  },
}

function withoutOwn(node: ExaminedNode): Finding {
  if (ownerOf(node)?.kind !== 'corelift') return skipped(`there is no ${SYSCTL_FILE} that could be outranked`)
  return warn(`${SYSCTL_FILE} does not set kernel.core_pattern: it is not ours after the next boot`, INSTALL)
}
