// Configuration of the lab's containerds: Debian's, version 1.6, with the CRI plugin, no registry and no network beyond
// a stub. containerd-config.toml(5)
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'

export const SANDBOX_IMAGE = 'registry.k8s.io/pause:3.6'

export interface ContainerdPaths {
  readonly root: string
  readonly state: string
  readonly socketPath: string
  readonly opt: string
  readonly cniBin: string
  readonly cniConf: string
  /** A runc of one's own; default: the one in PATH. */
  readonly runc?: string
}

/** Where runc keeps what it runs. Its default is one directory for all containerds of a machine. */
export function runcRoot(paths: ContainerdPaths): string {
  return `${paths.state}/runc`
}

/** @param driver - Who makes the containers' cgroups. */
export function containerdToml(paths: ContainerdPaths, driver: 'cgroupfs' | 'systemd'): string {
  // restrict_oom_score_adj and oom_score 0: without CAP_SYS_RESOURCE no process may lower its score.
  return `version = 2
root = "${paths.root}"
state = "${paths.state}"
oom_score = 0
[grpc]
  address = "${paths.socketPath}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${paths.opt}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${SANDBOX_IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "${runcRoot(paths)}"
      SystemdCgroup = ${driver === 'systemd'}
      ${paths.runc === undefined ? '' : `BinaryName = "${paths.runc}"`}
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${paths.cniBin}"
    conf_dir = "${paths.cniConf}"
`
}

/** Network plugins that only answer: a pod gets a network namespace, and so a host name of its own, and no interface. */
export async function writeCni(bin: string, conf: string): Promise<void> {
  await mkdir(bin, { recursive: true })
  await mkdir(conf, { recursive: true })
  const plugin = (device: string, address: string) => `#!/bin/sh
cat >/dev/null
case "$CNI_COMMAND" in
ADD) echo '{"cniVersion":"0.4.0","interfaces":[{"name":"${device}","sandbox":"'"$CNI_NETNS"'"}],"ips":[{"version":"4","address":"${address}","interface":0}]}' ;;
VERSION) echo '{"cniVersion":"0.4.0","supportedVersions":["0.3.1","0.4.0"]}' ;;
esac
`
  await writeFile(path.join(bin, 'loopback'), plugin('lo', '127.0.0.1/8'), { mode: 0o755 })
  await writeFile(path.join(bin, 'stub'), plugin('eth0', '192.0.2.5/24'), { mode: 0o755 })
  const network = { cniVersion: '0.4.0', name: 'stub', plugins: [{ type: 'stub' }] }
  await writeFile(path.join(conf, '10-stub.conflist'), JSON.stringify(network))
}
