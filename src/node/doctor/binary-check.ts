// Whether the kernel can run what core_pattern names: it looks the path up from the root directory and in the mount namespace
// of PID 1, whoever calls doctor from wherever, and is root when it does: what others may change there, they run as root.
import { accessSync, constants, lstatSync, readlinkSync, type Stats } from 'node:fs'
import path from 'node:path'
import { readInstallState } from '../install-state.ts'
import { isSameNamespace, mountOf } from '../mounts.ts'
import { type Check, fail, type Finding, ok, skipped } from './check.ts'
import { type ExaminedNode, ownerOf, placeIn, textOf } from './examined-node.ts'

export const binaryCheck: Check = {
  id: 'binary',
  group: 'installation',
  why: 'the kernel runs it as root, by its own view of the file system; a crash that it cannot run it for is lost',
  fix: 'corelift install',
  needsRoot: true,
  examine(node) {
    const owner = ownerOf(node)
    const binary = owner?.kind === 'corelift' ? owner.binary : readInstallState(node.root)?.binary
    if (binary === undefined) return skipped('kernel.core_pattern names no binary of ours')
    const view = kernelsView(node)
    if (view === undefined)
      return skipped('this is another mount namespace than that of PID 1, and /proc/1/root cannot be read')
    return examineBinary(node, view, binary)
  },
}

/** @returns The directory that is `/` to the kernel; undefined where it cannot be reached from here. */
function kernelsView(node: ExaminedNode): string | undefined {
  const root = placeIn(node, '/proc/1/root')
  try {
    accessSync(path.join(root, '.'), constants.X_OK)
    return root
  } catch {
    return sharesMounts(node) ? node.root : undefined
  }
}

/** Of a PID 1 that even root may not look into. */
function sharesMounts(node: ExaminedNode): boolean {
  const [first, own] = ['1', 'self'].map(pid => textOf(node, `/proc/${pid}/mountinfo`) ?? '')
  return isSameNamespace(first!, own!)
}

function examineBinary(node: ExaminedNode, view: string, binary: string): Finding {
  const walked = walk(view, binary)
  if (walked === undefined) {
    const isElsewhere = view !== node.root && walk(node.root, binary) !== undefined
    return fail(
      isElsewhere
        ? `${binary} is in this mount namespace only, not in that of PID 1`
        : `${binary} is not there`,
    )
  }
  const { end, steps } = walked
  const file = steps.at(-1)!.stat
  if (!file.isFile()) return fail(`${binary} is no file`)
  if ((file.mode & 0o111) === 0) return fail(`${end} is not executable`, `chmod 0755 ${end}`)
  const mount = mountOf(end, textOf(node, '/proc/1/mountinfo') ?? '')
  if (mount?.options.includes('noexec'))
    return fail(
      `${end} is on ${mount.mountPoint}, which is mounted noexec: the kernel starts nothing there`,
      'corelift install --prefix DIR, on another mount',
    )
  const open = steps.find(({ stat }) => !isRoots(stat))
  if (open !== undefined)
    return fail(
      `${open.path} can be changed by others than root`,
      `chown root:root ${open.path}; chmod go-w ${open.path}`,
    )
  return ok(end === binary ? binary : `${binary}, which is ${end}`)
}

interface Step {
  readonly path: string
  readonly stat: Stats
}

/** As many as the kernel follows: MAXSYMLINKS. */
const LINKS_MAX = 40

/**
 * Looks a path up below a directory, whose absolute links lead to places below it too.
 * @returns Every directory, link and file on the way; undefined where the way ends.
 */
function walk(view: string, file: string): { steps: Step[]; end: string } | undefined {
  const steps: Step[] = []
  let at = '/'
  let links = 0
  for (let rest = namesOf(file); rest.length > 0;) {
    const [name = '', ...after] = rest
    rest = after
    const here = path.join(at, name)
    const stat = lstatOf(path.join(view, here))
    if (stat === undefined || links > LINKS_MAX) return undefined
    steps.push({ path: here, stat })
    if (!stat.isSymbolicLink()) {
      at = here
      continue
    }
    links++
    const target = readlinkSync(path.join(view, here))
    if (path.isAbsolute(target)) at = '/'
    rest = [...namesOf(target), ...rest]
  }
  return { steps, end: at }
}

const namesOf = (file: string): string[] => file.split('/').filter(name => name !== '' && name !== '.')

function lstatOf(file: string): Stats | undefined {
  try {
    return lstatSync(file)
  } catch {
    return undefined
  }
}

const STICKY = 0o1000
const GROUP_WRITE = 0o020
const OTHER_WRITE = 0o002

/** In a sticky directory others can neither remove nor rename what is root's. */
function isRoots(stat: Stats): boolean {
  if (stat.uid !== 0) return false
  if (stat.isSymbolicLink() || (stat.isDirectory() && (stat.mode & STICKY) !== 0)) return true
  const isGroups = stat.gid !== 0 && (stat.mode & GROUP_WRITE) !== 0
  return !isGroups && (stat.mode & OTHER_WRITE) === 0
}
