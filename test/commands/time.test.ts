import * as fc from 'fast-check'
import t from 'tap'
import { parseTime } from '../../src/commands/time.ts'
import type { CoreliftError } from '../../src/errors.ts'

const NOW = new Date('2026-11-23T20:45:00Z')

t.test('times are understood as people write them, in UTC', async t => {
  const times: Record<string, string> = {
    '2026-11-20': '2026-11-20T00:00:00.000Z',
    '2026-11-20 20:40': '2026-11-20T20:40:00.000Z',
    '2026-11-20T20:40:08': '2026-11-20T20:40:08.000Z',
    '2026-11-20T20:40:08.500Z': '2026-11-20T20:40:08.500Z',
    '2026-11-20T20:40+01:00': '2026-11-20T19:40:00.000Z',
    '90s': '2026-11-23T20:43:30.000Z',
    '30m': '2026-11-23T20:15:00.000Z',
    '2h': '2026-11-23T18:45:00.000Z',
    '2h ago': '2026-11-23T18:45:00.000Z',
    '7d': '2026-11-16T20:45:00.000Z',
    '1w': '2026-11-16T20:45:00.000Z',
    now: '2026-11-23T20:45:00.000Z',
    today: '2026-11-23T00:00:00.000Z',
    yesterday: '2026-11-22T00:00:00.000Z',
  }
  for (const [text, time] of Object.entries(times)) t.equal(parseTime(text, NOW).toISOString(), time, text)
})

t.test('what is no time is a usage error', async t => {
  for (const text of [
    '',
    'tomorrow',
    '2026-02-31',
    '2026-13-01',
    '2026-11-23T25:00',
    '2',
    'h',
    '-2h',
    '999999w',
  ]) {
    t.throws(() => parseTime(text, NOW), { code: 'E_USAGE' }, text)
  }
  fc.assert(
    fc.property(fc.string(), text => {
      try {
        t.notOk(Number.isNaN(parseTime(text, NOW).getTime()))
      } catch (error) {
        t.equal((error as CoreliftError).code, 'E_USAGE')
      }
    }),
  )
})
