// Where a crash's executable and libraries have to lie so that a debugger finds them under the names that the core has:
// a tree like the container's own, of files and relative links. Pure. Every name is a workload's, or of whoever wrote
// the manifest: none leaves the tree, and none leads through another.
import { posix } from 'node:path'
import type { Manifest, ManifestFile } from '../store/manifest.ts'
import { parseDebugFileKey } from '../store/keys.ts'

/** Relative to the tree, without `.` and `..`. */
export type TreePath = string

export interface SysrootPlan {
  /** One for each file, by its key. */
  readonly files: readonly PlannedFile[]
  readonly links: readonly {
    readonly path: TreePath
    /** Relative to its own directory. */ readonly target: string
  }[]
  /** That have to be there, empty as they may be: names lead through them and back. */
  readonly directories: readonly TreePath[]
  /** The program. */
  readonly executable: TreePath | undefined
  /** Where relative names are looked for: the working directory (lldb), then those that they lead to (gdb). */
  readonly searchPaths: readonly TreePath[]
  /** Files that are not to be had, as the manifest has them. */
  readonly missing: readonly ManifestFile[]
}

export interface PlannedFile {
  readonly path: TreePath
  /** In the store. */
  readonly key: string
  /** Of the file. */
  readonly bytes: number | undefined
}

/** NAME_MAX; a path is far below PATH_MAX, so that there is room for where the tree is. */
const COMPONENT_BYTES_MAX = 255
const PATH_BYTES_MAX = 2048
/** What the kernel puts behind the path of a file that was removed: d_path() in fs/d_path.c. */
const DELETED = ' (deleted)'
/** For a file whose every name is another's. */
const ASIDE = '.corelift'

/** @returns An empty plan for manifests of a time when files were not listed. */
export function planSysroot({ files, process }: Pick<Manifest, 'files' | 'process'>): SysrootPlan {
  const tree = new Tree()
  const mapped = files?.mapped ?? []
  const cwd = process === null ? undefined : normalPath(process.cwd)
  const names = namesOf(files, process?.cwd)
  for (const { name, file } of names) tree.claim(name, file)
  const homes = new Map<number, TreePath>()
  const links: { path: TreePath; target: string }[] = []
  for (const [file, one] of mapped.entries()) {
    if (!isStored(one)) continue
    const claimed = tree.claimedBy(file)
    const own = normalPath(one.path)?.path
    const aside = () => tree.claim({ path: `${ASIDE}/${file}/${one.key}`, through: [] }, file)
    const home = claimed.find(path => path === own) ?? claimed[0] ?? aside()
    if (home === undefined) continue
    homes.set(file, home)
    for (const path of claimed)
      if (path !== home) links.push({ path, target: posix.relative(posix.dirname(path), home) })
  }
  const { executable } = files ?? {}
  return {
    files: [...homes].map(([file, path]) => ({ path, key: mapped[file]!.key!, bytes: mapped[file]!.bytes })),
    links,
    directories: tree.directories(),
    executable: executable === undefined ? undefined : homes.get(executable),
    searchPaths:
      cwd === undefined ? [] : [...new Set([cwd.path, ...relativeNames(tree, files, process?.cwd)])],
    missing: mapped.filter((_, file) => !homes.has(file)),
  }
}

function isStored(file: ManifestFile | undefined): file is ManifestFile & { key: string } {
  return file?.key !== undefined && parseDebugFileKey(file.key) !== undefined
}

interface Name {
  readonly path: TreePath
  /** Directories that the name goes through, and leaves again by `..`. */
  readonly through: readonly TreePath[]
}

/** What the dynamic linker asks for comes first: it knows which of two files of the same path is meant. */
function namesOf(files: Manifest['files'], cwd: string | undefined): { name: Name; file: number }[] {
  const mapped = files?.mapped ?? []
  const paths = mapped.map(({ path, raw }) => (raw === undefined ? path : ''))
  const named = [
    ...(files?.linkMap ?? []).map(({ name, file }) => ({ text: absolute(name, cwd), file })),
    ...paths.map((text, file) => ({ text, file })),
    ...paths.map((text, file) => ({
      text: text.endsWith(DELETED) ? text.slice(0, -DELETED.length) : '',
      file,
    })),
  ]
  return named.flatMap(({ text, file }) => {
    const name = normalPath(text)
    return name === undefined || !isStored(mapped[file]) ? [] : [{ name, file }]
  })
}

/** Directories of the link map's relative names, as far as these are in the tree. */
function relativeNames(tree: Tree, files: Manifest['files'], cwd: string | undefined): TreePath[] {
  return (files?.linkMap ?? []).flatMap(({ name, file }) => {
    if (name === '' || name.startsWith('/')) return []
    const path = normalPath(absolute(name, cwd))?.path
    return path !== undefined && tree.claimedBy(file).includes(path) ? [posix.dirname(path)] : []
  })
}

const absolute = (name: string, cwd: string | undefined): string =>
  name === '' || name.startsWith('/') || cwd === undefined ? name : `${cwd}/${name}`

/** @returns undefined for names that leave the tree on their way, or that no terminal or file system should be shown. */
function normalPath(text: string): Name | undefined {
  if (!text.startsWith('/') || Buffer.byteLength(text) > PATH_BYTES_MAX) return undefined
  if (/[\p{Cc}\p{Cf}\u2028\u2029\ufffd]/u.test(text)) return undefined
  const kept: string[] = []
  const through: TreePath[] = []
  for (const part of text.split('/')) {
    if (part === '' || part === '.') continue
    if (part === '..') {
      if (kept.length === 0) return undefined
      through.push(kept.join('/'))
      kept.pop()
    } else if (Buffer.byteLength(part) > COMPONENT_BYTES_MAX) return undefined
    else kept.push(part)
  }
  // The root itself is where relative names may be looked for, and no file's.
  return { path: kept.join('/'), through }
}

/** Names are leaves: none leads through another. */
class Tree {
  readonly #files = new Map<TreePath, number>()
  readonly #parents = new Set<TreePath>()

  /** @returns The path, where it is the file's now. */
  claim({ path, through }: Name, file: number): TreePath | undefined {
    const parents = [...through, path].flatMap(parentsOf)
    const entered = [...parents, ...through]
    if (path === '' || this.#parents.has(path) || entered.includes(path)) return undefined
    if (this.#files.has(path) || entered.some(parent => this.#files.has(parent))) return undefined
    this.#files.set(path, file)
    for (const parent of entered) this.#parents.add(parent)
    return path
  }

  claimedBy(file: number): TreePath[] {
    return [...this.#files].flatMap(([path, owner]) => (owner === file ? [path] : []))
  }

  directories(): TreePath[] {
    return [...this.#parents].toSorted()
  }
}

/** `a`, `a/b` of `a/b/c`. */
function parentsOf(path: TreePath): TreePath[] {
  const parts = path.split('/')
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'))
}
