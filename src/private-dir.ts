// Directories that only their owner may change, and that are not on the root file system: what the handlers of a node share.

/** statfs(2), f_type. */
const TMPFS_MAGIC = 0x01021994
const RAMFS_MAGIC = 0x858458f6

/** What `privateDirProblem` looks at. */
export interface PrivateDirFacts {
  readonly mode: number
  readonly uid: number
  readonly euid: number
  /** st_dev of the directory is that of `/`. */
  readonly onRootFilesystem: boolean
  /** statfs(2), f_type. */
  readonly filesystemType: number
}

/**
 * Why a directory must not hold what handlers share: others could use it up or read it, or the root disk would be touched.
 * @returns undefined when it may.
 */
export function privateDirProblem(facts: PrivateDirFacts): string | undefined {
  if (facts.uid !== facts.euid) return `belongs to uid ${facts.uid}, not to ${facts.euid}`
  if ((facts.mode & 0o022) !== 0)
    return `can be written by others (mode ${(facts.mode & 0o7777).toString(8)})`
  return isOnRootDisk(facts) ? 'is on the root file system' : undefined
}

/** A root file system in memory, as a live system has it, is no disk to spare. */
export function isOnRootDisk({
  onRootFilesystem,
  filesystemType,
}: Pick<PrivateDirFacts, 'onRootFilesystem' | 'filesystemType'>): boolean {
  return onRootFilesystem && filesystemType !== TMPFS_MAGIC && filesystemType !== RAMFS_MAGIC
}
