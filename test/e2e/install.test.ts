// Installing on a node that has systemd-coredump: a booted tree, with this machine's kernel behind a stand-in.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { bootInstallNode, buildInstallTree, NEW_BINARY, STORE_DIR } from '../lab/install-node.ts'
import type { InstallNode } from '../lab/install-node.ts'
import { nodeSnapshot } from '../lab/install-snapshot.ts'
import { noKernelControl, underPattern } from '../lab/kernel.ts'
import { noBinary } from '../lab/node.ts'
import { whyNoNspawn } from '../lab/nspawn.ts'

const skip = noKernelControl() ?? noBinary() ?? whyNoNspawn(['nsenter', 'python3']) ?? false
const CONFIG = '/root/c.toml'
/** Tests crash the same program over and over. */
const RATES = '[budget]\\nsignature_full = "1000/hour"\\nworkload_full = "1000/hour"\\n'
/** A configuration with a store at which nobody listens. */
const ELSEWHERE = '/root/elsewhere.toml'
const UNREACHABLE = `cat >${ELSEWHERE} <<'END'
[store]
url = "s3://cores/prod"
endpoint = "http://127.0.0.1:9"
credentials_file = "/root/credentials"
retry_seconds = 1
END
printf '[default]\\naws_access_key_id = a\\naws_secret_access_key = b\\n' >/root/credentials`
/** In the node: crashes under the name that it is given. */
const CRASH = '/root/crash'
const CRASH_SCRIPT = `#!/bin/sh
ulimit -c unlimited
printf %s "$1" >/proc/self/comm
kill -s SEGV $$
`
const PATTERN = '|/usr/local/bin/corelift handle %P %I %s %t %c %d %u %g %h %F'

t.test('a node with systemd-coredump', { skip }, async t => {
  const node = await bootInstallNode(t, await buildInstallTree(t))
  await node.sh(`printf '[store]\\nurl = "file://${STORE_DIR}"\\n${RATES}' >${CONFIG}`)
  await node.sh(`cat >${CRASH} <<'END'\n${CRASH_SCRIPT}END\nchmod +x ${CRASH}`)
  const before = await nodeSnapshot(node)
  t.match(before.sysctls['kernel.core_pattern'], /systemd-coredump/, 'which has the pattern')
  t.equal(before.units['systemd-coredump.socket'], 'active')
  await underPattern(node.pattern, async () => {
    await t.test('a dry run changes nothing', async t => {
      const { code, stdout } = await node.run(NEW_BINARY, 'install', '--config', CONFIG, '--dry-run')
      t.equal(code, 0)
      t.match(stdout, /planned {2}set kernel\.core_pattern=/)
      t.same(await nodeSnapshot(node), before)
    })
    await t.test('a canary that the store does not take undoes all of it', async t => {
      const { code, stdout, stderr } = await node.run(
        'sh',
        '-c',
        `${UNREACHABLE} && ${NEW_BINARY} install --config ${ELSEWHERE}`,
      )
      t.equal(code, 9)
      t.match(stdout, /failed {2}crash a process and find it in the store/)
      t.match(stderr, /the store did not take the crash: .*\n.*the node is as it was before/)
      t.same(await nodeSnapshot(node), before)
    })
    await t.test('install takes over, and proves it', async t => {
      const { code, stdout, stderr } = await node.run(NEW_BINARY, 'install', '--config', CONFIG)
      t.equal(code, 0, stderr)
      t.match(stdout, /canary \S+: its core of .* was read back from the store, sound/)
      t.match(node.sysctls(), { 'kernel.core_pattern': PATTERN, 'fs.suid_dumpable': '2' })
      const units = (await nodeSnapshot(node)).units
      t.match(units, {
        'systemd-coredump.socket': 'inactive',
        'corelift-sweep.timer': 'active',
        'corelift.slice': 'active',
      })
      await node.sh(`systemd-analyze verify /etc/systemd/system/corelift*`)
      const security = await node.sh('systemd-analyze security --no-pager corelift-sweep.service')
      const [, exposure] = /exposure level for \S+: ([\d.]+)/.exec(security) ?? []
      t.ok(Number(exposure) <= 2.5, `exposure ${exposure}`)
    })
    await t.test('the timer’s sweep works in its sandbox', async t => {
      await node.sh('systemctl start corelift-sweep.service')
      t.match(await node.sh('systemctl show -p Result corelift-sweep.service'), 'Result=success')
    })
    await t.test('doctor finds nothing to mend', async t => {
      const { stdout } = await node.run('corelift', 'doctor', '--json')
      const { checks } = JSON.parse(stdout) as { checks: { id: string; result: string; found: string }[] }
      // The kernel log is this machine's, with what other tests left there.
      const troubles = checks.filter(({ id, result }) => result === 'fail' && id !== 'drops')
      t.same(troubles, [])
      const results = Object.fromEntries(checks.map(({ id, result }) => [id, result]))
      t.match(results, {
        'core-pattern': 'ok',
        binary: 'ok',
        drift: 'ok',
        rivals: 'ok',
        'sweep-timer': 'ok',
        'store-write': 'ok',
      })
    })
    await t.test('a pattern that others change is told, and set back where that is asked for', t =>
      drift(t, node),
    )
    await t.test('a crash of a service is on record', t => serviceCrash(t, node))
    await t.test('install again changes nothing', async t => {
      const installed = await nodeSnapshot(node)
      const { code, stdout } = await node.run('corelift', 'install', '--no-canary', '--json')
      t.equal(code, 0)
      const { steps } = JSON.parse(stdout) as { steps: { state: string; title: string }[] }
      const done = steps.filter(({ state }) => state !== 'same').map(({ title }) => title)
      t.same(done, [])
      t.same(await nodeSnapshot(node), installed)
    })
    await t.test('a configuration that is there is replaced only when that is asked for', t =>
      configurations(t, node),
    )
    await t.test('an upgrade loses no crash', t => upgrade(t, node))
    await t.test('a reboot keeps it', async t => {
      await node.reboot()
      t.match(node.sysctls(), { 'kernel.core_pattern': PATTERN, 'fs.suid_dumpable': '2' })
      t.match((await nodeSnapshot(node)).units, {
        'corelift-sweep.timer': 'active',
        'corelift.slice': 'active',
      })
      t.match(await node.sh('corelift canary'), /sound/)
    })
    await t.test('crashes of the host’s own go on to systemd-coredump where that is asked for', t =>
      chaining(t, node),
    )
    await t.test('uninstall restores what was there, and leaves nothing', async t => {
      const { code, stdout } = await node.run('corelift', 'uninstall', '--purge')
      t.equal(code, 0)
      t.match(stdout, /corelift is uninstalled/)
      t.same(await nodeSnapshot(node), before)
      t.match(await node.run(NEW_BINARY, 'uninstall'), { code: 9, stderr: /not installed here/ })
    })
  })
})

