// An installation through its life on a true kernel, over systemd-coredump as Debian's package leaves it. One node, since
// each boot takes half a minute without hardware virtualisation: its tests follow one another.
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { corePattern } from '../../src/kernel/core-pattern.ts'
import { gdb, noBinary } from '../lab/node.ts'
import { whyNoVm } from '../lab/vm.ts'
import { bootGuest, BUILT, CONFIG, crasherAs, type Guest, NEXT, STORE_URL_DIR, UNREACHABLE } from './guest.ts'

const PATTERN = corePattern(['/usr/local/bin/corelift', 'handle'])
const OURS = `${PATTERN}\n64\n2\n`

t.test('a node with systemd-coredump', { skip: noBinary() ?? whyNoVm() ?? false }, async t => {
  const lab = t.testdir()
  const guest = await bootGuest(t, lab)
  await systemdTakesCrashes(t, guest)
  const before = await guest.state()

  t.test('is as before where an installation fails', async t => {
    const { code, stdout } = await guest.run(`${BUILT} install --config ${UNREACHABLE}`)
    t.equal(code, 9)
    t.match(stdout, /failed {2}crash a process/, 'its canary did not reach the store')
    t.strictSame(differences(before, await guest.state()), [])
    await systemdTakesCrashes(t, guest)
  })

  t.test('has corelift, proved by a canary', async t => {
    const { canary } = JSON.parse(await guest.output(`${BUILT} install --config ${CONFIG} --json`)) as {
      canary: object
    }
    t.match(canary, { event: { whereabouts: 'stored' }, readBack: { state: 'verified', kind: 'full' } })
    t.equal(await sysctls(guest), OURS)
  })

  t.test('keeps it when its power is cut', async t => {
    await guest.cutPower()
    t.equal(await sysctls(guest), OURS)
    t.equal(await isActive(guest, 'corelift-sweep.timer corelift.slice'), 'active\nactive\n')
  })

  t.test('stores crashes, for any debugger', async t => {
    const comm = await guest.crash()
    const stored = await guest.recorded(comm)
    await guest.output(`until coredumpctl list ${comm}; do sleep 0.2; done`)
    t.match(stored, [{ outcome: 'full', workload: { kind: 'host' } }])
    const core = path.join(lab, 'core')
    const base64 = await guest.output(`corelift get ${stored[0]?.id} --output - | base64`)
    writeFileSync(core, Buffer.from(base64, 'base64'))
    t.match(gdb(path.join(lab, 'crasher'), core, 'bt'), /#0 .*crash_here[^]*#3 .*main/)
  })

  t.test('sweeps within what its unit may do', async t => {
    await guest.output('systemctl start corelift-sweep.service')
    t.equal(await guest.output('systemctl show -P Result corelift-sweep.service'), 'success\n')
    await guest.output(`cp /etc/corelift/config.toml /run/kept
printf '[node]\\nenforce_core_pattern = true\\n' >>/etc/corelift/config.toml
echo core >/proc/sys/kernel/core_pattern
systemctl start corelift-sweep.service`)
    t.equal(await sysctls(guest), OURS, 'and sets back a pattern that others changed, where it is to')
    await guest.output('mv /run/kept /etc/corelift/config.toml')
  })

  t.test('is upgraded between crashes and in the middle of a dump', t => upgrades(t, guest))

  t.test('has the newer one after it was booted again', async t => {
    await guest.reboot()
    t.equal(await sysctls(guest), OURS)
    t.match(await guest.recorded(await guest.crash()), [{ outcome: 'full' }])
    t.equal(
      await guest.output('sha256sum </usr/local/bin/corelift'),
      await guest.output(`sha256sum <${NEXT}`),
    )
  })

  t.test('is as before but for its configuration when corelift is uninstalled', async t => {
    await guest.output('corelift uninstall')
    const found = differences(before, await guest.state())
    const configuration = found.filter(line => /^\+.* \/etc\/corelift(\/config\.toml)?( |$)/.test(line))
    t.equal(configuration.length, 3, 'the directory, the file, and what is in it')
    t.strictSame(
      found.filter(line => !configuration.includes(line)),
      [],
    )
    await systemdTakesCrashes(t, guest)
  })

  t.test('is as before when corelift is purged, and stays so', async t => {
    await guest.output(`${BUILT} install --no-canary`)
    t.equal(await sysctls(guest), OURS)
    await guest.output('corelift uninstall --purge')
    t.strictSame(differences(before, await guest.state()), [])
    await guest.reboot()
    t.strictSame(differences(before, await guest.state()), [])
    await systemdTakesCrashes(t, guest)
  })
})

/** A dump that is held in the middle, and crashes all the while, each as soon as the one before it is over. */
async function upgrades(t: Test, guest: Guest): Promise<void> {
  const handler = (await guest.output(HOLD_DUMP)).trim()
  t.match(await guest.output(`cat /proc/${handler}/cgroup`), /^0::\/corelift\.slice$/m)
  const formerBinary = await guest.output(`readlink /proc/${handler}/exe`)

  await guest.output(`systemd-run --unit=crash-loop --property=LimitCORE=infinity sh -c '${CRASH_LOOP}'`)
  const crashes = async () => (await guest.output(`cat ${CRASHED}`)).trim().split('\n').map(Number)
  const crashMore = (count: number) =>
    guest.output(`until [ "$(wc -l <${CRASHED})" -ge ${count} ]; do sleep 0.2; done`)
  await crashMore(3)
  await guest.output(`: >${GAPS}; (${WATCH}) >/dev/null 2>&1 &`)
  await guest.output(`${NEXT} install`)
  t.equal(await guest.output(`touch ${SEEN_ENOUGH}; cat ${GAPS}`), '', 'the kernel always had what to start')
  await crashMore((await crashes()).length + 3)
  await guest.output(`touch ${STOP}; while systemctl is-active crash-loop; do sleep 0.2; done`)

  t.equal(await guest.output(`readlink /proc/${handler}/exe`), formerBinary, 'it runs as it did')
  t.not(await guest.output('realpath /usr/local/bin/corelift'), formerBinary, 'which is not what starts now')
  await guest.output(`kill -CONT ${handler}`)
  await guest.waitForHandlers()
  t.match(await guest.recorded('held'), [{ outcome: 'full', core: { complete: true } }])
  const looping = await guest.recorded('looping')
  t.strictSame(looping.map(({ crash }) => crash.pid).sort(), (await crashes()).sort(), 'no crash was lost')
  t.ok(
    looping.every(({ outcome }) => outcome === 'full'),
    'nor a core',
  )
}

/** Stops a handler while it uploads. Prints its pid. */
const HOLD_DUMP = `ulimit -c unlimited
${crasherAs('held')} --mib 128 >/dev/null 2>&1 &
until [ -n "$(find ${STORE_URL_DIR}/.incoming -type f)" ] && handler=$(pgrep -f "corelift handle $! "); do sleep 0.05; done
kill -STOP $handler
echo $handler`

/** On a tmpfs of the guest. */
const CRASHED = '/run/crashed'
const STOP = '/run/crash-no-more'
const GAPS = '/run/gaps'
const SEEN_ENOUGH = '/run/seen-enough'
const CRASH_LOOP = `while [ ! -e ${STOP} ]; do ${crasherAs('looping')} & wait $!; echo $! >>${CRASHED}; done`

/** Looks some thousand times a second: a crash would have to begin in the very moment of a gap. */
const WATCH = `while [ ! -e ${SEEN_ENOUGH} ]; do
  read -r pattern </proc/sys/kernel/core_pattern
  [ -x /usr/local/bin/corelift ] && [ "$pattern" = '${PATTERN}' ] || date >>${GAPS}
done`

/** Lines that are gone, and those that are new. */
function differences(before: readonly string[], after: readonly string[]): string[] {
  const [was, is] = [new Set(before), new Set(after)]
  return [
    ...before.filter(line => !is.has(line)).map(line => `-${line}`),
    ...after.filter(line => !was.has(line)).map(line => `+${line}`),
  ]
}

async function systemdTakesCrashes(t: Test, guest: Guest): Promise<void> {
  const comm = await guest.crash()
  await guest.output(`until coredumpctl list ${comm}; do sleep 0.2; done`)
  t.strictSame(await guest.recorded(comm), [], 'systemd-coredump takes crashes, and corelift does not')
}

const sysctls = (guest: Guest) =>
  guest.output('sysctl -n kernel.core_pattern kernel.core_pipe_limit fs.suid_dumpable')

const isActive = async (guest: Guest, units: string) =>
  (await guest.run(`systemctl is-active ${units}`)).stdout
