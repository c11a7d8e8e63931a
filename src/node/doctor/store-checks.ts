// Whether crashes can go where they are to go: what the store said to what a handler would ask of it.
import { stat, statfs } from 'node:fs/promises'
import { renderBytes } from '../../commands/render.ts'
import type { CoreliftError } from '../../errors.ts'
import { MIB } from '../../units.ts'
import { mountOf } from '../mounts.ts'
import { type Check, fail, type Finding, ok, skipped, warn } from './check.ts'
import { type ExaminedNode, textOf } from './examined-node.ts'
import type { ProbeStep, StoreProbe } from './store-probe.ts'

const POLICIES = 'corelift bucket show --policies'
/** Of all requests together, each with its retries. */
const PROBE_SECONDS = 60

/** What all of them share: nothing is said of a store that is not configured. */
function storeCheck(
  check: Pick<Check, 'id' | 'why' | 'fix'>,
  examine: (probe: StoreProbe, node: ExaminedNode) => Finding,
): Check {
  return {
    ...check,
    group: 'store',
    needsRoot: true,
    secondsMax: PROBE_SECONDS,
    async examine(node) {
      if (node.config.store.url === undefined) return skipped('store.url is not set')
      return examine(await node.probe(), node)
    },
  }
}

const NOT_ASKED = skipped('not asked: see store-write')

export const storeWriteCheck = storeCheck(
  {
    id: 'store-write',
    why: 'what cannot be put into the store is lost, or waits on the node',
    fix: POLICIES,
  },
  ({ put }, { config }) =>
    put.error === undefined
      ? ok(`${config.store.url}: a small object in ${put.milliseconds} ms`)
      : fail(...failureOf(put.error)),
)

export const storeUploadCheck = storeCheck(
  {
    id: 'store-upload',
    why: 'cores go in parts; those of uploads that cannot be aborted stay in the bucket, and cost',
    fix: POLICIES,
  },
  ({ upload, abort }) => {
    if (upload === undefined) return NOT_ASKED
    if (upload.error !== undefined) return fail(...failureOf(upload.error))
    if (abort?.error !== undefined) {
      const [found, fix] = failureOf(abort.error)
      return warn(`begun, but not aborted: ${found}`, fix)
    }
    return ok(`begun, and aborted, in ${upload.milliseconds} ms`)
  },
)

/** What each error takes is known best where it is made. */
function failureOf({ code, message, hint }: CoreliftError): [found: string, fix?: string] {
  return code === 'E_STORE_DENIED' || hint === undefined ? [message] : [message, hint]
}

export const storeReadCheck = storeCheck(
  {
    id: 'store-read',
    why: 'whoever takes over a node that may read gets the cores of the whole cluster',
    fix: POLICIES,
  },
  ({ get, list }, { config }) => {
    if (get === undefined || list === undefined) return NOT_ASKED
    if (!config.store.url?.startsWith('s3:')) return ok('a directory: whoever may write there may read')
    const [getting, listing] = [rightOf(get), rightOf(list)]
    if (getting === 'denied' && listing === 'denied') return ok('get and list are denied, as recommended')
    return ok(`get is ${getting} and list is ${listing}; a node needs neither: ${POLICIES}`)
  },
)

function rightOf({ error }: ProbeStep): string {
  if (error === undefined || error.code === 'E_STORE_NO_OBJECT') return 'allowed'
  return error.code === 'E_STORE_DENIED' ? 'denied' : `not known (${error.message})`
}

const CLOCK_SECONDS_NOTED = 60
/** What S3 refuses: RequestTimeTooSkewed. */
const CLOCK_SECONDS_MAX = 900

export const storeClockCheck = storeCheck(
  {
    id: 'store-clock',
    why: 'S3 refuses requests whose time is more than 15 minutes off; crashes are filed under the time of the node',
    fix: 'timedatectl set-ntp true',
  },
  ({ clockSeconds }) => {
    if (clockSeconds === undefined) return skipped('the store does not tell the time')
    const seconds = Math.round(Math.abs(clockSeconds))
    const words = `${seconds} s ${clockSeconds > 0 ? 'behind' : 'ahead of'} the store's`
    if (seconds > CLOCK_SECONDS_MAX) return fail(`this node's clock is ${words}`)
    if (seconds > CLOCK_SECONDS_NOTED) return warn(`this node's clock is ${words}`)
    // A Date header has whole seconds.
    return ok(seconds <= 1 ? "as the store's" : words)
  },
)

/** Of a small object: a crash's first objects are as small, and the process is held until they are sent. */
const PUT_MS_NOTED = 1000

export const storeLatencyCheck = storeCheck(
  {
    id: 'store-latency',
    why: 'a crashed process is held, and its pod cannot restart, while its core is sent',
    fix: 'put the bucket in the region of the nodes; see what lies between them and store.endpoint',
  },
  ({ put, upload }) => {
    if (put.error !== undefined || upload?.error !== undefined) return NOT_ASKED
    const words = `${put.milliseconds} ms for a small object`
    return put.milliseconds > PUT_MS_NOTED ? warn(words) : ok(words)
  },
)

const FREE_BYTES_NOTED = 1024 * MIB

export const storeRoomCheck: Check = {
  id: 'store-room',
  group: 'store',
  why: 'a directory that is full, or read-only, takes no more crashes',
  fix: 'make room, or give store.url a larger disk',
  needsRoot: false,
  async examine(node) {
    const [, directory] = /^file:\/\/(\/.*)$/s.exec(node.config.store.url ?? '') ?? []
    if (directory === undefined)
      return skipped('of directories only; a bucket has what room its owner pays for')
    const { bavail, bsize, blocks, ffree, files } = await statfs(directory)
    const free = bavail * bsize
    const words = `${renderBytes(free)} of ${renderBytes(blocks * bsize)} free`
    const mount = mountOf(directory, textOf(node, '/proc/self/mountinfo') ?? '')
    if (mount?.options.includes('ro'))
      return fail(`${mount.mountPoint} is mounted read-only`, `mount -o remount,rw ${mount.mountPoint}`)
    if (free === 0 || (files > 0 && ffree === 0))
      return fail(`${words}${files > 0 && ffree === 0 ? ', and no inode' : ''}`)
    if (free < FREE_BYTES_NOTED) return warn(words)
    const isRootDisk = (await stat(directory)).dev === (await stat('/')).dev
    return isRootDisk ? warn(`${words}, on the root file system, which a crash loop can fill`) : ok(words)
  },
}
