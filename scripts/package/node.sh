# What the scripts of both packages do on a node. A package brings files; whether the kernel runs them is the admin's word,
# which is /etc/corelift/config.toml at the first installation, and /var/lib/corelift/install.json ever after.
config=/etc/corelift/config.toml
state=/var/lib/corelift/install.json

say() {
  printf 'corelift: %s\n' "$@" >&2
}

# Whether the kernel runs the package's binary, and not one that was installed below /usr/local.
is_set_up() {
  [ -e "$state" ] && grep -q '"binary": "/usr/bin/corelift"' "$state"
}

# No systemd: a chroot or a container, whose kernel is somebody else's.
has_own_kernel() {
  [ -d /run/systemd/system ]
}

# set_up first|again: after the files are there.
set_up() {
  if is_set_up; then
    install_in_place
  elif [ -e "$state" ]; then
    say "this node's handler is not the package's, and stays as it is"
  elif [ ! -e "$config" ]; then
    [ "$1" = again ] || say "to have this node's crashes handled, write $config (see corelift config defaults)," \
      'then run: corelift install --in-place'
  elif [ "$1" = again ]; then
    # Uninstalled by hand, or removed with the package once: that was somebody's wish.
    say 'not set up on this node; to do so: corelift install --in-place'
  else
    install_in_place
  fi
}

# Never fails: a package that is half configured stops every other upgrade of the node, unattended ones too, and a store may be
# away for a minute. A failing `corelift install` undoes what it did, a core_pattern that named this binary still does, and
# `corelift doctor` tells monitoring.
install_in_place() {
  if ! has_own_kernel; then
    say 'no systemd runs here, nothing is set up; at the first boot: corelift install --in-place,' \
      'or, for an image, from outside: corelift install --in-place --root DIRECTORY'
  elif ! corelift install --in-place; then
    say 'the node is as it was before; once what is said above is mended: corelift install --in-place'
  fi
}

# Before the files go. Fails where it cannot be undone: a core_pattern without its program loses every core.
take_down() {
  is_set_up || return 0
  if ! has_own_kernel; then
    say 'set up in this image, and no systemd runs here; first, from outside: corelift uninstall --root DIRECTORY'
    return 1
  fi
  corelift uninstall
}
