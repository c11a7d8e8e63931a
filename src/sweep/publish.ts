// What a sweep tells the world: it takes the events that handlers left, counts them, sends people a message where one is due,
// and writes the metrics. None of it may keep crashes from being delivered: what fails is a line of the sweep's report.
import { randomUUID } from 'node:crypto'
import type { Config } from '../config/table.ts'
import type { DropGroup } from '../kernel/drops.ts'
import type { Spool } from '../spool/spool.ts'
import { idTime } from '../store/keys.ts'
import { takeEvents } from '../telemetry/event-log.ts'
import { exposition, type Sample, type Samples } from '../telemetry/exposition.ts'
import { gather } from '../telemetry/mailbox.ts'
import { tallyCrashes, tallyDrops, tallySamples } from '../telemetry/tallies.ts'
import { readTelemetryState, type TelemetryState, writeTelemetryState } from '../telemetry/telemetry-state.ts'
import { isNotifying, notify, type NotifyDeps } from './notify.ts'
import type { SweepState } from './sweep-state.ts'
import { writeTextfile } from './textfile.ts'

/** What a sweep knows of its node. */
export interface NodeFacts {
  /** From `openStateDir`. */
  readonly directory: number
  readonly config: Config
  readonly node: string
  readonly spools: readonly Spool[]
  /** Why `spool.dir` could not be used. */
  readonly spoolProblem: string | undefined
  /** Whether core_pattern is the installation's; undefined where nothing is installed. */
  readonly isPatternOurs: boolean | undefined
  readonly sweep: SweepState
  /** What was found in the kernel log since it was last published. */
  readonly dropped: readonly DropGroup[]
  readonly kernelLogLost: number
}

/** A receiver that hangs must not keep crashes waiting. */
const ANSWER_MS_MAX = 10_000

export type PublishDeps = Omit<NotifyDeps, 'answerMsMax'>

/** @returns What could not be told, and why. */
export async function publish(facts: NodeFacts, deps: PublishDeps): Promise<string[]> {
  const problems: string[] = []
  const attempt = async (what: string, act: () => unknown): Promise<void> => {
    try {
      await act()
    } catch (error) {
      problems.push(`${what}: ${(error as Error).message}`)
    }
  }
  await attempt('events', async () => {
    let state = count(facts)
    const { directory, config, node } = facts
    const save = (mail: Pick<TelemetryState, 'mailbox' | 'tallies'>): void => {
      state = { ...state, ...mail }
      writeTelemetryState(directory, state)
    }
    save(state)
    if (isNotifying(config.notify)) {
      const sending = { config: config.notify, node, id: randomUUID(), save }
      const { problem } = await notify(state, sending, { ...deps, answerMsMax: ANSWER_MS_MAX })
      if (problem !== undefined) problems.push(problem)
    }
    const { textfileDir } = config.metrics
    if (textfileDir === undefined) return
    const samples = { ...tallySamples(state.tallies), ...(await gauges(facts, deps.version)) }
    await attempt('metrics.textfile_dir', () => writeTextfile(textfileDir, exposition(samples)))
  })
  return problems
}

function count({ directory, config, dropped, kernelLogLost }: NodeFacts): TelemetryState {
  const { position: before, tallies, mailbox } = readTelemetryState(directory)
  const { events, position } = takeEvents(directory, before)
  return {
    ...(position && { position }),
    tallies: tallyDrops(tallyCrashes(tallies, events), dropped, kernelLogLost),
    mailbox: isNotifying(config.notify) ? gather(mailbox, events) : mailbox,
  }
}

async function gauges(
  { spools, spoolProblem, isPatternOurs, sweep, config }: NodeFacts,
  version: string,
): Promise<Samples> {
  const usages = await Promise.all(spools.map(spool => spool.usage()))
  const [oldest] = (await Promise.all(spools.map(spool => spool.ids()))).flat().sort()
  const sum = (of: 'entries' | 'bytes' | 'lost'): Sample[] => [
    { value: usages.reduce((total, usage) => total + usage[of], 0) },
  ]
  return {
    corelift_build_info: [{ labels: { version }, value: 1 }],
    corelift_core_pattern_ok: truth(isPatternOurs),
    corelift_spool_usable: truth(config.spool.dir === undefined ? undefined : spoolProblem === undefined),
    corelift_spool_entries: sum('entries'),
    corelift_spool_bytes: sum('bytes'),
    corelift_spool_lost: sum('lost'),
    corelift_spool_oldest_timestamp_seconds: timestamp(oldest === undefined ? undefined : idTime(oldest)),
    corelift_sweep_last_run_timestamp_seconds: timestamp(sweep.lastRun),
    corelift_sweep_last_success_timestamp_seconds: timestamp(sweep.lastSuccess),
  }
}

const truth = (is: boolean | undefined): Sample[] => (is === undefined ? [] : [{ value: is ? 1 : 0 }])

const timestamp = (time: Date | string | undefined): Sample[] =>
  time === undefined ? [] : [{ value: new Date(time).getTime() / 1000 }]
