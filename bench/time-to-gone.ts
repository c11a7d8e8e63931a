// How long a crash holds the process, against what Debian's users have today.
import { crashPython, whyNoDump } from './dump.ts'
import { coreliftHandler, storedCore, startS3Node } from './handlers.ts'
import { interleaved, listed, type Measurement, medianRatio, ROUNDS } from './measurement.ts'
import { startSystemdCoredump, whyNoSystemdCoredump } from './systemd-coredump.ts'

const QUANTITY = "time until the crashed process is gone ÷ systemd-coredump's"

export const timeToGone: Measurement = {
  name: 'time-to-gone',
  quantities: [QUANTITY],
  whyNot: () => whyNoDump() ?? whyNoSystemdCoredump(),
  async measure() {
    const systemd = await startSystemdCoredump()
    const node = await startS3Node()
    try {
      const corelift = coreliftHandler(node)
      const seconds = await interleaved({
        systemd: async () => {
          const { goneSeconds } = await crashPython(systemd)
          await systemd.takeStored()
          return goneSeconds
        },
        corelift: async () => (await crashPython(corelift)).goneSeconds,
      })
      await storedCore(node, ROUNDS)
      const ratio = medianRatio(seconds.corelift, seconds.systemd)
      const note =
        `seconds from the signal until the parent has reaped it, upload to S3: ${listed(seconds.corelift, 2)}; ` +
        `systemd-coredump ${systemd.version}, storing on ${systemd.disk}: ${listed(seconds.systemd, 2)}`
      return [{ quantity: QUANTITY, target: '≤ 0.4', measured: ratio.toFixed(2), met: ratio <= 0.4, note }]
    } finally {
      await node.stop()
      await systemd.stop()
    }
  },
}
