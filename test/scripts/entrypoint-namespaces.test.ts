// deploy/image/entrypoint.sh with real namespaces: a node whose PID 1 has its own mounts, and a pod in others beside it, which sees the
// node's processes.
import { copyFileSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { whyNoLab } from '../lab/daemon.ts'
import { linesOf, recordingCorelift, scriptFile, startScript, writeScript } from '../lab/shell-script.ts'

/** PID 1 of the node. It ends when the pod is ready, and all with it. */
const NODE = `
set -eu
mount -t tmpfs tmpfs "$DIR/prefix"
unshare --mount --net sh -c "$POD" &
while [ ! -e "$DIR/ready" ]; do sleep 0.1; done
cp "$DIR/prefix/bin/corelift" "$DIR/installed"
`
/** What is mounted into it, only it sees: a configuration, and something else where the node has its prefix. */
const POD = `
mount -t tmpfs tmpfs "$DIR/prefix" && mount -t tmpfs tmpfs "$DIR/config"
echo 'of the pod' >"$DIR/config/config.toml"
exec sh "$DIR/image/entrypoint.sh"
`

t.test(
  "the node's own files are changed, from the pod's configuration",
  { skip: whyNoLab(['unshare', 'nsenter', 'mount', 'curl']) ?? false },
  async t => {
    const dir = t.testdir({
      image: {},
      prefix: {},
      config: {},
      files: {},
      account: { token: '', 'ca.crt': '' },
    })
    const image = (name: string) => path.join(dir, 'image', name)
    for (const script of ['deploy/image/entrypoint.sh', 'scripts/bootstrap.sh', 'scripts/uninstall.sh'])
      copyFileSync(scriptFile(script), image(path.basename(script)))
    const seen = path.join(dir, 'seen')
    const look = `[ "$1" != install ] || cat "$5" >'${seen}'\n`
    const log = path.join(dir, 'log')
    writeScript(image('corelift'), look + recordingCorelift(log))
    const unshare = ['unshare', '--pid', '--fork', '--mount', '--mount-proc', '--kill-child']
    const { code, stderr } = await startScript([...unshare, 'sh', '-c', NODE], {
      ...{ PATH: '/usr/sbin:/usr/bin:/sbin:/bin', DIR: dir, POD },
      ...{ KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: '1' },
      ...{ CORELIFT_NAMESPACE: 'corelift-system', CORELIFT_DAEMONSET: 'corelift' },
      ...{ CORELIFT_PREFIX: path.join(dir, 'prefix'), CORELIFT_FILES: path.join(dir, 'files') },
      ...{ CORELIFT_CONFIG: path.join(dir, 'config', 'config.toml') },
      ...{ CORELIFT_ACCOUNT: path.join(dir, 'account'), CORELIFT_READY: path.join(dir, 'ready') },
    }).ended
    t.equal(code, 0, stderr)
    t.equal(readFileSync(seen, 'utf8'), 'of the pod\n')
    t.equal(readFileSync(path.join(dir, 'installed'), 'utf8'), readFileSync(image('corelift'), 'utf8'))
    t.strictSame(linesOf(log).at(-1), 'doctor')
  },
)