type Asserts = Pick<typeof t, 'equal' | 'match' | 'not' | 'ok' | 'same'>

/** Names of index entries, which say how each crash was kept. */
async function recorded(node: InstallNode): Promise<string[]> {
  const names = await node.sh(`find ${STORE_DIR}/index -type f -printf '%f\\n'`)
  return names
    .trim()
    .split('\n')
    .filter(name => name !== '')
}

async function serviceCrash(t: Asserts, node: InstallNode): Promise<void> {
  await node.run('systemd-run', '--quiet', '--wait', '--unit=lab-crasher', CRASH, 'lab-crasher')
  const [entry, ...others] = await eventually(async () => {
    const found = (await recorded(node)).filter(name => name.includes('lab-crasher'))
    return found.length > 0 ? found : undefined
  })
  t.same(others, [])
  t.match(entry, /~_host~.*~lab-crasher\.service~11~lab-crasher~full$/)
}

/** By hand: the unit's sandbox has a /proc of its own, in which the stand-ins for sysctls are not, but this machine's. */
async function drift(t: Asserts, node: InstallNode): Promise<void> {
  await node.sh('systemctl stop corelift-sweep.timer')
  await node.sh('echo "|/usr/share/apport/apport %p" >/proc/sys/kernel/core_pattern')
  t.match(
    await node.sh('corelift sweep --now'),
    /core_pattern was changed by others to \|\/usr\/share\/apport/,
  )
  t.match(await node.sh('corelift status'), /pattern {2}others changed it, seen .*apport/)
  t.match(node.sysctls(), { 'kernel.core_pattern': /apport/ }, 'which is not for a sweep to decide')
  await node.sh(`printf '[node]\nenforce_core_pattern = true\n' >>/etc/corelift/config.toml`)
  t.match(await node.sh('corelift sweep --now'), /apport.*; it is set back/)
  t.match(node.sysctls(), { 'kernel.core_pattern': PATTERN })
  await node.sh(`cp ${CONFIG} /etc/corelift/config.toml && systemctl start corelift-sweep.timer`)
}

