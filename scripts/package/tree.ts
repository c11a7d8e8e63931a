// What both packages bring, as a directory that stands for `/`. It is the same wherever and whenever it is made, but for times,
// which dpkg-deb and rpmbuild set to SOURCE_DATE_EPOCH: the same sources give the same package.

import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { completionScript } from '../../src/commands/completion-script.ts'
import { exampleFile } from '../../src/config/example.ts'
import { manualPages, unrunProgram } from '../man/pages.ts'
import { thirdPartyLicences } from './licences.ts'

export interface PackageSource {
  /** Of the sources. */
  readonly root: string
  readonly binary: string
  readonly version: string
  /** Of what is packaged, whenever that is: https://reproducible-builds.org/specs/source-date-epoch/ */
  readonly epochSeconds: number
}

export const SUMMARY = 'crash dumps of Kubernetes nodes in object storage, by pod name'
/** Paragraphs. */
export const DESCRIPTION = [
  `A core dump handler for Kubernetes nodes. The kernel starts it when a process
crashes; it finds out which pod and container the process belonged to, and
streams the core, compressed, into object storage, without writing to the
node's root disk. The same program lists, inspects and fetches crashes.`,
  `Installing the package changes nothing of the kernel's configuration unless
/etc/corelift/config.toml is there: see corelift(1) and corelift-install(8).`,
]

const DOC = 'usr/share/doc/corelift'

export function releaseDate({ epochSeconds }: PackageSource): string {
  return new Date(epochSeconds * 1000).toISOString().slice(0, 10)
}

/**
 * Writes all that does not depend on the format. No file of /etc: a configuration that came with the package would have to
 * be somebody's.
 * @param zshDirectory - Where the distribution's zsh looks for what packages bring.
 */
export function stageTree(tree: string, source: PackageSource, zshDirectory: string): void {
  const { root, binary, version } = source
  const program = join(tree, 'usr/bin/corelift')
  mkdirSync(dirname(program), { recursive: true })
  copyFileSync(binary, program)
  for (const { name, section, roff } of manualPages({ version, date: releaseDate(source) }))
    putZipped(tree, `usr/share/man/man${section}/${name}.${section}`, roff)
  const commands = unrunProgram(version)
  put(tree, 'usr/share/bash-completion/completions/corelift', completionScript('bash', commands))
  put(tree, `${zshDirectory}/_corelift`, completionScript('zsh', commands))
  put(tree, 'usr/share/fish/vendor_completions.d/corelift.fish', completionScript('fish', commands))
  put(tree, `${DOC}/README.md`, readFileSync(join(root, 'README.md')))
  putZipped(tree, `${DOC}/CHANGELOG.md`, readFileSync(join(root, 'CHANGELOG.md'), 'utf8'))
  put(tree, `${DOC}/examples/config.toml`, exampleFile())
  putZipped(tree, `${DOC}/third-party-licences`, thirdPartyLicences(root))
}

/** @param path - Below the tree. */
export function put(tree: string, path: string, content: string | Uint8Array): void {
  const file = join(tree, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
}

/** As `gzip -9n` does: without a name, and without a time. */
export function putZipped(tree: string, path: string, content: string): void {
  put(tree, `${path}.gz`, gzipSync(content, { level: 9 }))
}

/** @returns Paths of files, below the tree, in order. */
export function filesOf(tree: string): string[] {
  return readdirSync(tree, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name).slice(tree.length + 1))
    .toSorted()
}

/**
 * Modes as packages have them, whatever the umask was.
 * @param executables - Paths of files, below the tree.
 */
export function setModes(tree: string, executables: readonly string[]): void {
  chmodSync(tree, 0o755)
  for (const entry of readdirSync(tree, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name)
    const runs = entry.isDirectory() || executables.includes(file.slice(tree.length + 1))
    chmodSync(file, runs ? 0o755 : 0o644)
  }
}
