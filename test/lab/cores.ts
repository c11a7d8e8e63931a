// Full cores of real programs, as the kernel writes them.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startCrasher, underPattern } from './kernel.ts'

/**
 * Crashes a program through the real kernel and keeps what that sends.
 * @returns The core's file, below /dev/shm; `remove` deletes it.
 */
export async function dumpCore(
  command: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ readonly core: string; readonly remove: () => void }> {
  const dir = mkdtempSync(join('/dev/shm', 'cd-'))
  const pattern = `|/usr/bin/dd of=${dir}/%P bs=1M status=none iflag=fullblock`
  const { pid, signal } = await underPattern(pattern, () => startCrasher(command, { env }).ended)
  const core = join(dir, String(pid))
  for (let tries = 0; !existsSync(core) && tries < 100; tries++) await sleep(20)
  if (signal === null || !existsSync(core)) throw new Error(`${command.join(' ')} left no core (${signal})`)
  return { core, remove: () => rmSync(dir, { recursive: true, force: true }) }
}
