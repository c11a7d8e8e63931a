#!/bin/sh
# bootstrap.sh: puts corelift on a node and proves it, unattended, at each boot if need be. usage() below has the contract.
# POSIX sh, and nothing but functions up to the last line: of a script that was cut while it was fetched, nothing runs.
set -eu

usage() {
  cat <<'END'
bootstrap.sh: install corelift on this node, as root

  bootstrap.sh --file PATH [--sha256 HEX] [OPTION...]
  bootstrap.sh --url URL --sha256 HEX [OPTION...]
  bootstrap.sh --mirror BASE --version V --sha256 HEX [OPTION...]

  --file PATH        the binary; - reads it from standard input
  --url URL          where to download it from, http or https, with curl or wget
  --mirror BASE      download BASE/V/corelift-linux-x86_64
  --version V
  --sha256 HEX       what the binary must have, or nothing of it runs; needed for a download
  --config FILE      becomes /etc/corelift/config.toml where there is none
  --replace-config   also where there is one
  --prefix DIR       the binary becomes DIR/bin/corelift (/usr/local); DIR must allow programs to run
  --no-canary        do not crash a process to prove the installation
  --no-doctor        do not check the node in the end

Safe to run at each boot: a binary with this sha256 that is installed already is not downloaded again. A download
is tried six times in a minute and goes to memory: to TMPDIR if set, else /run or /dev/shm, whichever lets programs
run and has 200 MiB free; to the disk of DIR if none does. Proxies: http_proxy, https_proxy, no_proxy. On failure the
node is as it was before.

Exit codes: 0 installed, and doctor found nothing wrong; 2 arguments; 4 configuration; 5 the download failed;
6 the sha256 is another; 9 the node is not fit for it, the installation failed and was undone, or doctor found
something. Otherwise that of corelift install or doctor.
END
}

say() {
  printf 'bootstrap: %s\n' "$*" >&2
}

# fail EXIT-CODE WORD...
fail() {
  code=$1
  shift
  say "$@"
  exit "$code"
}

parse() {
  file='' url='' mirror='' version='' sha256='' config='' prefix=/usr/local
  replace_config='' no_canary='' no_doctor=''
  while [ $# -gt 0 ]; do
    case $1 in
    --file | --url | --mirror | --version | --sha256 | --config | --prefix)
      [ $# -ge 2 ] || fail 2 "$1 needs a value; see --help"
      set_value "$1" "$2"
      shift
      ;;
    --replace-config) replace_config=$1 ;;
    --no-canary) no_canary=$1 ;;
    --no-doctor) no_doctor=$1 ;;
    --help)
      usage
      exit 0
      ;;
    *) fail 2 "no such option: $1; see --help" ;;
    esac
    shift
  done
}

set_value() {
  case $1 in
  --file) file=$2 ;;
  --url) url=$2 ;;
  --mirror) mirror=${2%/} ;;
  --version) version=$2 ;;
  --sha256) sha256=$(printf %s "$2" | tr A-F a-f) ;;
  --config) config=$2 ;;
  --prefix) prefix=$2 ;;
  esac
}

