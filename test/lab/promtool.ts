// Prometheus' own checks: promtool(1), of Debian's package prometheus.
import { spawnSync } from 'node:child_process'

/** @returns Why it cannot be asked here, or undefined when it can. */
export function noPromtool(): string | undefined {
  return spawnSync('promtool', ['--version']).error ? 'needs promtool' : undefined
}

/** @returns What it objects to; empty where it does not. */
export function promtool(args: readonly string[], input = ''): string {
  const { status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8' })
  return status === 0 ? stderr : `${stdout}${stderr}` || `exit code ${status}`
}