async function chaining(t: Asserts, node: InstallNode): Promise<void> {
  await node.sh(`printf '[node]\nchain_host_processes = true\n' >>/etc/corelift/config.toml`)
  const installed = await node.sh('corelift install')
  t.match(installed, /remove \/etc\/systemd\/system\/systemd-coredump\.socket/)
  t.match(installed, /start systemd-coredump\.socket/)
  t.match(installed, /its record was read back .*\(given to \S+systemd-coredump/)
  await node.run(CRASH, 'handed-on')
  await eventually(async () => {
    const { code } = await node.run('coredumpctl', 'info', 'handed-on')
    return code === 0 || undefined
  })
  const listed = await node.sh('coredumpctl list --json=short handed-on')
  t.equal((JSON.parse(listed) as object[]).length, 1, 'once, by its own hand')
  t.match(await node.sh('coredumpctl info handed-on'), /Storage: \/var\/lib\/systemd\/coredump\//)
  const name = (await recorded(node)).find(name => name.includes('~handed-on~'))
  t.match(name, /~record$/)
}

async function configurations(t: Asserts, node: InstallNode): Promise<void> {
  const other = '/root/other.toml'
  await node.sh(`{ cat ${CONFIG}; printf '[node]\\nname = "node-17"\\n'; } >${other}`)
  const kept = await node.run('corelift', 'install', '--no-canary', '--config', other)
  t.match(kept, { code: 0, stderr: /stays as it is, which is not as \/root\/other\.toml: --replace-config/ })
  await node.sh(`cmp ${CONFIG} /etc/corelift/config.toml`)
  const broken = '/root/broken.toml'
  await node.sh(`printf '[store]\\nurl = "nowhere"\\n' >${broken}`)
  t.match(await node.run('corelift', 'install', '--replace-config', '--config', broken), { code: 4 })
  await node.sh(`cmp ${CONFIG} /etc/corelift/config.toml`)
  const replaced = await node.run('corelift', 'install', '--replace-config', '--config', other)
  t.match(replaced, { code: 0, stdout: /done {2}write \/etc\/corelift\/config\.toml/ })
  t.match(await node.sh('corelift ls --comm corelift-canary'), 'node-17')
  await node.sh(`corelift install --no-canary --replace-config --config ${CONFIG}`)
}

/** Another build, as far as its sum tells: bytes of the ELF header that nobody reads. elf(5), EI_PAD */
const OTHER_BUILD = `cp ${NEW_BINARY} /root/other && printf x | dd of=/root/other bs=1 seek=12 conv=notrunc status=none`

async function upgrade(t: Asserts, node: InstallNode): Promise<void> {
  const former = await node.sh('readlink /usr/local/bin/corelift')
  const crashes = 30
  const crashing = node.run('sh', '-c', `for n in $(seq ${crashes}); do ${CRASH} upgrading; done`)
  await node.sh(`${OTHER_BUILD} && /root/other install --no-canary`)
  const later = await node.sh('readlink /usr/local/bin/corelift')
  t.not(later, former)
  await crashing
  const names = await eventually(async () => {
    const found = (await recorded(node)).filter(name => name.includes('~upgrading~'))
    return found.length >= crashes ? found : undefined
  })
  t.equal(names.length, crashes)
  t.ok(
    names.every(name => name.endsWith('~full')),
    names.join(),
  )
  await handlerAcrossUpgrade(t, node)
}

/** A dump takes a tenth of a second: it is looked for without a pause, while processes crash. */
const HOLD_BACK = `(for n in 1 2 3 4 5; do ${CRASH} held-back; done) >/dev/null 2>&1 &
until pkill --echo --oldest --signal STOP --full '^/usr/local/bin/corelift handle'; do :; done`

/** A handler of the version that is replaced: stopped in the middle of a dump, it goes on when it is let. */
async function handlerAcrossUpgrade(t: Asserts, node: InstallNode): Promise<void> {
  const [, pid] = /pid (\d+)/.exec(await node.sh(HOLD_BACK)) ?? []
  const running = await node.sh(`readlink /proc/${pid}/exe`)
  await node.sh(`${NEW_BINARY} install --no-canary && ${OTHER_BUILD} && /root/other install --no-canary`)
  t.equal(await node.sh(`readlink /proc/${pid}/exe`), running, 'its binary is there')
  await node.resume(Number(pid))
  const names = await eventually(async () => {
    const found = (await recorded(node)).filter(name => name.includes('~held-back~'))
    return found.length === 5 ? found : undefined
  })
  t.ok(
    names.every(name => name.endsWith('~full')),
    names.join(),
  )
}

async function eventually<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < 600; tries++) {
    const found = await look()
    if (found !== undefined) return found
    await sleep(100)
  }
  throw new Error('it did not come about in a minute')
}
