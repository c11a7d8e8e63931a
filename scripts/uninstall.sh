#!/bin/sh
# uninstall.sh [--purge] [--dry-run] [--root DIR]: puts back what was on this node before corelift, as root. Where corelift is
# not installed there is nothing to do, so that it can be run on every node. Nothing but functions up to the last line: of
# a script that was cut while it was fetched, nothing runs.
set -eu

usage() {
  cat <<'END'
uninstall.sh: put back what was on this node before corelift, as root

  uninstall.sh [--purge] [--dry-run] [--root DIR]

Runs `corelift uninstall` of the binary that is installed, wherever that is; its --help explains the options.

Exit codes: 0 done, or corelift is not installed here; 9 the binary is gone. Otherwise that of corelift uninstall.
END
}

say() {
  printf 'uninstall: %s\n' "$@" >&2
}

# root_of ARGUMENT...: the value of --root.
root_of() {
  while [ $# -gt 0 ]; do
    [ "$1" != --root ] || printf %s "${2-}"
    shift
  done
}

main() {
  case ${1-} in
  --help)
    usage
    return
    ;;
  esac
  root=$(root_of "$@")
  root=${root%/}
  state=$root/var/lib/corelift/install.json
  if [ ! -e "$state" ]; then
    say "corelift is not installed here: there is no $state"
    return
  fi
  binary=$root$(sed -n 's/^  "binary": "\(.*\)",$/\1/p' "$state")
  if [ -x "$binary" ]; then
    "$binary" uninstall "$@"
    return
  fi
  say "$binary is gone, which knows what to put back; until it has, crashes are lost" \
    'any other corelift binary knows it too:  ./corelift uninstall' \
    'to have the kernel start nothing until then:  sysctl -w kernel.core_pattern=core'
  return 9
}

main "$@"
