#!/bin/sh
# openshift-machineconfig.sh: prints a MachineConfig that installs corelift on OpenShift's workers (4.13 or newer: before,
# their glibc is too old) and installs again at each boot. Applying it drains and restarts the nodes, one after the other.
#
#   openshift-machineconfig.sh CONFIG MIRROR VERSION SHA256 [ROLE] | oc apply -f -
#
# CONFIG: the nodes' config.toml. MIRROR, VERSION, SHA256: as `bootstrap.sh --help` has them. ROLE: worker unless given.
set -eu

main() {
  [ $# -ge 4 ] || {
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
  }
  bootstrap=$(dirname "$0")/../../scripts/bootstrap.sh
  config=$1 mirror=$2 version=$3 sha256=$4 role=${5:-worker}
  cat <<END
apiVersion: machineconfiguration.openshift.io/v1
kind: MachineConfig
metadata:
  name: 99-$role-corelift
  labels:
    machineconfiguration.openshift.io/role: $role
spec:
  config:
    ignition:
      version: 3.2.0
    storage:
      files:
        - path: /etc/corelift/config.toml
          mode: 420 # 0644
          overwrite: true
          contents:
            source: data:text/plain;charset=utf-8;base64,$(base64 -w 0 <"$config")
        - path: /etc/corelift/bootstrap.sh
          mode: 493 # 0755
          overwrite: true
          contents:
            source: data:text/plain;charset=utf-8;base64,$(base64 -w 0 <"$bootstrap")
    systemd:
      units:
        - name: corelift-bootstrap.service
          enabled: true
          contents: |
            [Unit]
            Description=Install corelift and check the node
            Wants=network-online.target
            After=network-online.target
            [Service]
            Type=oneshot
            RemainAfterExit=yes
            ExecStart=/bin/sh /etc/corelift/bootstrap.sh --mirror $mirror --version $version --sha256 $sha256
            Restart=on-failure
            RestartSec=5min
            [Install]
            WantedBy=multi-user.target
END
}

main "$@"
