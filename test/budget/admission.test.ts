import t from 'tap'
import { admit } from '../../src/budget/admission.ts'
import type { AdmissionRequest } from '../../src/budget/admission.ts'
import { loadConfig } from '../../src/config/load.ts'
import { fakeLock } from './fake-lock.ts'
import { noTmpfs, stateDir } from './state-dir.ts'

const UNLIMITED = 2n ** 64n - 1n
const defaults = loadConfig({ searched: [], env: {} }).config

/** A core of 1 MiB against a budget of 2 MiB, without a directory for slots. */
const request: AdmissionRequest = {
  bytesExpected: 2 ** 20,
  crash: { coreRlimitBytes: UNLIMITED },
  config: {
    ...defaults,
    budget: { coreBytesMax: 2 ** 21, slots: 1, slotWaitSeconds: 0, stateDir: '/nonexistent/corelift' },
  },
  os: fakeLock(),
}
const ignoringRlimit = { ...request.config, capture: { ...defaults.capture, honorCoreRlimit: false } }

t.test('a limit below a page wants no core', async t => {
  for (const coreRlimitBytes of [0n, 1n, 4095n]) {
    const admission = await admit({ ...request, crash: { coreRlimitBytes } })
    t.match(admission, { verdict: 'record', reason: 'rlimit-core', text: /below a page/ })
  }
})

t.test('a core over its limit is not cut, it is refused', async t => {
  const admission = await admit({ ...request, crash: { coreRlimitBytes: 2n ** 20n - 1n } })
  t.match(admission, {
    verdict: 'record',
    reason: 'rlimit-core',
    text: /1048576 bytes is over RLIMIT_CORE = 1048575/,
  })
})

t.test('a core over the budget is refused, with both numbers', async t => {
  const admission = await admit({ ...request, bytesExpected: 2 ** 21 + 1 })
  t.match(admission, { verdict: 'record', reason: 'size', text: /2097153 .* 2097152/ })
})

t.test('the limit prevails over the budget', async t => {
  const admission = await admit({ ...request, bytesExpected: 2 ** 30, crash: { coreRlimitBytes: 0n } })
  t.match(admission, { reason: 'rlimit-core' })
})

t.test('a core that is refused by size touches no slot', async t => {
  await t.resolves(admit({ ...request, bytesExpected: 2 ** 30 }))
  await t.rejects(admit(request), { code: 'E_CONFIG' }, 'whereas one that is not looks for its slot')
})

t.test('a core within everything is admitted while a slot is free', { skip: noTmpfs }, async t => {
  const config = { ...request.config, budget: { ...request.config.budget, stateDir: stateDir(t) } }
  for (const coreRlimitBytes of [UNLIMITED, 2n ** 20n]) {
    const admission = await admit({ ...request, config, crash: { coreRlimitBytes } })
    t.equal(admission.verdict, 'full')
    t.match(await admit({ ...request, config }), {
      verdict: 'record',
      reason: 'slots',
      text: /none of 1 slots/,
    })
    if (admission.verdict === 'full') admission.slot.release()
  }
})

t.test('the limit can be ignored', { skip: noTmpfs }, async t => {
  const config = { ...ignoringRlimit, budget: { ...request.config.budget, stateDir: stateDir(t) } }
  const admission = await admit({ ...request, config, crash: { coreRlimitBytes: 0n } })
  t.equal(admission.verdict, 'full')
  if (admission.verdict === 'full') admission.slot.release()
})
