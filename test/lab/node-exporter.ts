// node_exporter with its textfile collector alone: Debian's package prometheus-node-exporter.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Test } from './daemon.ts'

const PROGRAM = 'prometheus-node-exporter'

/** @returns Why it cannot run here, or undefined when it can. */
export function noNodeExporter(): string | undefined {
  return spawnSync(PROGRAM, ['--version']).error ? `needs ${PROGRAM}` : undefined
}

/** Runs one over a directory until the test's end. @returns What Prometheus would be given. */
export async function scrape(t: Pick<Test, 'teardown'>, directory: string): Promise<string> {
  const args = ['--collector.disable-defaults', '--collector.textfile', '--web.listen-address=127.0.0.1:0']
  const child = spawn(PROGRAM, [...args, `--collector.textfile.directory=${directory}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const exited = once(child, 'exit')
  t.teardown(async () => {
    child.kill()
    await exited
  })
  // It takes a port that is free, and logs which: `msg="Listening on" address=127.0.0.1:34567`.
  for await (const line of createInterface(child.stderr)) {
    const address = /Listening on" address=(\S+)/.exec(line)?.[1]
    if (address !== undefined) return await (await fetch(`http://${address}/metrics`)).text()
  }
  throw new Error(`${PROGRAM} did not start`)
}
