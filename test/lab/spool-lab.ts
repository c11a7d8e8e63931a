// A node with a spool before an S3 server, behind a proxy that fails as it is told: for tests of what waits, and of sweeps.
import { spawn, type ChildProcess } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { StatusReport } from '../../src/commands/status.ts'
import type { Verified } from '../../src/commands/verify.ts'
import type { Manifest } from '../../src/store/manifest.ts'
import type { SweepReport } from '../../src/sweep/sweep.ts'
import { buildCore } from '../core/build-core.ts'
import { openS3Store } from '../../src/store/s3.ts'
import { s3Options, writeCredentials } from '../store/s3-options.ts'
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts'
import { BINARY, makeNode, run, sha256OfFile, type CommandResult, type TestNode } from './node.ts'
import { type S3Server, startEmbeddedS3 } from './s3-embedded.ts'

/** A core that nothing compresses: its parts are as many as its size says. */
export function incompressibleCore(bytes: number): Buffer {
  const core = buildCore({ segments: [{ vaddr: 0x10000n, filesz: bytes }] }).whole()
  randomBytes(bytes).copy(core, core.length - bytes)
  return core
}

/** As the kernel would call the handler, for a crash of this very process, now. */
export function specifiersNow(): string[] {
  const now = Math.floor(Date.now() / 1000)
  return [process.pid, process.pid, 11, now, 2n ** 64n - 1n, 1, 0, 0, 'web-0', ''].map(String)
}

export const SPOOL = '[spool]\ndir = "$DIR/spool"\nfree_bytes_min = 0\n'

export interface SpoolLab {
  readonly node: TestNode
  readonly proxy: FaultProxy
  /** Hands a core to the handler. */
  crash(core: Uint8Array): Promise<CommandResult>
  /** Starts the handler; all of the core is written to it as it takes it. */
  startCrash(core: Uint8Array): ChildProcess
  /** The binary as people run it, who look at the store itself. */
  people(...args: string[]): Promise<CommandResult>
  sweep(...args: string[]): Promise<CommandResult & { report: SweepReport }>
  /** Sweeps until nothing is left on the node: what a killed handler sent may still be on its way for three seconds. */
  sweepAll(): Promise<void>
  status(): Promise<StatusReport>
  /** Crashes of this process in the store, by manifests; what other tests made the kernel log say is left out. */
  manifests(): Promise<Manifest[]>
  verify(...args: string[]): Promise<CommandResult & { report: Verified }>
  /** sha256 of what `get --full` fetches. */
  fetched(id: string): Promise<string>
  /** Whether the store has an object, by its key. */
  has(key: string): Promise<boolean>
  /** Names of entries. */
  spooled(): string[]
  /** Files of an entry. */
  filesOf(id: string): string[]
}

/** @param s3 - A server that others use too; without one, one of its own, which lists no unfinished uploads. */
export async function makeSpoolLab(t: Test, config = SPOOL, hold = 10, s3?: S3Server): Promise<SpoolLab> {
  const server = s3 ?? (await startEmbeddedS3())
  if (s3 === undefined) t.teardown(() => server.stop())
  const proxy = await startFaultProxy(server.endpoint)
  t.teardown(() => proxy.stop())
  const credentials = writeCredentials(t, server)
  const prefix = randomBytes(4).toString('hex')
  const url = `s3://${server.bucket}/${prefix}`
  const direct = await openS3Store({ ...s3Options(server, credentials), prefix })
  t.teardown(() => direct.close())
  const store = `[store]\nurl = "${url}"\nendpoint = "${proxy.endpoint}"\npath_style = true\nregion = "us-east-1"\ncredentials_file = "${credentials}"\nretry_seconds = 1\nrequest_timeout_seconds = 3`
  const node = makeNode(
    `[hold]\nseconds_max = ${hold}\n[sweep]\ngrace_seconds = 3\njitter_seconds = 0\n${config}`,
    store,
  )
  t.teardown(() => node.remove())
  // People look at the store itself, whatever the proxy does to the node.
  const people = (...args: string[]) =>
    run(BINARY, [...args, '--store-url', url], undefined, {
      PATH: process.env['PATH'],
      AWS_SHARED_CREDENTIALS_FILE: credentials,
      AWS_REGION: 'us-east-1',
      CORELIFT_STORE_ENDPOINT: server.endpoint,
      CORELIFT_STORE_PATH_STYLE: 'true',
    })
  const startCrash = (core: Uint8Array) => {
    const args = ['handle', '--config', node.configFile, ...specifiersNow()]
    const handler = spawn(node.binary, args, { stdio: ['pipe', 'ignore', 'ignore'] })
    handler.stdin.on('error', () => undefined)
    handler.stdin.end(core)
    return handler
  }
  const spoolDir = join(node.dir, 'spool')
  const spooled = () =>
    existsSync(spoolDir) ? readdirSync(spoolDir).filter(name => /^\d{8}T/.test(name)) : []
  return {
    node,
    proxy,
    spooled,
    async sweepAll() {
      for (let sweeps = 0; sweeps < 16; sweeps++) {
        await node.cli('sweep', '--now')
        const { waiting } = JSON.parse((await node.cli('status', '--json')).stdout) as StatusReport
        if (waiting.length === 0) return
        await new Promise(resolve => setTimeout(resolve, 500))
      }
    },
    people,
    startCrash,
    crash: core => node.handle(specifiersNow(), core),
    async sweep(...args) {
      const result = await node.cli('sweep', '--now', '--json', ...args)
      return { ...result, report: JSON.parse(result.stdout || '{}') as SweepReport }
    },
    status: async () => JSON.parse((await node.cli('status', '--json')).stdout) as StatusReport,
    async manifests() {
      const { stdout, stderr } = await people('ls', '--since', '1h', '--json')
      if (stdout === '') throw new Error(stderr)
      const found = JSON.parse(stdout) as { id: string; reason: string | null }[]
      const mine = found.filter(({ reason }) => !reason?.startsWith('pipe-'))
      const infos = await Promise.all(mine.map(({ id }) => people('info', id, '--json')))
      return infos.map(info => JSON.parse(info.stdout) as Manifest)
    },
    async verify(...args) {
      const result = await people('verify', '--all', '--content', '--settled', '0s', '--json', ...args)
      return { ...result, report: JSON.parse(result.stdout) as Verified }
    },
    async fetched(id) {
      const output = join(node.dir, `core-${randomBytes(4).toString('hex')}`)
      const { code, stderr } = await people('get', id, '--full', '-o', output)
      return code === 0 ? await sha256OfFile(output) : stderr
    },
    has: async key => (await direct.stat(key)) !== undefined,
    filesOf: id => (existsSync(join(spoolDir, id)) ? readdirSync(join(spoolDir, id)) : []),
  }
}

export const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Waits for a condition, ten seconds at most. @returns Whether it came. */
export async function until(condition: () => boolean): Promise<boolean> {
  for (let tries = 0; tries < 5000; tries++) {
    if (condition()) return true
    await new Promise(resolve => setTimeout(resolve, 2))
  }
  return false
}

export async function killed(child: ChildProcess): Promise<void> {
  const exited = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined
  child.kill('SIGKILL')
  await exited
}
