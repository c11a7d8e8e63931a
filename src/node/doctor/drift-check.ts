// What others changed since `corelift install`.
import { readInstallState } from '../install-state.ts'
import { SYSCTLS, type SysctlName } from '../layout.ts'
import { ABSENT as NOTHING, readPath } from '../paths.ts'
import { digestOf } from '../state-after.ts'
import { type Check, fail, ok, skipped, someOf, warn } from './check.ts'
import { textOf } from './examined-node.ts'

export const driftCheck: Check = {
  id: 'drift',
  group: 'installation',
  why: 'what others changed since the installation is not what was proved to work',
  fix: 'corelift install',
  needsRoot: true,
  examine(node) {
    const state = readInstallState(node.root)
    if (state === undefined) return skipped('corelift install was not run here')
    const sysctls = Object.entries(state.installed.sysctls).flatMap(([name, value]) => {
      const now = Object.hasOwn(SYSCTLS, name) ? textOf(node, SYSCTLS[name as SysctlName]) : undefined
      return now === undefined || now === value ? [] : [`${name} is ${now}`]
    })
    const paths = Object.entries(state.installed.paths)
      .map(([name, was]) => ({ name, was, is: digestAt(node.root, name) }))
      .filter(({ was, is }) => was !== is)
    const gone = paths.filter(({ is }) => is === ABSENT).map(({ name }) => `${name} is gone`)
    const differing = paths.filter(({ is }) => is !== ABSENT).map(({ name }) => `${name} differs`)
    if (gone.length > 0) return fail(someOf([...gone, ...sysctls, ...differing]))
    if (sysctls.length + differing.length > 0) return warn(someOf([...sysctls, ...differing]))
    return ok(`as corelift ${state.version} left it at ${state.time}`)
  },
}

const ABSENT = digestOf(NOTHING)

/** What is in the way of a file differs from it. */
function digestAt(root: string, name: string): string {
  try {
    return digestOf(readPath(root, name))
  } catch {
    return 'no file'
  }
}
