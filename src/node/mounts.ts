// Mounts of a process, from /proc/PID/mountinfo: proc_pid_mountinfo(5).
import { readFileSync } from 'node:fs'

export interface Mount {
  readonly mountPoint: string
  /** `rw`, `noexec` and the like, of this mount. */
  readonly options: readonly string[]
  readonly filesystem: string
}

export function parseMounts(mountinfo: string): Mount[] {
  return mountinfo.split('\n').flatMap(line => {
    const [before, after] = line.split(' - ')
    const [, , , , mountPoint, options] = before?.split(' ') ?? []
    if (mountPoint === undefined || options === undefined || after === undefined) return []
    const plain = mountPoint.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    )
    return [{ mountPoint: plain, options: options.split(','), filesystem: after.split(' ')[0] ?? '' }]
  })
}

/**
 * The mount that a path is on, symbolic links not followed.
 * @param mountinfo - Of the process whose view counts.
 */
export function mountOf(
  file: string,
  mountinfo = readFileSync('/proc/self/mountinfo', 'utf8'),
): Mount | undefined {
  const holds = ({ mountPoint }: Mount) =>
    mountPoint === '/' || file === mountPoint || file.startsWith(`${mountPoint}/`)
  // Of two mounts on one place the later one hides the other.
  return parseMounts(mountinfo)
    .filter(holds)
    .reduce<Mount | undefined>(
      (best, mount) => (mount.mountPoint.length >= (best?.mountPoint.length ?? 0) ? mount : best),
      undefined,
    )
}

/**
 * Whether two processes have the same mounts: ids of mounts are unique, so that one root mount is one namespace. Into the
 * namespace itself, /proc/1/ns, not every root may look.
 */
export function isSameNamespace(mountinfo: string, other: string): boolean {
  const id = rootMountId(mountinfo)
  return id !== undefined && id === rootMountId(other)
}

const rootMountId = (mountinfo: string): string | undefined => /^(\d+) \d+ \S+ \S+ \/ /m.exec(mountinfo)?.[1]
