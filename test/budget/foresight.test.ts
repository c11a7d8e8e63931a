import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { admit } from '../../src/budget/admission.ts'
import { foreseeRecord } from '../../src/budget/foresight.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { Place } from '../../src/crash.ts'
import { GIB } from '../../src/units.ts'
import { fakeLock } from './fake-lock.ts'
import { noTmpfs, stateDir } from './state-dir.ts'

const PLACE: Place = { namespace: 'shop', pod: 'cart-1', container: 'app' }
const SIGNATURE = 'SIGSEGV cart+0x1'

t.test('what admission will make a record is foreseen, and nothing else', { skip: noTmpfs }, async t => {
  const defaults = loadConfig({ searched: [], env: {} }).config
  const rate = { cores: 1, seconds: 3600 }
  const budget = { ...defaults.budget, stateDir: stateDir(t), signatureFull: rate, signatureMini: rate }
  const config = { ...defaults, budget }
  const os = fakeLock()
  const now = Date.now()
  const foresee = (place = PLACE, signature: string | undefined = SIGNATURE, later = 0) =>
    foreseeRecord(place, signature, config, now + later)
  const crash = async () => {
    const admission = await admit({
      bytesExpected: GIB,
      crash: { coreRlimitBytes: 2n ** 64n - 1n },
      place: PLACE,
      signature: SIGNATURE,
      policy: { capture: 'full', coreBytesMax: 32 * GIB, from: {} },
      config,
      os,
      clock: { wall: () => now },
      nodeFacts: { memoryAvailableBytes: () => undefined, memoryPressurePercent: () => undefined },
    })
    if ('slot' in admission) admission.slot.release()
    return admission.rung
  }
  t.equal(foresee(), false, 'nothing is known yet')
  t.equal(await crash(), 'full')
  t.equal(foresee(), false, 'there is a mini core to have')
  t.equal(await crash(), 'mini')
  t.equal(foresee(), true)
  t.equal(foresee(), true, 'to look takes nothing')
  t.equal(await crash(), 'record')
  t.equal(foresee({ ...PLACE, pod: 'cart-2' }), true, 'replicas crash alike')
  t.equal(foresee({ ...PLACE, namespace: 'other' }), false)
  t.equal(foresee(PLACE, 'SIGSEGV cart+0x2'), false)
  t.equal(foreseeRecord(PLACE, undefined, config, now), false)
  t.equal(foresee(PLACE, SIGNATURE, 3_600_000), false, 'an hour later there is one again')
  writeFileSync(join(budget.stateDir, 'ledger.json'), 'rubbish')
  t.equal(foresee(), false, 'of a corrupt ledger nothing is believed')
  t.equal(foreseeRecord(PLACE, SIGNATURE, { budget: { ...budget, stateDir: '/nonexistent/x' } }), false)
})
