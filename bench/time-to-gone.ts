// How long a crash holds the process, against what Debian's users have today.
import { crashPython, whyNoDump } from './dump.ts'
import { coreliftHandler, MINI_ONLY, storedCore, startS3Node } from './handlers.ts'
import { interleaved, listed, type Measurement, medianRatio, ROUNDS } from './measurement.ts'
import { startSystemdCoredump, whyNoSystemdCoredump } from './systemd-coredump.ts'

const FULL = "time until the crashed process is gone ÷ systemd-coredump's"
const MINI = 'the same, leaving a mini core'

export const timeToGone: Measurement = {
  name: 'time-to-gone',
  quantities: [FULL, MINI],
  whyNot: () => whyNoDump() ?? whyNoSystemdCoredump(),
  async measure() {
    const systemd = await startSystemdCoredump()
    const node = await startS3Node()
    const miniNode = await startS3Node(MINI_ONLY)
    try {
      const [corelift, mini] = [coreliftHandler(node), coreliftHandler(miniNode)]
      const seconds = await interleaved({
        systemd: async () => {
          const { goneSeconds } = await crashPython(systemd)
          await systemd.takeStored()
          return goneSeconds
        },
        corelift: async () => (await crashPython(corelift)).goneSeconds,
        mini: async () => (await crashPython(mini)).goneSeconds,
      })
      await storedCore(node, ROUNDS)
      const note =
        `seconds from the signal until the parent has reaped it, upload to S3: ${listed(seconds.corelift, 2)}; ` +
        `systemd-coredump ${systemd.version}, storing on ${systemd.disk}: ${listed(seconds.systemd, 2)}`
      const row = (quantity: string, ours: readonly number[], max: number, note: string) => {
        const ratio = medianRatio(ours, seconds.systemd)
        return { quantity, target: `≤ ${max}`, measured: ratio.toFixed(3), met: ratio <= max, note }
      }
      return [
        row(FULL, seconds.corelift, 0.4, note),
        row(MINI, seconds.mini, 0.05, `seconds: ${listed(seconds.mini, 2)}`),
      ]
    } finally {
      await miniNode.stop()
      await node.stop()
      await systemd.stop()
    }
  },
}
