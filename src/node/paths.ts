// Files and links of a node, read as they are and written as a whole: what an installation changes, it can put back.
import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { CoreliftError } from '../errors.ts'
import type { FormerPath } from './install-state.ts'

/** What is, or is to be, at a path. */
export type PathContent = FormerPath

export const ABSENT: PathContent = { kind: 'absent' }

/** @returns A file of root's. */
export function fileOf(content: string | Uint8Array, mode = 0o644): PathContent {
  return { kind: 'file', mode, uid: 0, gid: 0, contentBase64: Buffer.from(content).toString('base64') }
}

export const linkTo = (target: string): PathContent => ({ kind: 'link', target })

/** Configuration of others is kilobytes; whatever is larger is none. */
const FILE_BYTES_MAX = 64 * 1024

/**
 * @param root - Directory that stands for `/`.
 * @throws CoreliftError `E_INSTALL` for what could not be put back: directories, devices, large files.
 */
export function readPath(root: string, name: string): PathContent {
  const file = path.join(root, name)
  const stat = lstatSync(file, { throwIfNoEntry: false })
  if (stat === undefined) return ABSENT
  if (stat.isSymbolicLink()) return linkTo(readlinkSync(file))
  if (!stat.isFile() || stat.size > FILE_BYTES_MAX)
    throw new CoreliftError('E_INSTALL', `${file} is in the way: no file that could be put back`, {
      hint: 'see what it is, and move it away',
    })
  const { mode, uid, gid } = stat
  return { kind: 'file', mode: mode & 0o7777, uid, gid, contentBase64: readFileSync(file, 'base64') }
}

/** Replaces it in one rename(2), with its directory where there is none. */
export function writePath(root: string, name: string, content: PathContent): void {
  const file = path.join(root, name)
  if (content.kind === 'absent') {
    rmSync(incomingOf(file), { force: true })
    return rmSync(file, { force: true })
  }
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o755 })
  replace(file, incoming => {
    if (content.kind === 'link') symlinkSync(content.target, incoming)
    else writeDurably(incoming, content)
  })
}

const incomingOf = (file: string): string => `${file}.corelift-new`

/** Whether a run that was killed left something beside it. */
export function hasLeftover(root: string, name: string): boolean {
  return lstatSync(incomingOf(path.join(root, name)), { throwIfNoEntry: false }) !== undefined
}

/** @param make - Makes the new one at the path that it is given. */
export function replace(file: string, make: (incoming: string) => void): void {
  const incoming = incomingOf(file)
  try {
    rmSync(incoming, { force: true }) // of a run that was killed
    make(incoming)
    renameSync(incoming, file)
  } catch (error) {
    rmSync(incoming, { force: true })
    throw error
  }
}

function writeDurably(file: string, content: Extract<PathContent, { kind: 'file' }>): void {
  const fd = openSync(file, 'wx', 0o600)
  try {
    writeFileSync(fd, Buffer.from(content.contentBase64, 'base64'))
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  chownSync(file, content.uid, content.gid)
  chmodSync(file, content.mode)
}

export function isSame(a: PathContent, b: PathContent): boolean {
  if (a.kind === 'link' && b.kind === 'link') return a.target === b.target
  if (a.kind !== 'file' || b.kind !== 'file') return a.kind === b.kind
  return a.contentBase64 === b.contentBase64 && a.mode === b.mode && a.uid === b.uid && a.gid === b.gid
}

/** @returns Directories that are not there yet for these paths, parents first. */
export function missingDirectories(root: string, names: readonly string[]): string[] {
  const missing = new Set<string>()
  const visit = (directory: string): void => {
    if (missing.has(directory) || lstatSync(path.join(root, directory), { throwIfNoEntry: false })) return
    visit(path.dirname(directory))
    missing.add(directory)
  }
  for (const name of names) visit(path.dirname(name))
  return [...missing]
}
