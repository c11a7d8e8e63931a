// Tools that packages are built with.
import { spawnSync } from 'node:child_process'

/**
 * @param epochSeconds - What the tool takes for now.
 * @throws Error with what the tool says when it fails.
 */
export function run(command: string, args: readonly string[], epochSeconds: number): void {
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(epochSeconds), LC_ALL: 'C.UTF-8' }
  const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', env })
  if (error) throw new Error(`${command}: ${error.message} (Debian's packages dpkg and rpm are needed)`)
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: exit code ${status}\n${stdout}${stderr}`)
}
