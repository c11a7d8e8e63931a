// Where crashes are kept for as long as they are not in the store, and whether they are.
import { statfs } from 'node:fs/promises'
import { renderBytes } from '../../commands/render.ts'
import { MIB } from '../../units.ts'
import { mountOf } from '../mounts.ts'
import { type Check, counted, fail, ok, warn } from './check.ts'
import { textOf } from './examined-node.ts'

/** Of spool.bytes_max: what is left goes in one crash. */
const FULL_SHARE = 0.9

export const spoolCheck: Check = {
  id: 'spool',
  group: 'node',
  why: 'without room in it, an outage of the store costs cores',
  fix: 'see spool.dir, spool.bytes_max and spool.free_bytes_min in the configuration, and what else is on that disk',
  needsRoot: true,
  async examine(node) {
    const { spool } = await node.status()
    if (spool === null)
      return ok('none is configured (spool.dir): what the store does not take in time is lost')
    if (spool.usage === null) return fail(spool.problem ?? 'cannot be used')
    const mount = mountOf(spool.dir, textOf(node, '/proc/self/mountinfo') ?? '')
    if (mount?.options.includes('ro'))
      return fail(`${mount.mountPoint} is mounted read-only`, `mount -o remount,rw ${mount.mountPoint}`)
    const { bytes, bytesMax, diskFreeBytes, diskFreeInodes, lost } = spool.usage
    const words = `${renderBytes(bytes)} of ${renderBytes(bytesMax)} in ${spool.dir}, ${renderBytes(diskFreeBytes)} free on its disk`
    if (diskFreeBytes < node.config.spool.freeBytesMin)
      return fail(`${words}: less than spool.free_bytes_min, so that it takes nothing`)
    // File systems without a table of inodes say 0 too; those have as many as there is room for.
    if (lost > 0) return warn(`${words}; ${counted(lost, 'crash', 'crashes')} lost for want of room`)
    return bytes > bytesMax * FULL_SHARE
      ? warn(`${words}: nearly full, inodes free: ${diskFreeInodes}`)
      : ok(words)
  },
}

const MINUTE_MS = 60_000
const WAITING_MINUTES_NOTED = 15

export const waitingCheck: Check = {
  id: 'waiting',
  group: 'node',
  why: 'what waits is on this node only, and is dropped when it is older than spool.age_max',
  fix: 'corelift status',
  needsRoot: true,
  async examine(node) {
    const { waiting, backoff } = await node.status()
    // Those that are open have a handler at work, or a sweep salvages them.
    const sealed = waiting.filter(({ state }) => state !== 'open')
    const [oldest] = sealed
    if (oldest === undefined) return ok('nothing waits for the store')
    const minutes = (node.now().getTime() - new Date(oldest.since ?? node.now()).getTime()) / MINUTE_MS
    const until = backoff === null ? '' : `; the store asked to be left alone until ${backoff.until}`
    const words = `${counted(sealed.length, 'crash', 'crashes')} since ${oldest.since ?? 'an unknown time'}: ${oldest.why}${until}`
    return minutes > WAITING_MINUTES_NOTED ? warn(words) : ok(words)
  },
}

/** Notes of crashes that wait are there too. */
const STATE_BYTES_NOTED = 16 * MIB

export const stateDirCheck: Check = {
  id: 'state-dir',
  group: 'node',
  why: 'slots and the ledger of budgets are there, and records of crashes that the store did not take',
  fix: 'name a directory on a tmpfs in budget.state_dir, such as /run/corelift',
  needsRoot: true,
  async examine(node) {
    const { stateDir } = node.config.budget
    const { since, corrupt } = node.budget()
    if (corrupt)
      return warn(
        `the ledger in ${stateDir} is corrupt: rates and counts begin anew with the next crash`,
        `the next crash sets it aside as ${stateDir}/ledger.json.corrupt`,
      )
    const found = await statfs(stateDir).catch(() => undefined)
    if (found === undefined) return ok(`${stateDir} is made by the first crash`)
    const free = found.bavail * found.bsize
    const words = `${stateDir}, ${renderBytes(free)} free`
    if (free < STATE_BYTES_NOTED) return warn(words, `make room on the file system of ${stateDir}`)
    return ok(since === null ? `${words}; no crash since boot` : `${words}; counts since ${since}`)
  },
}
