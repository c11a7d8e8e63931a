// The package for Debian and Ubuntu: Debian Policy has the format, deb-control(5) the fields.

import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { nodeScript } from './node-script.ts'
import { run } from './run.ts'
import {
  DESCRIPTION,
  SUMMARY,
  filesOf,
  put,
  putZipped,
  releaseDate,
  setModes,
  stageTree,
  type PackageSource,
} from './tree.ts'

const MAINTAINER = 'corelift <maintainers@corelift.io>'

/** Debian Policy 6.5 has the arguments; the second of `configure` is the version that was configured before. */
const SCRIPTS = {
  postinst: `if [ "$1" = configure ]; then
  if [ -z "\${2-}" ]; then set_up first; else set_up again; fi
fi`,
  prerm: 'if [ "$1" = remove ]; then take_down; fi',
  postrm: 'if [ "$1" = purge ]; then rm -rf /etc/corelift /var/lib/corelift /run/corelift; fi',
} as const

/**
 * strip(1) would cut off what Bun appends to its runtime: the program. The runtime has its libraries in it, so that a node
 * needs glibc alone, and is neither a PIE nor has it RELRO.
 */
const LINTIAN_OVERRIDES = [
  'unstripped-binary-or-object',
  'embedded-library',
  'hardening-no-pie',
  'hardening-no-relro',
]

/**
 * @param work - A directory for what is made on the way.
 * @param packing - `fast` for tests of the whole binary: a third larger, in a fifth of the time.
 * @returns The package's path, in `out`.
 */
export function buildDeb(
  source: PackageSource,
  work: string,
  out: string,
  packing: 'small' | 'fast' = 'small',
): string {
  const tree = join(work, 'deb')
  stageTree(tree, source, 'usr/share/zsh/vendor-completions')
  const doc = 'usr/share/doc/corelift'
  put(tree, `${doc}/copyright`, copyright(releaseDate(source).slice(0, 4)))
  putZipped(tree, `${doc}/changelog`, changelog(source))
  const overrides = LINTIAN_OVERRIDES.map(tag => `corelift: ${tag} *\n`).join('')
  put(tree, 'usr/share/lintian/overrides/corelift', overrides)
  const files = filesOf(tree)
  put(tree, 'DEBIAN/md5sums', files.map(file => `${md5(join(tree, file))}  ${file}\n`).join(''))
  put(tree, 'DEBIAN/control', control(source, installedKib(tree, files)))
  for (const [name, last] of Object.entries(SCRIPTS))
    put(tree, `DEBIAN/${name}`, nodeScript(source.root, last))
  setModes(tree, ['usr/bin/corelift', ...Object.keys(SCRIPTS).map(name => `DEBIAN/${name}`)])
  mkdirSync(out, { recursive: true })
  const file = join(out, `corelift_${debVersion(source)}_amd64.deb`)
  // xz: Debian's own tools take no newer one yet.
  const level = packing === 'fast' ? ['-z1'] : []
  run('dpkg-deb', ['--root-owner-group', '-Zxz', ...level, '--build', tree, file], source.epochSeconds)
  return file
}

/** A pre-release sorts before its release: deb-version(7). */
const debVersion = ({ version }: PackageSource): string => version.replace('-', '~')

function control(source: PackageSource, kib: number): string {
  return `Package: corelift
Version: ${debVersion(source)}
Architecture: amd64
Maintainer: ${MAINTAINER}
Installed-Size: ${kib}
Depends: libc6 (>= 2.34)
Suggests: gdb | lldb | delve
Section: admin
Priority: optional
Description: ${SUMMARY}
${DESCRIPTION.join('\n.\n').replace(/^/gm, ' ')}
`
}

/** A native package has a changelog of its own, whose first entry is this version. */
function changelog(source: PackageSource): string {
  const date = new Date(source.epochSeconds * 1000).toUTCString().replace('GMT', '+0000')
  return `corelift (${debVersion(source)}) unstable; urgency=medium

  * What changes for users is in CHANGELOG.md.

 -- ${MAINTAINER}  ${date}
`
}

/** @param year - Of the release. */
const copyright = (
  year: string,
): string => `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: corelift
Comment:
 The binary contains npm packages and Bun's runtime; their licences are in
 /usr/share/doc/corelift/third-party-licences.gz.

Files: *
Copyright: ${year} corelift's authors
License: Apache-2.0
 On Debian systems the full text of the Apache License, Version 2.0 can be
 found in /usr/share/common-licenses/Apache-2.0.
`

function md5(file: string): string {
  return createHash('md5').update(readFileSync(file)).digest('hex')
}

/** As dpkg-gencontrol(1) counts: each file in whole KiB. */
function installedKib(tree: string, files: readonly string[]): number {
  return files.reduce((sum, file) => sum + Math.ceil(statSync(join(tree, file)).size / 1024), 0)
}
