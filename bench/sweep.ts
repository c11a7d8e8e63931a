// What sweeps cost: one that sends a thousand crashes, and one that finds nothing.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { partName } from '../src/spool/blobs.ts'
import { openSpool } from '../src/spool/spool.ts'
import { crashKeys, crashPrefix, indexKey } from '../src/store/keys.ts'
import { bareManifest } from '../src/store/manifest.ts'
import { fakeLock } from '../test/budget/fake-lock.ts'
import { noBinary } from '../test/lab/node.ts'
import { startS3Node } from './handlers.ts'
import { listed, type Measurement, median } from './measurement.ts'

const RATE = 'sweep of 1,000 spooled crashes'
const MEMORY = 'its peak RSS'
const IDLE = 'processor time of a sweep that finds nothing'
const CRASHES = 1000
/** Every so many a core of three parts. */
const CORE_EVERY = 50
const KIT_BYTES = 100_000
/** Of one with stacks. */
const MANIFEST_BYTES = 30_000
const PART_BYTES = 5 << 20
const MIB_MAX = 128
const IDLE_MS_MAX = 60
const IDLE_SWEEPS = 9

export const sweep: Measurement = {
  name: 'sweep',
  quantities: [RATE, MEMORY, IDLE],
  whyNot: noBinary,
  async measure() {
    const node = await startS3Node('[spool]\ndir = "$DIR/spool"\nfree_bytes_min = 0')
    try {
      // The first one reads the kernel log since boot.
      await runSweep(node.binary, node.configFile)
      const bytes = await fillSpool(join(node.dir, 'spool'))
      const { seconds, mib } = await runSweep(node.binary, node.configFile)
      const idle: number[] = []
      for (let round = 0; round < IDLE_SWEEPS; round++)
        idle.push((await runSweep(node.binary, node.configFile)).cpuMs)
      const what = `${CRASHES} kits of ${KIT_BYTES / 1000} KB and ${CRASHES / CORE_EVERY} cores of 15 MiB, embedded S3 on the same processors`
      return [
        {
          quantity: RATE,
          target: '',
          measured: `${(CRASHES / seconds).toFixed(0)} crashes/s`,
          met: undefined,
          note: `${seconds.toFixed(1)} s, ${(bytes / seconds / 1e6).toFixed(0)} MB/s: ${what}`,
        },
        {
          quantity: MEMORY,
          target: `≤ ${MIB_MAX} MiB`,
          measured: `${mib.toFixed(1)} MiB`,
          met: mib <= MIB_MAX,
        },
        {
          quantity: IDLE,
          target: `≤ ${IDLE_MS_MAX} ms`,
          measured: `${median(idle).toFixed(0)} ms`,
          met: median(idle) <= IDLE_MS_MAX,
          note: `user and system time, median of ${IDLE_SWEEPS}: ${listed(idle, 0)}`,
        },
      ]
    } finally {
      await node.stop()
    }
  },
}

async function runSweep(
  binary: string,
  configFile: string,
): Promise<{ seconds: number; cpuMs: number; mib: number }> {
  const begun = performance.now()
  const child = spawn(binary, ['sweep', '--now', '--config', configFile], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  let [status, stat] = ['', '']
  const watch = setInterval(() => {
    try {
      const now = readFileSync(`/proc/${child.pid}/status`, 'utf8')
      // Of a zombie there is no memory any more.
      if (now.includes('VmHWM:')) status = now
      stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8')
    } catch {
      // It has ended.
    }
  }, 2)
  const [code] = (await once(child, 'exit')) as [number]
  clearInterval(watch)
  if (code !== 0) throw new Error(`sweep ended with ${code}`)
  const seconds = (performance.now() - begun) / 1000
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // utime and stime, in ticks of 10 ms: proc_pid_stat(5).
  const cpuMs = (Number(fields[11]) + Number(fields[12])) * 10
  return { seconds, cpuMs, mib: Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024 }
}

/** @returns Bytes in it. */
async function fillSpool(path: string): Promise<number> {
  mkdirSync(path, { mode: 0o700, recursive: true })
  const spool = await openSpool(fakeLock(), {
    ...{ path, key: 'spool.dir', bytesMax: 2 ** 40, freeBytesMin: 0 },
    ...{ allowRootFilesystem: false, takesBlobs: true },
  })
  const now = new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '')
  let bytes = 0
  for (let number = 0; number < CRASHES; number++) {
    const id = `${now}Z-${number.toString(16).padStart(12, '0')}`
    const entry = await spool.create(id)
    const kit = randomBytes(KIT_BYTES)
    await entry.keep('kit.tar.zst', kit)
    bytes += kit.length
    const parts = number % CORE_EVERY === 0 ? [1, 2, 3] : []
    for (const part of parts) await entry.keep(partName(part), randomBytes(PART_BYTES))
    bytes += parts.length * PART_BYTES
    const place = { namespace: 'bench', pod: `pod-${number % 20}`, container: 'app' }
    const index = (outcome: 'full' | 'mini' | 'record') =>
      indexKey({ id, ...place, signal: 11, comm: 'bench', outcome })
    await entry.save({
      ...{ version: 1, id, state: 'sealed', place, why: 'bench' },
      keys: crashKeys(crashPrefix({ namespace: place.namespace, pod: place.pod, id })),
      index: {
        kept: index(parts.length > 0 ? 'full' : 'mini'),
        reduced: index('mini'),
        record: index('record'),
      },
      reducedOutcome: 'mini',
      manifest: bareManifest({
        ...{ id, time: new Date().toISOString(), node: 'bench', version: 'bench', whose: 'bench' },
        ...{ reason: null, reasonText: 'x'.repeat(MANIFEST_BYTES) },
      }),
      ...(parts.length > 0 && {
        core: {
          bytes: parts.length * PART_BYTES,
          parts: parts.map(part => ({ number: part, offset: (part - 1) * PART_BYTES, bytes: PART_BYTES })),
        },
      }),
    })
    await entry.release()
  }
  await spool.close()
  return bytes
}
