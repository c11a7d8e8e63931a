// The script by which somebody without corelift opens an exported crash in gdb: POSIX sh, and nothing in it is a
// workload's but quoted names.
import type { TreePath } from './sysroot-plan.ts'

export interface RunGdb {
  /** In `sysroot/`; undefined: it is not to be had. */
  readonly executable: TreePath | undefined
  /** In `sysroot/`, where libraries of relative names lie. */
  readonly searchPaths: readonly TreePath[]
}

/** @returns Its text. Beside it lie `core` and `sysroot/`. */
export function runGdbScript({ executable, searchPaths }: RunGdb): string {
  // gdb has no way to quote a colon.
  const search = searchPaths
    .filter(path => !path.includes(':'))
    .map(path => `"$here/sysroot/"${quoted(path)}`)
  const program = executable === undefined ? '' : `"$here/sysroot/"${quoted(executable)}`
  return `#!/bin/sh
# run-gdb [gdb's arguments]: opens the core beside this file in gdb, with the files that the process had.
# Nothing of them is run: neither programs nor scripts.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
command -v gdb >/dev/null || {
  echo 'run-gdb: gdb is not installed (apt install gdb, dnf install gdb)' >&2
  exit 127
}
unset DEBUGINFOD_URLS
exec gdb -q -iex 'set auto-load off' -iex "set libthread-db-search-path \\$sdir" \\
  -iex "set sysroot $here/sysroot" -iex "set solib-search-path "${search.join(':')} \\
  "$@" ${program === '' ? '' : `-e ${program} -s ${program} `}-c "$here/core"
`
}

/** As one word of sh(1): within single quotes nothing is special but their end. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`
