// Whether the kernel's security modules let the handler do its work, from what they logged: SELinux's and AppArmor's audit
// records, in the kernel log where no audit daemon takes them.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { printable } from '../../printable.ts'
import { type Check, counted, fail, ok, warn } from './check.ts'
import { type ExaminedNode, placeIn, textOf } from './examined-node.ts'

/** A record about a process or a file of that name; containers may have such too, so it is worth a look and no proof. */
const ABOUT_US = /\b(?:comm|name|path|exe|profile)="[^"]*\bcorelift\b[^"]*"/
const SELINUX_DENIAL = /\bavc:\s+denied\b/
const APPARMOR_DENIAL = /\bapparmor="DENIED"/

/** @param text - Of a record of the kernel log, or of a line of the audit log. */
export function isDenial(text: string): boolean {
  return ABOUT_US.test(text) && (SELINUX_DENIAL.test(text) || APPARMOR_DENIAL.test(text))
}

const AUDIT_LOG = '/var/log/audit/audit.log'
/** Its end: some thousand records. */
const AUDIT_BYTES_MAX = 1024 * 1024

function denialsOf(node: ExaminedNode, kind: RegExp): string[] {
  const logged = (node.kernelLog() ?? []).map(({ text }) => text)
  return [...logged, ...endOf(placeIn(node, AUDIT_LOG)).split('\n')].filter(
    text => isDenial(text) && kind.test(text),
  )
}

/** @returns Nothing where it cannot be read. */
function endOf(file: string): string {
  try {
    const fd = openSync(file, 'r')
    try {
      const { size } = fstatSync(fd)
      const bytes = Buffer.alloc(Math.min(size, AUDIT_BYTES_MAX))
      return bytes.toString('latin1', 0, readSync(fd, bytes, 0, bytes.length, size - bytes.length))
    } finally {
      closeSync(fd)
    }
  } catch {
    return ''
  }
}

const RECORD_CHARACTERS_MAX = 200

/** The last one says most: it was not mended by what came since. */
function denialWords(denials: readonly string[]): string {
  return `${counted(denials.length, 'denial')}, the last: ${printable(denials.at(-1) ?? '', RECORD_CHARACTERS_MAX)}`
}

export const selinuxCheck: Check = {
  id: 'selinux',
  group: 'node',
  why: 'the kernel starts the handler in a domain of its own, which may run and read what the policy says',
  fix: 'corelift install; ausearch -m avc -c corelift shows what is denied',
  needsRoot: true,
  examine(node) {
    const enforce = textOf(node, '/sys/fs/selinux/enforce')
    if (enforce === undefined) return ok('not in use')
    const denials = denialsOf(node, SELINUX_DENIAL)
    const mode = enforce === '1' ? 'enforcing' : 'permissive'
    if (denials.length === 0) return ok(`${mode}, no denial about corelift`)
    return (enforce === '1' ? fail : warn)(`${mode}: ${denialWords(denials)}`)
  },
}

export const apparmorCheck: Check = {
  id: 'apparmor',
  group: 'node',
  why: 'a profile that fits the path of the binary confines the handler too',
  fix: 'aa-status shows which profile it is; aa-disable takes it away',
  needsRoot: true,
  examine(node) {
    if (textOf(node, '/sys/module/apparmor/parameters/enabled') !== 'Y') return ok('not in use')
    const denials = denialsOf(node, APPARMOR_DENIAL)
    if (denials.length > 0) return fail(denialWords(denials))
    return ok('in use, no denial about corelift')
  },
}
