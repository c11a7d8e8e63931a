// Crashes that the kernel started no handler for: all that is left of them is a line each in its log. They are put on
// record like others, in the spool first, and counted in the ledger.
import { createHash } from 'node:crypto'
import { changeLedger } from '../budget/ledger-file.ts'
import { tally } from '../budget/ledger.ts'
import type { Config } from '../config/table.ts'
import { type DropGroup, dropsIn, groupDrops, isDropLine } from '../kernel/drops.ts'
import { type KmsgPosition, readKernelLog } from '../kernel/kmsg-reader.ts'
import type { Os } from '../os/os.ts'
import type { EntryNote } from '../spool/note.ts'
import type { Spool } from '../spool/spool.ts'
import { crashId } from '../store/keys.ts'
import { bareManifest, type Manifest } from '../store/manifest.ts'
import { UNKNOWN_NAMESPACE } from '../workload/place.ts'
import { unknownNote } from './unknown-note.ts'

export interface DropsFound {
  readonly groups: readonly DropGroup[]
  /** Records of the log that were overwritten unread. */
  readonly lost: number
  readonly position: KmsgPosition | undefined
}

export interface DropsOptions {
  readonly config: Pick<Config, 'budget'>
  readonly node: string
  readonly version: string
  readonly deps: { readonly os: Pick<Os, 'tryLock'> }
}

/** Reads what the kernel log has beyond `after`, and puts each group of dropped crashes on record. */
export async function recordDrops(
  pending: Spool,
  after: KmsgPosition | undefined,
  options: DropsOptions,
): Promise<DropsFound> {
  const { records, lost, position } = readKernelLog(after, isDropLine)
  const groups = groupDrops(dropsIn(records))
  const ids = await pending.ids()
  for (const group of groups) {
    const id = idOf(group, position?.bootId ?? '')
    // A sweep that was killed in between made the same entry; of its id the time may differ, as clocks are read anew.
    const known = ids.find(other => other.slice(-TAIL_LENGTH) === id.slice(-TAIL_LENGTH))
    const entry = known === undefined ? await pending.create(id) : await pending.claim(known)
    if (entry === undefined || entry === 'busy') continue
    await entry.save(noteOf(entry.id, group, options))
    await entry.release()
  }
  if (groups.length > 0) await countDrops(groups, options)
  return { groups, lost, position }
}

async function countDrops(groups: readonly DropGroup[], { config, node, deps }: DropsOptions): Promise<void> {
  await changeLedger(deps.os, config.budget, ledger => {
    for (const { cause, comm, count, last } of groups) {
      const entry = {
        namespace: UNKNOWN_NAMESPACE,
        rung: 'record',
        reason: cause,
        at: last.getTime(),
      } as const
      tally(ledger, { ...entry, count }, [UNKNOWN_NAMESPACE, node, comm])
    }
  })
}

const WORDS: Record<DropGroup['cause'], string> = {
  'pipe-limit':
    'as many handlers as kernel.core_pipe_limit allows were at work: the kernel started none, and dropped the core',
  'pipe-failed':
    'the kernel could not start the handler that kernel.core_pattern names, and dropped the core',
}

/** Of an id what is not its time. */
const TAIL_LENGTH = 9

/** The same for the same line of the log, however often it is read. */
function idOf({ cause, comm, first, sequence }: DropGroup, bootId: string): string {
  const name = createHash('sha256').update(JSON.stringify([bootId, sequence, cause, comm]))
  return crashId(Math.floor(first.getTime() / 1000), first.getTime() % 1000, name.digest())
}

function noteOf(id: string, group: DropGroup, { node, version }: DropsOptions): EntryNote {
  const { comm } = group
  const manifest = manifestOf(id, group, node, version)
  return unknownNote({ id, node, comm, state: 'sealed', why: 'a sweep found it in the kernel log', manifest })
}

function manifestOf(id: string, group: DropGroup, node: string, version: string): Manifest {
  const { cause, comm, count, first, last } = group
  const [firstAt, lastAt] = [first.toISOString(), last.toISOString()]
  const reasonText = count === 1 ? WORDS[cause] : `${WORDS[cause]}; ${count} crashes since the sweep before`
  const whose = 'the kernel log tells the name of the program only'
  const { processGone: _, ...bare } = bareManifest({
    ...{ id, time: firstAt, node, version, reason: cause, reasonText, whose },
  })
  return {
    ...bare,
    process: { comm, exe: '', cmdline: [], cwd: '', root: '', cgroup: '' },
    dropped: { count, first: firstAt, last: lastAt },
  }
}
