// How fast the handler takes a core, against a handler that compresses and throws away.
import { rmSync } from 'node:fs'
import { makeNode } from '../test/lab/node.ts'
import { crashPython, whyNoDump } from './dump.ts'
import {
  coreliftHandler,
  type Handler,
  storedCore,
  scratchDirectory,
  startS3Node,
  zstdHandler,
} from './handlers.ts'
import {
  interleaved,
  listed,
  type Measurement,
  median,
  medianRatio,
  ROUNDS,
  type Row,
} from './measurement.ts'

const WITH_S3 = 'input rate with upload to S3 ÷ zstd -1 -T1 >/dev/null'
const WITH_FILE = 'input rate with file:// ÷ zstd -1 -T1 >/dev/null'

/** handler.nice's default: on a machine with other load it costs corelift what it costs zstd. */
const NICE = 10

export const inputRate: Measurement = {
  name: 'input-rate',
  quantities: [WITH_S3, WITH_FILE],
  whyNot: whyNoDump,
  async measure() {
    const scratch = [scratchDirectory(), scratchDirectory()] as const
    const s3Node = await startS3Node()
    const fileNode = makeNode()
    try {
      const inputSeconds = (handler: Handler) => async () => (await crashPython(handler)).inputSeconds
      const seconds = await interleaved({
        zstd: inputSeconds(zstdHandler(scratch[0])),
        s3: inputSeconds(coreliftHandler(s3Node)),
        niced: inputSeconds(zstdHandler(scratch[1], NICE)),
        file: inputSeconds(coreliftHandler(fileNode)),
      })
      await storedCore(fileNode, ROUNDS)
      const { core, manifest } = await storedCore(s3Node, ROUNDS)
      const rate = (values: readonly number[]): string =>
        `${(core.bytesReceived / median(values) / 1e6).toFixed(0)} MB/s`
      const row = (quantity: string, handled: readonly number[], min: number, note: string): Row => {
        const ratio = medianRatio(seconds.zstd, handled)
        return { quantity, target: `≥ ${min}`, measured: ratio.toFixed(2), met: ratio >= min, note }
      }
      return [
        row(
          WITH_S3,
          seconds.s3,
          0.85,
          `seconds from the signal to the end of input: ${listed(seconds.s3, 2)} (${rate(seconds.s3)}); zstd ` +
            `${listed(seconds.zstd, 2)} (${rate(seconds.zstd)}). The manifest's durations.bodyRead of the last: ` +
            `${((manifest.durations['bodyRead'] ?? NaN) / 1000).toFixed(2)} s. The core: ` +
            `${(core.bytesReceived / 1e9).toFixed(2)} GB, stored ${(core.bytesReceived / core.bytesStored).toFixed(1)}:1. ` +
            `Against zstd at the handler's own priority (nice ${NICE}) the ratio is ` +
            medianRatio(seconds.niced, seconds.s3).toFixed(2),
        ),
        row(
          WITH_FILE,
          seconds.file,
          0.95,
          `seconds: ${listed(seconds.file, 2)} (${rate(seconds.file)}), a tmpfs. Against zstd at nice ${NICE}: ` +
            medianRatio(seconds.niced, seconds.file).toFixed(2),
        ),
      ]
    } finally {
      fileNode.remove()
      await s3Node.stop()
      for (const dir of scratch) rmSync(dir, { recursive: true })
    }
  },
}
