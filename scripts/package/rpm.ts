// The package for Fedora, RHEL and Amazon Linux, by rpmbuild(8): https://rpm-software-management.github.io/rpm/manual/spec.html

import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { nodeScript } from './node-script.ts'
import { run } from './run.ts'
import { DESCRIPTION, SUMMARY, filesOf, put, setModes, stageTree, type PackageSource } from './tree.ts'

/**
 * @param work - A directory for what is made on the way.
 * @returns The package's path, in `out`.
 */
export function buildRpm(source: PackageSource, work: string, out: string): string {
  const tree = join(work, 'rpm')
  stageTree(tree, source, 'usr/share/zsh/site-functions')
  copyLicence(tree, source)
  setModes(tree, ['usr/bin/corelift'])
  const spec = join(work, 'corelift.spec')
  writeFileSync(spec, specOf(tree, source))
  const top = join(work, 'rpmbuild')
  const define = (name: string, value: string) => ['--define', `${name} ${value}`]
  run(
    'rpmbuild',
    [
      '-bb',
      '--quiet',
      '--target',
      'x86_64-linux',
      ...define('_topdir', top),
      ...define('_rpmdir', top),
      spec,
    ],
    source.epochSeconds,
  )
  mkdirSync(out, { recursive: true })
  const name = `corelift-${rpmVersion(source)}-1.x86_64.rpm`
  copyFileSync(join(top, 'x86_64', name), join(out, name))
  return join(out, name)
}

function copyLicence(tree: string, { root }: PackageSource): void {
  const path = 'usr/share/licenses/corelift/LICENSE'
  put(tree, path, '')
  copyFileSync(join(root, 'LICENSE'), join(tree, path))
}

/** A pre-release sorts before its release; a hyphen ends a version. */
const rpmVersion = ({ version }: PackageSource): string => version.replace('-', '~')

/**
 * Scripts get the number of versions that will be there afterwards. Nothing is stripped, which would cut off what Bun
 * appends to its runtime: the program. What the build tells of its machine and its
 * time is left out. Every rpm beside a glibc of 2.34 reads zstd.
 */
function specOf(tree: string, source: PackageSource): string {
  return `%global debug_package %{nil}
%global __os_install_post %{nil}
%global _build_id_links none
%global _binary_payload w15.zstdio
%global _buildhost reproducible
%global use_source_date_epoch_as_buildtime 1
%global clamp_mtime_to_source_date_epoch 1
Name: corelift
Version: ${rpmVersion(source)}
Release: 1
Summary: ${SUMMARY.replace(/^./, letter => letter.toUpperCase())}
License: Apache-2.0
AutoReqProv: no
Requires: glibc >= 2.34
Requires(post): /bin/sh
Requires(preun): /bin/sh

%description
${DESCRIPTION.join('\n\n')}

%install
cp -a ${tree}/. %{buildroot}/

%post
${scriptlet(source, 'if [ "$1" = 1 ]; then set_up first; else set_up again; fi')}
%preun
${scriptlet(source, 'if [ "$1" = 0 ]; then take_down; fi')}
%files
%dir /usr/share/doc/corelift
%dir /usr/share/licenses/corelift
${filesOf(tree).map(fileLine).join('\n')}
`
}

/** rpm runs it with /bin/sh; % is for its macros. */
function scriptlet({ root }: PackageSource, last: string): string {
  return nodeScript(root, last).replace('#!/bin/sh\n', '').replaceAll('%', '%%')
}

function fileLine(path: string): string {
  const mark = path.startsWith('usr/share/doc')
    ? '%doc '
    : path.startsWith('usr/share/licenses')
      ? '%license '
      : ''
  return `%attr(-, root, root) ${mark}/${path}`
}
