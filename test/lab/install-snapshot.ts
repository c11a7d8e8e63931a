// What an installation may change on a node, as it is: to be compared with what it was.
import type { InstallNode } from './install-node.ts'

export interface NodeSnapshot {
  /** By path: kind, mode, owner, and the target of a link or the sum of a file. */
  readonly files: Readonly<Record<string, string>>
  readonly sysctls: Readonly<Record<string, string>>
  /** Active state by unit. */
  readonly units: Readonly<Record<string, string>>
}

const PLACES = '/etc /usr/local /opt /var/lib/corelift /run/corelift /run/systemd/system'
const UNITS = [
  'systemd-coredump.socket',
  'corelift-sweep.timer',
  'corelift-sweep.service',
  'corelift.slice',
  'lab-sysctls.service',
]

export async function nodeSnapshot(node: InstallNode): Promise<NodeSnapshot> {
  // /opt/corelift is the binary's own place, bound there.
  const listing = await node.sh(
    `find ${PLACES} -path /opt/corelift -prune -o -printf '%p\\t%y %m %U:%G %l\\n' 2>/dev/null; true`,
  )
  const sums = await node.sh(
    `find ${PLACES} -path /opt/corelift -prune -o -type f -print0 2>/dev/null | xargs -0 sha256sum`,
  )
  const sumOf = new Map(
    sums
      .trim()
      .split('\n')
      .map(line => [line.slice(66), line.slice(0, 64)] as const),
  )
  const lines = listing
    .trim()
    .split('\n')
    .map(line => line.split('\t') as [string, string])
  const active = (await node.run('systemctl', 'is-active', ...UNITS)).stdout.trim().split('\n')
  return {
    files: Object.fromEntries(lines.map(([name, facts]) => [name, `${facts}${sumOf.get(name) ?? ''}`])),
    sysctls: node.sysctls(),
    units: Object.fromEntries(UNITS.map((unit, at) => [unit, active[at] ?? ''])),
  }
}
