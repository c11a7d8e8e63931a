// scripts/bootstrap.sh and uninstall.sh with the compiled binary, in a booted tree: there, again, and back.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { bootInstallNode, buildInstallTree, NEW_BINARY, STORE_DIR } from '../lab/install-node.ts'
import { nodeSnapshot } from '../lab/install-snapshot.ts'
import { noKernelControl } from '../lab/kernel.ts'
import { BINARY, noBinary } from '../lab/node.ts'
import { whyNoNspawn } from '../lab/nspawn.ts'
import { scriptText } from '../lab/shell-script.ts'

const skip = noKernelControl() ?? noBinary() ?? whyNoNspawn(['nsenter', 'python3']) ?? false
const CONFIG = '/root/c.toml'

t.test(
  'bootstrap.sh installs the binary, again without reading it; uninstall.sh leaves nothing',
  { skip },
  async t => {
    const node = await bootInstallNode(t, await buildInstallTree(t))
    await node.sh(`printf '[store]\nurl = "file://${STORE_DIR}"\n' >${CONFIG}`)
    const before = await nodeSnapshot(node)
    const runScript = (name: string, ...args: readonly string[]) =>
      node.run('sh', '-c', scriptText(`scripts/${name}`), name, ...args)
    const sha256 = createHash('sha256').update(readFileSync(BINARY)).digest('hex')
    const bootstrap = (file: string) =>
      runScript(
        'bootstrap.sh',
        '--file',
        file,
        '--sha256',
        sha256,
        '--config',
        CONFIG,
        '--no-canary',
        '--no-doctor',
      )

    t.match(await bootstrap(NEW_BINARY), { code: 0 })
    t.match(node.sysctls()['kernel.core_pattern'], /^\|\/usr\/local\/bin\/corelift handle /)
    const installed = await nodeSnapshot(node)

    t.match(await bootstrap('/not/there'), { code: 0, stderr: /installed already/ })
    t.same(await nodeSnapshot(node), installed)

    t.match(await runScript('uninstall.sh', '--purge'), { code: 0 })
    t.same(await nodeSnapshot(node), before)
    t.match(await runScript('uninstall.sh'), { code: 0, stderr: /not installed here/ })
    t.equal(await node.sh('ls /run /dev/shm | grep -c bootstrap || true'), '0\n')
  },
)
