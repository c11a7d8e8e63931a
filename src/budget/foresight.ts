// Foresight: in a storm nearly every crash is over all its rates. Who is gets a record, and is spared what only a core
// would need: its handler must be done before the next ones come.

import { closeSync } from 'node:fs'
import type { Config } from '../config/table.ts'
import type { Place } from '../crash.ts'
import { readLedger } from './ledger-file.ts'
import { draw, rationsOf } from './rations.ts'
import { openExistingStateDir } from './state-dir.ts'

/**
 * Whether admission will leave a crash a record, as the ledger is now: the rates of this very crash are used up, whatever
 * rules and annotations say. Changes nothing, takes no lock, never throws; false where that cannot be told.
 */
export function foreseeRecord(
  place: Place,
  signature: string | undefined,
  { budget }: Pick<Config, 'budget'>,
  now = Date.now(),
): boolean {
  if (signature === undefined) return false
  try {
    const directory = openExistingStateDir(budget.stateDir)
    if (directory === undefined) return false
    try {
      const ledger = readLedger(directory)
      if (typeof ledger !== 'object') return false
      const rations = rationsOf({ place, signature, policy: { from: {} }, config: { budget } })
      const whole = { rung: 'full', coreBytesMax: Infinity, miniBytesMax: Infinity } as const
      const { rung, reason } = draw(ledger, rations, whole, 0, now).standing
      return rung === 'record' && reason === 'signature'
    } finally {
      closeSync(directory)
    }
  } catch {
    return false
  }
}
