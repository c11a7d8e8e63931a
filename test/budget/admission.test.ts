import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { admit } from '../../src/budget/admission.ts'
import type { AdmissionRequest } from '../../src/budget/admission.ts'
import { acquireSlot } from '../../src/budget/slots.ts'
import { loadConfig } from '../../src/config/load.ts'
import { fakeLock } from './fake-lock.ts'
import { noTmpfs, stateDir } from './state-dir.ts'

const UNLIMITED = 2n ** 64n - 1n
const TIME_SECONDS = 1_800_000_000
const defaults = loadConfig({ searched: [], env: {} }).config

/** A core of 1 MiB against a budget of 2 MiB, without a directory for slots. */
const request: AdmissionRequest = {
  bytesExpected: 2 ** 20,
  crash: { coreRlimitBytes: UNLIMITED, timeSeconds: TIME_SECONDS },
  place: { namespace: 'shop', pod: 'cart-1', container: 'app' },
  policy: { capture: 'full', coreBytesMax: 2 ** 21, from: {} },
  config: {
    ...defaults,
    budget: { ...defaults.budget, slots: 1, slotWaitSeconds: 0, stateDir: '/nonexistent/corelift' },
  },
  os: fakeLock(),
}
const ignoringRlimit = { ...request.config, capture: { ...defaults.capture, honorCoreRlimit: false } }

t.test('a limit below a page wants no core', async t => {
  for (const coreRlimitBytes of [0n, 1n, 4095n]) {
    const admission = await admit({ ...request, crash: { ...request.crash, coreRlimitBytes } })
    t.match(admission, { verdict: 'record', reason: 'rlimit-core', text: /below a page/ })
  }
})

t.test('a core over its limit is not cut, it is refused', async t => {
  const admission = await admit({ ...request, crash: { ...request.crash, coreRlimitBytes: 2n ** 20n - 1n } })
  t.match(admission, {
    verdict: 'record',
    reason: 'rlimit-core',
    text: /1048576 bytes is over RLIMIT_CORE = 1048575/,
  })
})

t.test('a core over the budget is refused, with both numbers', async t => {
  const admission = await admit({ ...request, bytesExpected: 2 ** 21 + 1 })
  t.match(admission, {
    verdict: 'record',
    reason: 'size',
    text: /2097153 .* budget.core_bytes_max = 2097152/,
  })
})

t.test('who lowered the largest size is said', async t => {
  const from = { coreBytesMax: 'annotation corelift.io/core-bytes-max' }
  const policy = { ...request.policy, coreBytesMax: 0, from }
  const text = 'a core of 1048576 bytes is over annotation corelift.io/core-bytes-max = 0'
  t.match(await admit({ ...request, policy }), { verdict: 'record', reason: 'size', text })
})

t.test('less than a core that is asked for is a record, and says by whom', async t => {
  const asking = async (capture: 'mini' | 'record') => {
    const policy = { ...request.policy, capture, from: { capture: 'policy.rules[2].capture' } }
    return admit({ ...request, policy, crash: { ...request.crash, coreRlimitBytes: 0n } })
  }
  t.match(await asking('record'), {
    verdict: 'record',
    reason: 'policy',
    text: 'policy.rules[2].capture = "record" asks for no core',
  })
  t.match(await asking('mini'), {
    verdict: 'record',
    reason: 'policy',
    text: 'policy.rules[2].capture = "mini" asks for a mini core, which this version does not make',
  })
})

t.test('the limit prevails over the budget', async t => {
  const admission = await admit({
    ...request,
    bytesExpected: 2 ** 30,
    crash: { ...request.crash, coreRlimitBytes: 0n },
  })
  t.match(admission, { reason: 'rlimit-core' })
})

t.test('a core that is refused by size touches no slot', async t => {
  await t.resolves(admit({ ...request, bytesExpected: 2 ** 30 }))
  await t.rejects(admit(request), { code: 'E_CONFIG' }, 'whereas one that is not looks for its slot')
})

t.test('a core within everything is admitted while a slot is free', { skip: noTmpfs }, async t => {
  const config = { ...request.config, budget: { ...request.config.budget, stateDir: stateDir(t) } }
  for (const coreRlimitBytes of [UNLIMITED, 2n ** 20n]) {
    const admission = await admit({ ...request, config, crash: { ...request.crash, coreRlimitBytes } })
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
  const admission = await admit({ ...request, config, crash: { ...request.crash, coreRlimitBytes: 0n } })
  t.equal(admission.verdict, 'full')
  if (admission.verdict === 'full') admission.slot.release()
})

/** With a directory for slots and rates, and one core an hour. */
function rated(directory: string): AdmissionRequest {
  return {
    ...request,
    config: { ...request.config, budget: { ...request.config.budget, stateDir: directory } },
    policy: {
      ...request.policy,
      rule: 1,
      rate: { cores: 1, seconds: 3600 },
      from: { rate: 'policy.rules[1].rate' },
    },
  }
}

t.test(
  'a core over the rate of its rule is refused, and says when the next is due',
  { skip: noTmpfs },
  async t => {
    const first = rated(stateDir(t))
    const admission = await admit(first)
    t.match(admission, { verdict: 'full', warnings: [] })
    const second = { ...first, crash: { ...first.crash, timeSeconds: TIME_SECONDS + 600 } }
    t.match(await admit(second), {
      verdict: 'record',
      reason: 'rate',
      text: 'over policy.rules[1].rate = 1/hour; the next core of this container is due in 3000 s',
    })
    if (admission.verdict === 'full') admission.slot.release()

    const other = { ...second, place: { ...second.place, container: 'sidecar' } }
    const others = [other, { ...second, policy: { ...second.policy, rule: 2 } }]
    for (const allowed of others) {
      const admission = await admit(allowed)
      t.equal(admission.verdict, 'full', 'another container and another rule have a rate of their own')
      if (admission.verdict === 'full') admission.slot.release()
    }
  },
)

t.test('what is refused for another reason costs nothing of the rate', { skip: noTmpfs }, async t => {
  const good = rated(stateDir(t))
  t.match(await admit({ ...good, bytesExpected: 2 ** 30 }), { reason: 'size' })
  const slot = await acquireSlot(good.os, { stateDir: good.config.budget.stateDir, slots: 1, waitSeconds: 0 })
  t.match(await admit(good), { reason: 'slots' })
  slot!.release()
  const admission = await admit(good)
  t.equal(admission.verdict, 'full')
  if (admission.verdict === 'full') admission.slot.release()
})

t.test('a rate that cannot be kept to costs no core', { skip: noTmpfs }, async t => {
  const good = rated(stateDir(t))
  symlinkSync('/dev/null', join(good.config.budget.stateDir, 'buckets.json'))
  for (let crash = 0; crash < 2; crash++) {
    const admission = await admit(good)
    t.match(admission, { verdict: 'full', warnings: [/no rate was kept to: .*buckets\.json.*ELOOP/] })
    if (admission.verdict === 'full') admission.slot.release()
  }
})
