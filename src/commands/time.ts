// Points in time as people write them. All are UTC, as crash ids and listings are.

import { CoreliftError } from '../errors.ts'

const UNIT_MILLISECONDS: Record<string, number> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

/** First moment of the day. */
function startOfDay(time: Date): Date {
  return new Date(`${time.toISOString().slice(0, 10)}T00:00:00Z`)
}

/** Time that lies so many milliseconds before another. */
export function before(time: Date, milliseconds: number): Date {
  return new Date(time.getTime() - milliseconds)
}

function parseIso(text: string): Date | undefined {
  const parts = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$/.exec(text)
  if (!parts) return undefined
  const [, day = '', minute = '00:00', second = ':00', zone = 'Z'] = parts
  const time = new Date(`${day}T${minute}${second}${zone}`)
  // 31 February is no error to Date, it is 3 March.
  const isDay = !Number.isNaN(Date.parse(day)) && new Date(day).toISOString().startsWith(day)
  return isDay && !Number.isNaN(time.getTime()) ? time : undefined
}

/**
 * Reads `2026-11-23`, `2026-11-23T20:40[:08][Z|+01:00]`, `90s`, `30m`, `2h`, `7d`, `1w` (ago), `today`, `yesterday`.
 * @throws CoreliftError `E_USAGE` for anything else.
 */
export function parseTime(text: string, now: Date): Date {
  if (text === 'now') return now
  if (text === 'today') return startOfDay(now)
  if (text === 'yesterday') return before(startOfDay(now), 86_400_000)
  const [, amount, unit = ''] = /^(\d{1,6})([smhdw])(?: ago)?$/.exec(text) ?? []
  const time =
    amount === undefined ? parseIso(text) : before(now, Number(amount) * (UNIT_MILLISECONDS[unit] ?? 0))
  // Keys name years of four digits.
  if (time !== undefined && time.getUTCFullYear() >= 1970 && time.getUTCFullYear() <= 9999) return time
  throw new CoreliftError('E_USAGE', `not a time: ${text}`, {
    hint: '2026-11-23, "2026-11-23 20:40", 30m, 2h, 7d, today and yesterday are understood, in UTC',
  })
}
