// /proc/<pid>/maps: which files a process has mapped, and which of them must not be touched. proc_pid_maps(5).
import type { MappedFile } from '../core/notes.ts'
import type { HostileBytes } from '../crash.ts'

/** A range of memory; numbers as in core/memory.ts. */
export interface MemoryRange {
  readonly start: number
  readonly end: number
}

/** A mapping of a file. */
export interface FileMapping extends MappedFile {
  /** `major:minor` of the file's device, in hexadecimal as maps has it. */
  readonly device: string
}

/** `start-end perms offset device inode   path`; a newline in a path is `\012`. */
const LINE = /^([0-9a-f]+)-([0-9a-f]+) [rwxsp-]{4} ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+) +(\/.*)$/gm

/** Mappings of files, by address. Lines that are none are passed over. */
export function* fileMappings(maps: HostileBytes): Generator<FileMapping> {
  const text = Buffer.from(maps).toString('latin1')
  for (const [, start, end, offset, device, inode, path] of text.matchAll(LINE)) {
    if (inode === '0') continue
    yield {
      start: BigInt(`0x${start}`),
      end: BigInt(`0x${end}`),
      fileOffset: BigInt(`0x${offset}`),
      path: Buffer.from(path!.replaceAll('\\012', '\n'), 'latin1'),
      device: device!,
    }
  }
}

/**
 * File systems of the node itself. What is on others (FUSE, NFS, 9p and the like) may take for ever to answer, most of
 * all when it is their server that crashed.
 */
const LOCAL = new Set([
  ...['overlay', 'ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'f2fs', 'bcachefs', 'zfs'],
  ...['tmpfs', 'ramfs', 'rootfs', 'squashfs', 'erofs', 'iso9660', 'vfat', 'hugetlbfs'],
])

/**
 * Tells devices of the node's own file systems.
 * @param mountinfos - /proc/<pid>/mountinfo of the process, and of the handler: a container sees less than the host, and
 *   an overlay's files may be shown with the device of the layer below.
 * @returns Whether a device, as `FileMapping` has it, is one; false for one that no mount names.
 */
export function localDevices(mountinfos: readonly HostileBytes[]): (device: string) => boolean {
  const local = new Set<string>()
  const remote = new Set<string>()
  for (const mountinfo of mountinfos) {
    for (const line of Buffer.from(mountinfo).toString('latin1').split('\n')) {
      // Fields up to the separator: id, parent, major:minor, …; behind it the type.
      const [mount = '', filesystem = ''] = line.split(' - ')
      const [major, minor] = (mount.split(' ')[2] ?? '').split(':').map(Number)
      if (major === undefined || minor === undefined || Number.isNaN(major + minor)) continue
      const isLocal = LOCAL.has(filesystem.split(' ')[0] ?? '')
      ;(isLocal ? local : remote).add(`${major}:${minor}`)
    }
  }
  return device => {
    const [major, minor] = device.split(':').map(part => Number.parseInt(part, 16))
    const name = `${major}:${minor}`
    return local.has(name) && !remote.has(name)
  }
}
