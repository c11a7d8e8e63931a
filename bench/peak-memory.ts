// The most memory that the handler ever held while a core went through it.
import { setTimeout as sleep } from 'node:timers/promises'
import { crashPython, readProc, whyNoDump } from './dump.ts'
import { coreliftHandler, type Handler, storedCore, startS3Node } from './handlers.ts'
import type { Measurement } from './measurement.ts'

const QUANTITY = 'peak RSS of the handler, upload to S3'
const MIB_MAX = 96
const DUMPS = 3
const POLL_MS = 10

export const peakMemory: Measurement = {
  name: 'peak-memory',
  quantities: [QUANTITY],
  whyNot: whyNoDump,
  async measure() {
    const node = await startS3Node('[binaries]')
    try {
      const handler = coreliftHandler(node)
      const peaks: Peak[] = []
      for (let dump = 0; dump < DUMPS; dump++) peaks.push(await peakOfDump(handler))
      const { core } = await storedCore(node, DUMPS)
      const [highest] = peaks.toSorted((a, b) => b.mib - a.mib) as [Peak]
      const note =
        `VmHWM of ${DUMPS} dumps of ${(core.bytesReceived / 1e9).toFixed(2)} GB: ` +
        `${peaks.map(({ mib }) => mib.toFixed(1)).join(' ')} MiB; the highest with ${highest.anonymousMib.toFixed(1)} MiB ` +
        `anonymous and ${highest.fileMib.toFixed(1)} MiB mapped from the binary and the libraries, which the page cache shares`
      const measured = `${highest.mib.toFixed(1)} MiB`
      return [{ quantity: QUANTITY, target: `≤ ${MIB_MAX} MiB`, measured, met: highest.mib <= MIB_MAX, note }]
    } finally {
      await node.stop()
    }
  },
}

export interface Peak {
  readonly mib: number
  /** What it consisted of when it was last read. */
  readonly anonymousMib: number
  readonly fileMib: number
}

/** VmHWM only grows, and begins anew at execve: its last reading is the peak but for the handler's last moments. */
export async function peakOfDump(handler: Handler): Promise<Peak> {
  let status = ''
  const dump = { done: false }
  const watch = async (): Promise<void> => {
    for (; !dump.done; await sleep(POLL_MS)) {
      const now = readProc(pidOf(handler), 'status')
      if (now.includes('VmHWM:')) status = now
    }
  }
  const watching = watch()
  try {
    await crashPython(handler)
  } finally {
    dump.done = true
    await watching
  }
  const mib = (key: string): number =>
    Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024
  return { mib: mib('VmHWM'), anonymousMib: mib('RssAnon'), fileMib: mib('RssFile') }
}

/** Before the kernel has started it there is none: 0, which is no process. */
function pidOf(handler: Handler): number {
  try {
    return handler.pid()
  } catch {
    return 0
  }
}
