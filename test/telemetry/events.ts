// Events for tests.
import type { CrashEvent } from '../../src/telemetry/crash-event.ts'

/** A full core of shop/cart-0 that was stored; with what is told otherwise. */
export const crashEvent = (id: string, more: Partial<CrashEvent> = {}): CrashEvent => ({
  id,
  time: '2026-11-24T12:00:00.000Z',
  pid: 4711,
  comm: 'cart',
  signal: 11,
  place: { namespace: 'shop', pod: 'cart-0', container: 'app' },
  workload: 'pod',
  fate: 'full',
  whereabouts: 'stored',
  coreBytes: 1,
  storedBytes: 1,
  holdMilliseconds: 1,
  tookMilliseconds: 1,
  ...more,
})
