// What systemd does for corelift (the timer, the slice, the journal), and what it runs that would take the pattern:
// systemctl(1), `show`.
import { SWEEP_TIMER, SYSCTL_FILE } from '../layout.ts'
import { rivalsOf } from '../rivals.ts'
import { type Check, fail, ok, skipped, someOf, warn } from './check.ts'
import { type ExaminedNode, hasFile, isSystemd, textOf } from './examined-node.ts'

const NO_SYSTEMD = skipped('systemd does not run here; let something else run `corelift sweep` each minute')
const NO_ANSWER = fail('systemctl does not answer', 'systemctl is-system-running')

/** Properties of a unit, as `systemctl show` prints them. */
interface Unit {
  readonly name: string
  /** `not-found` where there is no such unit. */
  readonly load: string
  /** `enabled`, `masked` and the like; empty where it cannot be enabled. */
  readonly file: string
  readonly active: string
}

/** @returns undefined where systemctl fails, or is not there. */
async function unitsOf(node: ExaminedNode, names: readonly string[]): Promise<Unit[] | undefined> {
  const text = await node.systemctl(['show', '-p', 'Id,LoadState,UnitFileState,ActiveState', ...names])
  return text?.split('\n\n').flatMap(block => {
    const properties = new Map(
      block.split('\n').map(line => [line.split('=')[0], line.replace(/^[^=]*=/, '')]),
    )
    const [name, load] = [properties.get('Id'), properties.get('LoadState')]
    if (name === undefined || load === undefined) return []
    return [
      {
        name,
        load,
        file: properties.get('UnitFileState') ?? '',
        active: properties.get('ActiveState') ?? '',
      },
    ]
  })
}

export const sweepTimerCheck: Check = {
  id: 'sweep-timer',
  group: 'installation',
  why: 'it sends what waits, clears up after handlers that were killed, and counts crashes that got no handler',
  fix: `systemctl enable --now ${SWEEP_TIMER}`,
  needsRoot: false,
  async examine(node) {
    if (!isSystemd(node)) return NO_SYSTEMD
    const [timer] = (await unitsOf(node, [SWEEP_TIMER])) ?? []
    if (timer === undefined) return NO_ANSWER
    if (timer.load === 'not-found') return fail(`there is no ${SWEEP_TIMER}`, 'corelift install')
    const isEnabled = timer.file.startsWith('enabled') || timer.file === 'static'
    const words = `${timer.file || 'not enabled'}, ${timer.active}`
    return isEnabled && timer.active === 'active' ? ok(words) : fail(words)
  },
}

const MINUTE_MS = 60_000
/** It runs each minute; one that has much to send may take longer, and then is followed at once. */
const SWEEP_AGE_MINUTES_MAX = 5

export const lastSweepCheck: Check = {
  id: 'last-sweep',
  group: 'installation',
  why: 'without sweeps nothing that waits is sent, however healthy the store is',
  fix: 'systemctl start corelift-sweep.service; journalctl -u corelift-sweep.service',
  needsRoot: true,
  async examine(node) {
    const { lastSweep } = await node.status()
    const uptimeSeconds = Number(textOf(node, '/proc/uptime')?.split(' ')[0] ?? Infinity)
    if (lastSweep === null)
      return uptimeSeconds < SWEEP_AGE_MINUTES_MAX * 60 ? ok('none yet since boot') : fail('none since boot')
    const minutes = (node.now().getTime() - new Date(lastSweep).getTime()) / MINUTE_MS
    const words = `the last one began at ${lastSweep}`
    return minutes > SWEEP_AGE_MINUTES_MAX ? fail(`${words}, ${Math.round(minutes)} minutes ago`) : ok(words)
  },
}

export const rivalsCheck: Check = {
  id: 'rivals',
  group: 'installation',
  why: 'apport, ABRT and systemd-coredump (from systemd 262 on) set kernel.core_pattern whenever they start',
  fix: `systemctl mask --now UNIT; sysctl -p ${SYSCTL_FILE}`,
  needsRoot: false,
  async examine(node) {
    if (!isSystemd(node)) return skipped('systemd does not run here')
    // systemd-coredump's socket sets no pattern.
    const names = rivalsOf({ root: node.root, systemdVersion: undefined, chainedTo: undefined }).filter(
      name => name.endsWith('.service'),
    )
    const units = await unitsOf(node, names)
    if (units === undefined) return NO_ANSWER
    // An init script is a unit that is `generated`.
    const isRival = ({ load, file, active }: Unit) =>
      load === 'loaded' && (active === 'active' || /^(?:enabled|static|generated|indirect|alias)/.test(file))
    const rivals = units.filter(isRival).map(({ name }) => name)
    if (rivals.length === 0) return ok('no unit that would take the pattern')
    return fail(someOf(rivals), `systemctl mask --now ${rivals.join(' ')}; sysctl -p ${SYSCTL_FILE}`)
  },
}

/** Of cgroup v2; handlers write their pid there: cgroups(7). */
const PROCS = 'cgroup.procs'

export const handlerCgroupCheck: Check = {
  id: 'handler-cgroup',
  group: 'node',
  why: 'the kernel starts handlers in the root cgroup, where nothing bounds their memory and processors',
  fix: 'systemctl start corelift.slice',
  needsRoot: false,
  examine(node) {
    const { cgroup } = node.config.handler
    if (textOf(node, `${cgroup}/${PROCS}`) === undefined) {
      const isV2 = textOf(node, '/sys/fs/cgroup/cgroup.controllers') !== undefined
      const mend = isV2
        ? undefined
        : 'name a directory of a v1 hierarchy that limits memory in handler.cgroup'
      return warn(`there is no ${cgroup}: handlers run without limits${isV2 ? '' : ' (cgroup v1)'}`, mend)
    }
    const limits = ['memory.max', 'memory.limit_in_bytes', 'cpu.max'].flatMap(name => {
      const text = textOf(node, `${cgroup}/${name}`)
      return text === undefined ? [] : [`${name} ${text}`]
    })
    const isBounded = limits.some(limit => /^memory\S+ \d{1,15}$/.test(limit))
    const words = `${cgroup}${limits.length > 0 ? `: ${limits.join(', ')}` : ''}`
    return isBounded ? ok(words) : warn(`${words}; no limit of memory`, 'corelift install')
  },
}

const JOURNAL_SOCKET = '/run/systemd/journal/socket'

export const journalCheck: Check = {
  id: 'journal',
  group: 'node',
  why: 'with journald coredumpctl shows the crashes; without it the kernel log has a line for each',
  fix: 'systemctl start systemd-journald.socket',
  needsRoot: false,
  examine(node) {
    if (hasFile(node, JOURNAL_SOCKET)) return ok(JOURNAL_SOCKET)
    return isSystemd(node) ? warn(`${JOURNAL_SOCKET} is not there`) : skipped('journald does not run here')
  },
}
