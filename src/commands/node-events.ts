// Events of this node's crashes, for commands that only look.
import { closeSync } from 'node:fs'
import { openExistingStateDir } from '../budget/state-dir.ts'
import type { CrashEvent } from '../telemetry/crash-event.ts'
import { recentEvents } from '../telemetry/event-log.ts'

/**
 * @param stateDir - `budget.state_dir`.
 * @returns Oldest first.
 * @throws CoreliftError `E_CONFIG` where the directory is not one to trust.
 */
export function nodeEvents(stateDir: string): CrashEvent[] {
  const directory = openExistingStateDir(stateDir)
  if (directory === undefined) return []
  try {
    return recentEvents(directory)
  } finally {
    closeSync(directory)
  }
}
