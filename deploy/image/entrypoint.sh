#!/bin/sh
# entrypoint.sh: keeps corelift installed on the node that its pod runs on, with the configuration that is mounted into it, and
# uninstalls it when the DaemonSet is deleted: not when a pod is replaced by an update, drained or evicted. Between
# those it sleeps; crashes are the node's business and need no pod.
#
# deploy/README.md explains the variables. Root, privileged, hostPID. In the image, corelift, bootstrap.sh and
# uninstall.sh lie beside it.
set -eu

# A fault of the node or its store is tried again after a while; what works is looked at once an hour, since doctor asks
# the store.
RETRY_SECONDS=300
DOCTOR_SECONDS=3600
# How soon a changed ConfigMap or Secret is noticed, after the kubelet did.
TICK_SECONDS=60

say() {
  printf 'installer: %s\n' "$*"
}

# host COMMAND...: in the node's namespaces: with its files and libraries, its name and its network, which is where its
# instance role can be asked for. Pids are the node's already.
host() {
  nsenter --target 1 --mount --uts --ipc --net -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# What the mounted files say now. A new image is a new pod.
sum_of_inputs() {
  sha256sum "$CONFIG" "$FILES"/* 2>/dev/null || true
}

# Each key of the Secret becomes a file of root's, never seen half written.
put_files() {
  for file in "$FILES"/*; do
    [ -f "$file" ] || continue
    # shellcheck disable=SC2016 # the node's shell expands it
    host sh -c 'mkdir -p -m 0755 /etc/corelift && umask 077 && cat >"$1.new" && mv "$1.new" "$1"' sh \
      "/etc/corelift/${file##*/}" <"$file" || return
  done
}

remove_files() {
  for file in "$FILES"/*; do
    [ ! -f "$file" ] || host rm -f "/etc/corelift/${file##*/}"
  done
}

# The binary goes through a pipe and the script as an argument: nothing is left on the node should this be killed before.
# The pod's own files are the node's to read below /proc/PID/root.
install_on_node() {
  put_files || return
  sum=$(sha256sum <"$HERE/corelift")
  host sh -c "$(cat "$HERE/bootstrap.sh")" bootstrap.sh --file - --sha256 "${sum%% *}" --prefix "$PREFIX" \
    --config "/proc/$$/root$CONFIG" --replace-config --no-doctor <"$HERE/corelift"
}

# The pod is ready while doctor finds nothing wrong: an update that does not work stops at its first nodes.
check_node() {
  if report=$(host "$PREFIX/bin/corelift" doctor 2>&1); then
    touch "$READY"
    return
  fi
  rm -f "$READY"
  printf '%s\n' "$report"
  return 1
}

uninstall_from_node() {
  purge=''
  [ "${CORELIFT_PURGE:-false}" != true ] || purge=--purge
  host sh -c "$(cat "$HERE/uninstall.sh")" uninstall.sh ${purge:+"$purge"}
  # Not before: what waits for the store was sent with these.
  remove_files
}

# ask PATH: sets `code`, 000 where nothing answers, and `body`. The token goes through a pipe: on this node everybody sees
# the arguments of a process.
ask() {
  address=$KUBERNETES_SERVICE_HOST
  case $address in
  *:*) address="[$address]" ;;
  esac
  answer=$(
    printf 'Authorization: Bearer %s\n' "$(cat "$ACCOUNT/token")" |
      curl --silent --noproxy '*' --max-time 5 --cacert "$ACCOUNT/ca.crt" --header @- \
        --header 'Accept: application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io' \
        --write-out '\n%{http_code}' "https://$address:$KUBERNETES_SERVICE_PORT$1"
  ) || answer='
000'
  code=${answer##*
} body=${answer%
*}
}

# state_of PATH: sets `state`: there, gone (or going), refused, unknown.
state_of() {
  ask "$1"
  case $code in
  200) state=there ;;
  404) state=gone ;;
  401 | 403) state=refused ;;
  *) state=unknown ;;
  esac
  case $state$body in
  # Within strings, as in annotations, quotes have a backslash.
  there*'"deletionTimestamp":'*) state=gone ;;
  esac
}

# Of the DaemonSet, and of its namespace: whose pods are deleted before or after it, in no order.
ask_for_daemonset() {
  state_of "/api/v1/namespaces/$NAMESPACE"
  [ "$state" = gone ] || state_of "/apis/apps/v1/namespaces/$NAMESPACE/daemonsets/$DAEMONSET"
}

# Whether the DaemonSet is deleted, and not just this pod. `kubectl delete -k` takes the right to ask away too, maybe before:
# who may no longer ask takes that for an answer. No answer is none: an API server that is away uninstalls nothing.
is_deleted() {
  for pause in 3 3 3 3 0; do
    ask_for_daemonset
    case $state in
    there) return 1 ;;
    gone) return ;;
    esac
    sleep "$pause"
  done
  [ "$state" = refused ] && [ -n "$may_ask" ]
}

stop() {
  trap '' TERM INT
  [ -z "$sleeping" ] || kill "$sleeping" 2>/dev/null || true
  rm -f "$READY"
  if is_deleted; then
    say "DaemonSet $NAMESPACE/$DAEMONSET is deleted: uninstalling"
    uninstall_from_node
  else
    say "DaemonSet $NAMESPACE/$DAEMONSET is $state: corelift stays on this node"
  fi
  exit 0
}

tick() {
  sleep "$TICK_SECONDS" &
  sleeping=$!
  wait "$sleeping" || true
  sleeping=''
}

# Once is enough to know later that a refusal is news.
learn_whether_it_may_ask() {
  ask_for_daemonset
  [ "$state" != there ] || may_ask=yes
}

keep_installed() {
  applied=nothing install_at=0 check_at=0
  while :; do
    now=$(date +%s)
    wanted=$(sum_of_inputs)
    if [ "$wanted" != "$applied" ] && [ "$now" -ge "$install_at" ]; then
      if install_on_node; then
        applied=$wanted check_at=0
      else
        say "the installation failed; it is tried again in $RETRY_SECONDS s"
        rm -f "$READY"
        install_at=$((now + RETRY_SECONDS))
      fi
    fi
    if [ "$applied" != nothing ] && [ "$now" -ge "$check_at" ]; then
      if check_node; then check_at=$((now + DOCTOR_SECONDS)); else check_at=$((now + RETRY_SECONDS)); fi
    fi
    [ -n "$may_ask" ] || learn_whether_it_may_ask
    tick
  done
}

main() {
  HERE=$(dirname "$0")
  PREFIX=${CORELIFT_PREFIX:-/usr/local}
  CONFIG=${CORELIFT_CONFIG:-/config/config.toml}
  FILES=${CORELIFT_FILES:-/files}
  ACCOUNT=${CORELIFT_ACCOUNT:-/var/run/secrets/kubernetes.io/serviceaccount}
  READY=${CORELIFT_READY:-/state/ready}
  NAMESPACE=$CORELIFT_NAMESPACE DAEMONSET=$CORELIFT_DAEMONSET
  sleeping='' may_ask='' state=unknown
  rm -f "$READY"
  trap stop TERM INT
  keep_installed
}

main
