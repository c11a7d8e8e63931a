import t from 'tap'
import type { BudgetReport } from '../../../src/commands/budget.ts'
import type { StatusReport } from '../../../src/commands/status.ts'
import type { KmsgRecord } from '../../../src/kernel/kmsg-reader.ts'
import { apparmorCheck, selinuxCheck } from '../../../src/node/doctor/security-checks.ts'
import { spoolCheck, stateDirCheck, waitingCheck } from '../../../src/node/doctor/spool-checks.ts'
import { dropsCheck, recentCrashesCheck } from '../../../src/node/doctor/crash-checks.ts'
import { handlerCgroupCheck, journalCheck } from '../../../src/node/doctor/unit-checks.ts'
import type { CrashEvent } from '../../../src/telemetry/crash-event.ts'
import { GIB } from '../../../src/units.ts'
import { stateDir, noTmpfs } from '../../budget/state-dir.ts'
import type { Tree } from '../tree.ts'
import { examined, fakeNode, NOTHING_WAITS, NOW } from './examining.ts'

const minutesAgo = (minutes: number) => new Date(NOW.getTime() - minutes * 60_000)

const USAGE = {
  entries: 0,
  bytes: 0,
  bytesMax: 20 * GIB,
  diskFreeBytes: 100 * GIB,
  diskFreeInodes: 1000,
  lost: 0,
}

t.test('a spool has to be usable, and to have room', async t => {
  const spooled = (spool: StatusReport['spool'], tree: Tree = {}) =>
    examined(
      t,
      spoolCheck,
      fakeNode(t, { tree, changes: { status: async () => ({ ...NOTHING_WAITS, spool }) } }),
    )
  const usage = (changes: Partial<typeof USAGE>) => ({ dir: '/mnt/spool', usage: { ...USAGE, ...changes } })
  t.match(await spooled(null), { result: 'ok', found: /none is configured/ })
  t.match(
    await spooled({ dir: '/mnt/spool', usage: null, problem: 'spool.dir is on the root file system' }),
    {
      result: 'fail',
      found: 'spool.dir is on the root file system',
    },
  )
  t.match(await spooled(usage({})), {
    result: 'ok',
    found: '0 B of 20.0 GiB in /mnt/spool, 100.0 GiB free on its disk',
  })
  t.match(await spooled(usage({ bytes: 19 * GIB })), { result: 'warn', found: /nearly full/ })
  t.match(await spooled(usage({ lost: 2 })), { result: 'warn', found: /2 crashes lost/ })
  t.match(await spooled(usage({ diskFreeBytes: GIB / 2 })), { result: 'fail', found: /takes nothing/ })
  const mountinfo = '30 1 8:2 / /mnt ro,relatime - ext4 /dev/vdb ro\n'
  t.match(await spooled(usage({}), { '/proc/self/mountinfo': mountinfo }), {
    result: 'fail',
    fix: 'mount -o remount,rw /mnt',
  })
})

t.test('what waits for long is noted, with the reason', async t => {
  const waiting = (minutes: number, state: 'open' | 'sealed' = 'sealed') => {
    const since = minutesAgo(minutes).toISOString()
    const crash = { id: 'x', since, place: null, bytes: 1, state, outcome: null, why: 'no answer' }
    return examined(
      t,
      waitingCheck,
      fakeNode(t, { changes: { status: async () => ({ ...NOTHING_WAITS, waiting: [crash] }) } }),
    )
  }
  t.match(await waiting(5), { result: 'ok' })
  t.match(await waiting(50), {
    result: 'warn',
    found: /^1 crash since 2026-11-23T19:55:00.000Z: no answer$/,
    fix: 'corelift status',
  })
  t.match(await waiting(50, 'open'), { result: 'ok', found: 'nothing waits for the store' })
})

const BUDGET = { since: null, corrupt: false, counts: [] } as unknown as BudgetReport

t.test('the state directory is looked at, and not made', { skip: noTmpfs }, async t => {
  const directory = stateDir(t)
  const config = `[budget]\nstate_dir = "${directory}"\n`
  const budget = (changes: Partial<BudgetReport>) =>
    examined(
      t,
      stateDirCheck,
      fakeNode(t, { config, changes: { budget: () => ({ ...BUDGET, ...changes }) } }),
    )
  t.match(await budget({}), { result: 'ok', found: /no crash since boot/ })
  t.match(await budget({ corrupt: true }), { result: 'warn', found: /corrupt/ })
  const absent = `[budget]\nstate_dir = "${directory}/none"\n`
  t.match(
    await examined(t, stateDirCheck, fakeNode(t, { config: absent, changes: { budget: () => BUDGET } })),
    {
      result: 'ok',
      found: /is made by the first crash/,
    },
  )
})

const record = (text: string, minutes = 1): KmsgRecord => ({
  sequence: 1,
  facility: 0,
  time: minutesAgo(minutes),
  text,
})