check_arguments() {
  case ${file:+file}${url:+url}${mirror:+mirror} in
  file | url) ;;
  mirror)
    [ -n "$version" ] || fail 2 '--mirror needs --version'
    url=$mirror/$version/corelift-linux-x86_64
    ;;
  *) fail 2 'one of --file, --url and --mirror is needed; see --help' ;;
  esac
  [ -z "$url" ] || [ -n "$sha256" ] || fail 2 'a download needs --sha256'
  case $sha256 in
  *[!0-9a-f]*) fail 2 "--sha256 $sha256 is not hexadecimal" ;;
  esac
  [ -z "$sha256" ] || [ ${#sha256} -eq 64 ] || fail 2 "--sha256 $sha256 has not 64 digits"
  case $prefix in
  /*) ;;
  *) fail 2 "--prefix $prefix is no absolute path" ;;
  esac
}

check_machine() {
  [ "$(id -u)" = 0 ] || fail 9 'needs root'
  machine=$(uname -m)
  [ "$machine" = x86_64 ] || fail 9 "there is a binary for x86_64 only; this is $machine"
  check_glibc
}

# Where neither getconf nor ldd is there to ask, the binary itself says what it misses.
check_glibc() {
  libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || libc=$(ldd --version 2>&1 | head -n 1)
  number=${libc##* }
  case $libc in
  '' | *'not found'*) return ;;
  *[Mm]usl*) fail 9 "needs glibc 2.34 or newer; this is $libc" ;;
  esac
  major=${number%%.*} minor=${number#*.}
  [ "$major" -gt 2 ] || [ "${minor%%.*}" -ge 34 ] || fail 9 "needs glibc 2.34 or newer; this is $number"
}

sum_of() {
  sum=$(sha256sum <"$1")
  printf %s "${sum%% *}"
}

# Whether the binary that is asked for is the one that is there.
is_installed() {
  [ -n "$sha256" ] && [ -x "$prefix/bin/corelift" ] && [ "$(sum_of "$prefix/bin/corelift")" = "$sha256" ]
}

# The binary has 120 MB, and a tmpfs that it fills would take others with it.
STAGING_KIB_MIN=204800

has_room() {
  df -kP "$1" 2>/dev/null | {
    read -r _ && read -r _ _ _ available _ && [ "$available" -ge "$STAGING_KIB_MIN" ]
  }
}

# Makes a directory of root's that programs run from: `staging`. Debian and Ubuntu mount /run noexec, hardened nodes
# /dev/shm; then it is beside where the binary belongs, which takes the disk space that the installation needs anyway.
make_staging() {
  beside=$prefix
  while [ ! -d "$beside" ]; do beside=$(dirname "$beside"); done
  for place in ${TMPDIR:+"$TMPDIR"} /run /dev/shm "$beside"; do
    has_room "$place" || continue
    staging=$(mktemp -d "$place/corelift-bootstrap.XXXXXX" 2>/dev/null) || continue
    printf '#!/bin/sh\n' >"$staging/try"
    chmod 0700 "$staging/try"
    ! "$staging/try" 2>/dev/null || return 0
    clean
  done
  fail 9 "no place for the binary: neither /run nor /dev/shm nor $beside lets programs run and has 200 MiB free"
}

clean() {
  [ -z "$staging" ] || rm -rf "$staging"
  staging=''
}

# Leaves the binary in `binary`, checked.
obtain() {
  make_staging
  binary=$staging/corelift
  case $file in
  '') download ;;
  -) cat >"$binary" ;;
  *) cat <"$file" >"$binary" || fail 2 "cannot read --file $file" ;;
  esac
  found=$(sum_of "$binary")
  [ -z "$sha256" ] || [ "$found" = "$sha256" ] ||
    fail 6 "${url:-$file} has sha256 $found, not $sha256: it was not run"
  chmod 0700 "$binary"
}

# The network of a node that boots, and a mirror that everybody asks at once, may take a moment.
download() {
  for pause in 2 4 8 16 32 0; do
    ! fetch || return 0
    [ "$pause" = 0 ] || say "trying again in $pause s"
    sleep "$pause"
  done
  fail 5 "cannot download $url"
}

fetch() {
  if command -v curl >/dev/null; then
    curl --fail --silent --show-error --location --connect-timeout 10 --speed-limit 1024 --speed-time 30 \
      --output "$binary" -- "$url"
  elif command -v wget >/dev/null; then
    # Not -T: it crashes busybox 1.35 as Debian 12 builds it.
    timeout 600 wget -q -O "$binary" -- "$url"
  else
    fail 9 'a download needs curl or wget'
  fi
}

run_install() {
  set -- --prefix "$prefix"
  [ -z "$config" ] || set -- "$@" --config "$config"
  "$binary" install "$@" ${replace_config:+"$replace_config"} ${no_canary:+"$no_canary"}
}

main() {
  parse "$@"
  check_arguments
  check_machine
  # Directories that the installation makes are everybody's to enter, whatever the caller's mask.
  umask 022
  staging=''
  trap clean EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  if is_installed; then
    say 'this binary is installed already'
    binary=$prefix/bin/corelift
  else
    obtain
  fi
  run_install || exit
  clean
  [ -n "$no_doctor" ] || "$prefix/bin/corelift" doctor
}

main "$@"
