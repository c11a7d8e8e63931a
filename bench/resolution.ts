// How long a crash in a pod takes to have its names, and all that its runtime tells, in a real containerd.
import { setTimeout as sleep } from 'node:timers/promises'
import { startContainerd, whyNoContainerd, type Containerd } from '../test/lab/containerd.ts'
import { crasherImage, IMAGE } from '../test/lab/crasher-image.ts'
import { childOf, underPattern } from '../test/lab/kernel.ts'
import { makeNode, noBinary, type TestNode } from '../test/lab/node.ts'
import type { Pod } from '../test/lab/pods.ts'
import { whyNoDump } from './dump.ts'
import { listed, median, type Measurement, type Row } from './measurement.ts'

const FILES = 'names of a crash in a pod, from files'
const CRI = 'all about it, from the CRI socket'
const FROZEN = 'all about it, while containerd hangs'
const MANY = 'names with 200 pods on the node ÷ with one'
const FILES_MS_MAX = 5
const CRI_MS_MAX = 25
const DEADLINE_MS = 500
const OVER_DEADLINE_MS_MAX = 50
const CRASHES = 100
const FROZEN_CRASHES = 5
/** A handler ends within it: crashes are measured one by one, and nobody looks on meanwhile. */
const PAUSE_MS = 200
const PODS = 200
/** More at once only wait for each other in containerd. */
const STARTED_AT_ONCE = 4
/** Between runs that differ in nothing, medians of 100 differ by as much. */
const MANY_RATIO_MAX = 1.15

export const resolution: Measurement = {
  name: 'resolution',
  quantities: [FILES, CRI, FROZEN, MANY],
  whyNot: () => whyNoDump() ?? whyNoContainerd() ?? noBinary(),
  async measure() {
    const teardowns: (() => Promise<void> | void)[] = []
    try {
      const containerd = await startContainerd({ teardown: cleanUp => void teardowns.push(cleanUp) })
      await containerd.importImage(await crasherImage())
      const { stateDir, socketPath } = containerd
      const node = makeNode(
        `[workload]\ncontainerd_state_dir = "${stateDir}"\ncontainerd_socket = "${socketPath}"\ntimeout_ms = ${DEADLINE_MS}`,
      )
      teardowns.push(() => node.remove())
      return await rowsOf(containerd, node)
    } finally {
      for (const cleanUp of teardowns.toReversed()) await cleanUp()
    }
  },
}

async function rowsOf(containerd: Containerd, node: TestNode): Promise<Row[]> {
  const pod = await startPod(containerd, 'first')
  const few = await crashOften(containerd, node, pod)
  const frozen = await crashFrozen(containerd, node, pod)
  for (let started = 0; started < PODS; started += STARTED_AT_ONCE)
    await Promise.all(
      Array.from({ length: STARTED_AT_ONCE }, (_, index) => startPod(containerd, `pod-${started + index}`)),
    )
  const many = await crashOften(containerd, node, pod)

  const row = (quantity: string, value: number, max: number, note: string): Row => ({
    quantity,
    target: `≤ ${max} ms`,
    measured: `${value.toFixed(1)} ms`,
    met: value <= max,
    note,
  })
  const ratio = median(many.identified) / median(few.identified)
  const spread = (values: readonly number[]) =>
    `median of ${values.length}, ${Math.min(...values).toFixed(1)} to ${Math.max(...values).toFixed(1)} ms`
  return [
    row(
      FILES,
      median(few.identified),
      FILES_MS_MAX,
      `${spread(few.identified)}; the core's head is read meanwhile`,
    ),
    row(CRI, median(few.described), CRI_MS_MAX, `${spread(few.described)}; loading the client is part of it`),
    row(
      FROZEN,
      median(frozen.described),
      DEADLINE_MS + OVER_DEADLINE_MS_MAX,
      `${listed(frozen.described, 1)} ms, with a deadline of ${DEADLINE_MS} ms; the names after ${listed(frozen.identified, 1)} ms`,
    ),
    {
      quantity: MANY,
      target: `≤ ${MANY_RATIO_MAX}`,
      measured: ratio.toFixed(2),
      met: ratio <= MANY_RATIO_MAX,
      note: `${median(many.identified).toFixed(1)} ms against ${median(few.identified).toFixed(1)} ms; from the socket ${median(many.described).toFixed(1)} ms against ${median(few.described).toFixed(1)} ms`,
    },
  ]
}

function startPod(containerd: Containerd, pod: string): Promise<Pod> {
  return containerd.runPod({
    namespace: 'bench',
    pod,
    container: 'app',
    image: IMAGE,
    command: ['/bin/wait'],
  })
}

/** Milliseconds of each crash: its names since /proc was read, the rest since the mini core was, behind which sockets are asked. */
interface Times {
  readonly identified: readonly number[]
  readonly described: readonly number[]
}

function crashOften(containerd: Containerd, node: TestNode, pod: Pod): Promise<Times> {
  return timesOf(node, CRASHES, async () => {
    for (let crash = 0; crash < CRASHES; crash++) {
      await containerd.execSync(pod.containerId, ['/bin/crasher'])
      await sleep(PAUSE_MS)
    }
  })
}

async function crashFrozen(containerd: Containerd, node: TestNode, pod: Pod): Promise<Times> {
  const command = ['/bin/crasher', '--fork', '--sleep-ms', '3600000']
  const children: number[] = []
  for (let crash = 0; crash < FROZEN_CRASHES; crash++) {
    const container = await pod.runContainer({ container: `frozen-${crash}`, image: IMAGE, command })
    children.push(await childOf(container.pid))
  }
  return timesOf(node, FROZEN_CRASHES, async () => {
    await containerd.freeze()
    for (const child of children) {
      process.kill(child, 'SIGSEGV')
      await sleep(DEADLINE_MS + PAUSE_MS)
    }
    containerd.thaw()
  })
}

async function timesOf(node: TestNode, count: number, crash: () => Promise<void>): Promise<Times> {
  const before = new Set(node.manifests().map(({ id }) => id))
  await underPattern(node.pattern, crash)
  const manifests = (await node.waitForManifests(before.size + count)).filter(({ id }) => !before.has(id))
  if (!manifests.every(({ workload }) => workload.kind === 'pod'))
    throw new Error('not every crash has its pod')
  const between = (from: string, to: string) =>
    manifests.map(({ durations }) => durations[to]! - durations[from]!)
  return { identified: between('procRead', 'identified'), described: between('miniRead', 'described') }
}
