// Installations that fail, each in its own way: the node is as it was before. A booted tree, without a kernel that would
// start handlers.
import t from 'tap'
import { bootInstallNode, buildInstallTree, NEW_BINARY, STORE_DIR } from '../lab/install-node.ts'
import { nodeSnapshot } from '../lab/install-snapshot.ts'
import { noKernelControl } from '../lab/kernel.ts'
import { noBinary } from '../lab/node.ts'
import { whyNoNspawn } from '../lab/nspawn.ts'

const skip = noKernelControl() ?? noBinary() ?? whyNoNspawn(['nsenter', 'python3']) ?? false
const CONFIG = '/root/c.toml'
const INSTALL = `${NEW_BINARY} install --no-canary --config ${CONFIG}`

t.test('an installation that fails', { skip }, async t => {
  const node = await bootInstallNode(t, await buildInstallTree(t))
  await node.sh(`printf '[store]\nurl = "file://${STORE_DIR}"\n' >${CONFIG}`)
  const before = await nodeSnapshot(node)
  const failing = async (script: string, code: number, stderr: RegExp) => {
    const ended = await node.run('sh', '-c', script)
    t.match(ended, { code, stderr }, script)
    t.same(await nodeSnapshot(node), before, `${script}: the node is as it was`)
    return ended
  }

  await t.test('for want of what it needs says what that is', async () => {
    const bad = '/root/bad.toml'
    await node.sh(`printf '[store]\nurl = "nowhere"\n[budgets]\n' >${bad}`)
    await failing(`${NEW_BINARY} install --config ${bad}`, 4, /bad\.toml:2: store\.url:.*\n.*budgets/)
    await failing(`${NEW_BINARY} install`, 4, /there is no \/etc\/corelift\/config\.toml/)
    await failing(`${NEW_BINARY} install --prefix here --config ${CONFIG}`, 2, /no absolute path/)
    const long = `/usr/local/${'x'.repeat(90)}`
    await failing(`${INSTALL} --prefix ${long}`, 2, /core_pattern of more than 127 bytes/)
    await failing(`setpriv --reuid 1000 ${INSTALL}`, 9, /install needs root/)
  })

  await t.test('on a machine that is not fit names every reason', async () => {
    // As a container would see it.
    const hide = 'mount -t tmpfs tmpfs /run/systemd && mount --bind -o ro /etc /etc'
    await failing(
      `unshare --mount sh -c '${hide} && ${INSTALL}'`,
      9,
      /systemd does not run here[^]*not the mount namespace of the node[^]*\/etc\/sysctl\.d cannot be written to/,
    )
  })

  await t.test('for want of space', async t => {
    await node.sh('mkdir -p /usr/local/libexec && mount -t tmpfs -o size=1m tmpfs /usr/local/libexec')
    const { code, stderr } = await node.run('sh', '-c', INSTALL)
    await node.sh('umount /usr/local/libexec && rmdir /usr/local/libexec')
    t.equal(code, 9)
    t.match(stderr, /copy the binary to .*: ENOSPC.*\n.*the node is as it was before/)
    t.same(await nodeSnapshot(node), before)
  })

  await t.test('on a mount that runs nothing', async t => {
    await node.sh('mkdir /mnt/noexec && mount -t tmpfs -o noexec tmpfs /mnt/noexec')
    await failing(`${INSTALL} --prefix /mnt/noexec`, 9, /mounted noexec: name another place by --prefix/)
    await node.sh('umount /mnt/noexec && rmdir /mnt/noexec')
    t.end()
  })

  await t.test('at any of its steps undoes the others', async t => {
    let steps = 0
    for (let nth = 1; ; nth++) {
      const inject = `-e inject=rename,renameat,renameat2:error=EIO:when=${nth}`
      const trace = `strace --follow-forks --output=/dev/null -e trace=rename,renameat,renameat2 ${inject} ${INSTALL}`
      const { code, stdout, stderr } = await node.run('sh', '-c', trace)
      if (code === 0) break
      steps++
      t.match(
        { code, stderr },
        { code: 9, stderr: /EIO.*\n.*the node is as it was before/ },
        `${nth}: ${stdout}`,
      )
      t.same(await nodeSnapshot(node), before, `rename ${nth} failed`)
    }
    t.ok(steps >= 11, `${steps} steps were made to fail`)
    await node.sh('corelift uninstall --purge')
    t.same(await nodeSnapshot(node), before)
  })

  await t.test('for want of systemctl undoes the others', async t => {
    for (let nth = 1; ; nth++) {
      await node.sh(`mkdir -p /root/bin; rm -f /root/count; cat >/root/bin/systemctl <<'END'
#!/bin/sh
case $1 in
  is-active | --version) exec /usr/bin/systemctl "$@" ;;
esac
echo >>/root/count
[ "$(wc -l </root/count)" = ${nth} ] && { echo refused >&2; exit 1; }
exec /usr/bin/systemctl "$@"
END
chmod +x /root/bin/systemctl`)
      const { code, stderr } = await node.run('sh', '-c', `PATH=/root/bin:$PATH ${INSTALL}`)
      if (code === 0) {
        t.ok(nth > 4, `${nth - 1} calls were made to fail`)
        break
      }
      t.match(
        { code, stderr },
        { code: 9, stderr: /systemctl .*: refused.*\n.*the node is as it was before/ },
      )
      t.same(await nodeSnapshot(node), before, `call ${nth} failed`)
    }
    await node.sh('corelift uninstall --purge')
    t.same(await nodeSnapshot(node), before)
  })

  await t.test('because it is killed is undone by uninstall, or by installing again', async t => {
    for (const nth of [2, 5, 9, 12]) {
      const inject = `-e inject=rename,renameat,renameat2:signal=KILL:when=${nth}`
      const trace = `strace --follow-forks --output=/dev/null -e trace=rename,renameat,renameat2 ${inject} ${INSTALL}`
      const { code } = await node.run('sh', '-c', trace)
      t.not(code, 0)
      if (nth === 9) await node.sh(INSTALL)
      await node.sh(`${NEW_BINARY} uninstall --purge`)
      t.same(await nodeSnapshot(node), before, `killed at rename ${nth}`)
    }
  })
})