t.test('crashes without a handler are counted from the log and the ledger', async t => {
  const over = 'coredump: 7(cart): over core_pipe_limit, skipping core dump'
  const failed = 'coredump: 7(cart): |/b pipe failed'
  const tally = (reason: string, count: number, minutes: number) =>
    ({
      namespace: '_unknown',
      rung: 'record',
      reason,
      count,
      last: minutesAgo(minutes).toISOString(),
    }) as const
  const drops = (records: readonly KmsgRecord[] | undefined, counts: BudgetReport['counts'] = []) =>
    examined(
      t,
      dropsCheck,
      fakeNode(t, { changes: { kernelLog: () => records, budget: () => ({ ...BUDGET, counts }) } }),
    )
  t.match(await drops([]), { result: 'ok', found: 'none since boot' })
  t.match(await drops(undefined), { result: 'skipped' })
  t.match(await drops([record(over)]), { result: 'warn', found: /^1 by pipe-limit since boot/ })
  t.match(await drops([record(failed)]), { result: 'fail', found: /1 by pipe-failed.*could not start/ })
  t.match(await drops([record(failed, 120)]), { result: 'warn' })
  t.match(await drops([record(over)], [tally('pipe-limit', 5, 3), tally('rate', 9, 1)]), {
    result: 'warn',
    found: /^5 by pipe-limit since boot, the last at 2026-11-23T20:44:00/,
  })
  t.match(await drops([], [tally('pipe-limit', 5, 3000)]), { result: 'ok', found: /^5 by pipe-limit/ })
})

t.test('crashes that were lost of late are a failure', async t => {
  const event = (changes: Partial<CrashEvent>) =>
    ({
      id: 'x',
      time: minutesAgo(5).toISOString(),
      comm: 'cart',
      fate: 'full',
      whereabouts: 'stored',
      ...changes,
    }) as CrashEvent
  const crashed = (...events: CrashEvent[]) =>
    examined(t, recentCrashesCheck, fakeNode(t, { changes: { events: () => events } }))
  t.match(await crashed(), { result: 'skipped' })
  t.match(await crashed(event({}), event({ whereabouts: 'spooled' })), {
    result: 'ok',
    found: /2 crashes, of which 0 lost and 1 spooled/,
  })
  const lost = { fate: 'lost', whereabouts: 'nowhere', why: 'no room' } as const
  t.match(await crashed(event(lost)), { result: 'fail', found: /cart \(x\): no room/ })
  t.match(await crashed(event({ ...lost, time: minutesAgo(90).toISOString() })), { result: 'warn' })
})

const AVC =
  'audit: type=1400 audit(1.2:3): avc:  denied  { execute } for  pid=9 comm="kworker/u8:2" name="corelift" dev="vda1" tcontext=usr_t'

t.test('denials of SELinux count where it enforces, and are noted where it does not', async t => {
  const selinux = (tree: Tree, texts: readonly string[] = []) =>
    examined(
      t,
      selinuxCheck,
      fakeNode(t, { tree, changes: { kernelLog: () => texts.map(text => record(text)) } }),
    )
  const enforce = (mode: string) => ({ '/sys/fs/selinux/enforce': mode })
  t.match(await selinux({}), { result: 'ok', found: 'not in use' })
  t.match(await selinux(enforce('1')), { result: 'ok', found: /^enforcing/ })
  t.match(await selinux(enforce('1'), [AVC]), {
    result: 'fail',
    found: /^enforcing: 1 denial, the last: audit: type=1400/,
  })
  t.match(await selinux(enforce('0'), [AVC]), { result: 'warn', found: /^permissive/ })
  t.match(await selinux(enforce('1'), [AVC.replace('name="corelift"', 'name="cart"')]), { result: 'ok' })
  const log = {
    '/var/log/audit/audit.log': `type=AVC msg=audit(1.2:3): avc:  denied  { read } for  pid=9 comm="corelift"\n`,
  }
  t.match(await selinux({ ...enforce('1'), ...log }), { result: 'fail', found: /1 denial/ })
})

t.test('denials of AppArmor are a failure', async t => {
  const denied =
    'audit: type=1400 audit(1.2:3): apparmor="DENIED" operation="open" profile="/usr/local/bin/corelift" name="/x"'
  const apparmor = (tree: Tree, texts: readonly string[] = []) =>
    examined(
      t,
      apparmorCheck,
      fakeNode(t, { tree, changes: { kernelLog: () => texts.map(text => record(text)) } }),
    )
  const on = { '/sys/module/apparmor/parameters/enabled': 'Y\n' }
  t.match(await apparmor({}), { result: 'ok', found: 'not in use' })
  t.match(await apparmor(on, [AVC]), { result: 'ok' })
  t.match(await apparmor(on, [denied]), { result: 'fail', found: /1 denial/ })
})

t.test('handlers are to be in a cgroup that bounds their memory', async t => {
  const slice = '/sys/fs/cgroup/corelift.slice'
  const cgroup = (tree: Tree) => examined(t, handlerCgroupCheck, fakeNode(t, { tree }))
  const v2 = { '/sys/fs/cgroup/cgroup.controllers': 'memory\n' }
  t.match(await cgroup(v2), { result: 'warn', fix: 'systemctl start corelift.slice' })
  t.match(await cgroup({}), { result: 'warn', found: /cgroup v1/, fix: /handler\.cgroup/ })
  const there = { ...v2, [`${slice}/cgroup.procs`]: '' }
  t.match(await cgroup({ ...there, [`${slice}/memory.max`]: 'max\n' }), {
    result: 'warn',
    found: /no limit of memory/,
  })
  t.match(await cgroup({ ...there, [`${slice}/memory.max`]: '1073741824\n' }), {
    result: 'ok',
    found: `${slice}: memory.max 1073741824`,
  })
})

t.test('journald is missed only where systemd runs', async t => {
  const journal = (tree: Tree) => examined(t, journalCheck, fakeNode(t, { tree }))
  t.match(await journal({}), { result: 'skipped' })
  t.match(await journal({ '/run/systemd/system/x': '' }), { result: 'warn' })
  t.match(await journal({ '/run/systemd/journal/socket': '' }), { result: 'ok' })
})
