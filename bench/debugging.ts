// Executables and libraries: what their opening costs the crashed process, and how soon there is a backtrace from them.
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { hostname } from 'node:os'
import { startCrasher, underPattern } from '../test/lab/kernel.ts'
import { run } from '../test/lab/node.ts'
import type { Manifest } from '../src/store/manifest.ts'
import { decodeManifest } from '../src/store/manifest-schema.ts'
import { whyNoDump } from './dump.ts'
import { MINI_ONLY, scratchDirectory, type S3Node, startS3Node } from './handlers.ts'
import { type Measurement, median, ROUNDS } from './measurement.ts'

const HELD = 'hold added by opening executables and libraries, python'
const BACKTRACE = '`bt POD` of a mini core from a cold cache, embedded S3'
const MODULES =
  'ctypes, ssl, array, sqlite3, lzma, bz2, decimal, curses, readline, uuid, multiprocessing, asyncio'
const PYTHON = ['/usr/bin/python3', '-c', `import ${MODULES}, os\nos.abort()`]
const ROUNDS_OF_HOLD = 11

export const debugging: Measurement = {
  name: 'debugging',
  quantities: [HELD, BACKTRACE],
  whyNot: () => whyNoDump() ?? noPython(),
  async measure() {
    const node = await startS3Node(`[binaries]\n${MINI_ONLY}`)
    try {
      const manifests: Manifest[] = []
      for (let round = 0; round < ROUNDS_OF_HOLD; round++) manifests.push(await crash(node))
      const added = manifests.map(({ durations }) => durations['filesOpened']! - durations['miniRead']!)
      const seconds: number[] = []
      for (let round = 0; round < ROUNDS; round++) seconds.push(await backtraceSeconds(node))
      const files = manifests[0]!.files!.mapped
      return [
        {
          quantity: HELD,
          target: '≤ 10 ms',
          measured: `${median(added).toFixed(1)} ms`,
          met: median(added) <= 10,
          note: `${files.length} files, ${(files.reduce((sum, { bytes }) => sum + bytes!, 0) / 1e6).toFixed(0)} MB; ${added.map(ms => ms.toFixed(1)).join(', ')} ms`,
        },
        {
          quantity: BACKTRACE,
          target: '≤ 2 s',
          measured: `${median(seconds).toFixed(2)} s`,
          met: median(seconds) <= 2,
          note: seconds.map(each => `${each.toFixed(2)} s`).join(', '),
        },
      ]
    } finally {
      await node.stop()
    }
  },
}

function noPython(): string | undefined {
  try {
    execFileSync(PYTHON[0]!, ['-c', `import ${MODULES}`])
    return undefined
  } catch {
    return 'needs python3 with its standard library'
  }
}

async function crash(node: S3Node): Promise<Manifest> {
  await underPattern(node.pattern, () => startCrasher(PYTHON).ended)
  await node.waitForHandlers()
  const [newest] = JSON.parse((await node.cli('ls', '-1', '--json')).stdout) as { id: string }[]
  const { stdout } = await node.cli('info', newest!.id, '--json')
  return decodeManifest(Buffer.from(stdout), newest!.id)
}

/** @throws Error where the backtrace is none. */
async function backtraceSeconds(node: S3Node): Promise<number> {
  const home = scratchDirectory()
  const begun = performance.now()
  const env = { PATH: process.env['PATH'], HOME: home }
  const args = ['bt', hostname(), '-n', '_host', '--config', node.configFile]
  const { code, stdout, stderr } = await run(node.binary, args, undefined, env)
  const seconds = (performance.now() - begun) / 1000
  rmSync(home, { recursive: true })
  if (code !== 0 || !/#\d+ .*raise|pthread_kill/.test(stdout))
    throw new Error(`no backtrace: ${stderr}${stdout}`)
  return seconds
}
