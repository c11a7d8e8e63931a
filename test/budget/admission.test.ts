import { rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { admit } from '../../src/budget/admission.ts'
import type { Admission, AdmissionRequest } from '../../src/budget/admission.ts'
import { changeLedger } from '../../src/budget/ledger-file.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { Config } from '../../src/config/table.ts'
import type { Place } from '../../src/crash.ts'
import { GIB, MIB } from '../../src/units.ts'
import { fakeLock } from './fake-lock.ts'
import { noTmpfs, stateDir } from './state-dir.ts'

const skip = noTmpfs
const UNLIMITED = 2n ** 64n - 1n
const START = 1_800_000_000_000
const defaults = loadConfig({ searched: [], env: {} }).config
const cart: Place = { namespace: 'shop', pod: 'cart-1', container: 'app' }
const anHour = { cores: 1, seconds: 3600 }

/** A node with one slot for which nobody waits, and crashes of 1 GiB there, at seconds from the start. */
function node(t: Pick<Test, 'teardown'>, budget: Partial<Config['budget']> = {}) {
  const directory = budget.stateDir ?? stateDir(t)
  const os = fakeLock()
  const config = {
    ...defaults,
    budget: { ...defaults.budget, slots: 1, slotWaitSeconds: 0, ...budget, stateDir: directory },
  }
  let second = 0
  const clock = { wall: () => START + second * 1000 }
  const crash = (more: Partial<AdmissionRequest> = {}): Promise<Admission> =>
    admit({
      bytesExpected: GIB,
      crash: { coreRlimitBytes: UNLIMITED },
      place: cart,
      signature: undefined,
      policy: { capture: 'full', coreBytesMax: 32 * GIB, from: {} },
      config,
      os,
      nodeFacts: { memoryAvailableBytes: () => 8 * GIB, memoryPressurePercent: () => 0 },
      clock,
      ...more,
    })
  return {
    directory,
    crash,
    at: (time: number) => void (second = time),
    /** A crash whose core is stored at once. */
    async kept(more?: Partial<AdmissionRequest>): Promise<Admission> {
      const admission = await crash(more)
      release(admission)
      return admission
    },
    /** How many crashes came to what: `mini rate`. */
    counts: async (): Promise<Record<string, number>> => {
      const { result } = await changeLedger(os, { stateDir: directory, ...clock }, ({ tallies }) =>
        [...tallies.values()].map(({ rung, reason, count }) => [[rung, reason].join(' ').trim(), count]),
      )
      return Object.fromEntries(result)
    },
  }
}

function release(admission: Admission): void {
  if (admission.rung === 'full' || admission.rung === 'trimmed') admission.slot.release()
}
async function settle(admission: Admission, bytesKept: number): Promise<void> {
  if (admission.rung === 'full' || admission.rung === 'trimmed') await admission.settle(bytesKept)
}

t.test('a core within everything is full while a slot is free, then a mini core', { skip }, async t => {
  const { crash, counts } = node(t)
  const first = await crash()
  t.match(first, { rung: 'full', slot: { index: 0 }, miniBytesMax: 32 * MIB, warnings: [] })
  t.notOk('reason' in first)
  t.match(await crash({ place: { ...cart, pod: 'cart-2' } }), {
    rung: 'mini',
    miniBytesMax: 32 * MIB,
    reason: 'slots',
    text: /none of 1 slots/,
  })
  release(first)
  t.match(await crash(), { rung: 'full' })
  t.strictSame(await counts(), { full: 2, 'mini slots': 1 })
})

t.test('a core over its size is trimmed, in a slot', { skip }, async t => {
  const { crash, counts } = node(t)
  const policy = { capture: 'full', coreBytesMax: 64 * MIB, from: {} } as const
  const first = await crash({ policy })
  t.match(first, { rung: 'trimmed', bytesMax: 64 * MIB, slot: { index: 0 }, reason: 'size', text: /64MiB/ })
  t.match(await crash({ policy }), { rung: 'mini', reason: 'slots' })
  t.strictSame(await counts(), { 'trimmed size': 1, 'mini slots': 1 })
})

t.test('what is no core touches no slot', { skip }, async t => {
  const { crash } = node(t)
  const first = await crash()
  const asking = (capture: 'mini' | 'record') =>
    crash({ policy: { capture, coreBytesMax: GIB, from: { capture: 'policy.rules[1].capture' } } })
  t.match(await asking('mini'), { rung: 'mini', reason: 'policy' })
  t.match(await asking('record'), { rung: 'record', reason: 'policy' })
  t.match(await crash({ crash: { coreRlimitBytes: 0n } }), { rung: 'record', reason: 'rlimit-core' })
  const nodeFacts = { memoryAvailableBytes: () => 0, memoryPressurePercent: () => 0 }
  t.match(await crash({ nodeFacts }), { rung: 'mini', reason: 'memory' })
  release(first)
})

t.test('a mini core after a limit is no larger than the limit', { skip }, async t => {
  const { crash } = node(t)
  await crash({ place: { ...cart, pod: 'cart-2' } })
  t.match(await crash({ crash: { coreRlimitBytes: 65_536n } }), {
    rung: 'mini',
    reason: 'slots',
    miniBytesMax: 65_536,
  })
})

t.test('what a crash without a slot had taken is given back', { skip }, async t => {
  const { crash, kept } = node(t, {
    workloadFull: anHour,
    signatureFull: anHour,
    namespaceBytesPerHour: 2 * GIB,
  })
  const other = await crash({ place: { ...cart, namespace: 'bank' } })
  t.match(await crash({ signature: 'SIGSEGV' }), { rung: 'mini', reason: 'slots' })
  release(other)
  t.match(await kept({ signature: 'SIGSEGV' }), { rung: 'full' })
  t.match(await kept({ signature: 'SIGSEGV' }), { rung: 'mini', reason: 'signature' })
  t.match(await kept(), { rung: 'mini', reason: 'rate' })
})

t.test('a crash without a slot and without a mini core left is a record', { skip }, async t => {
  const { crash, counts } = node(t, { workloadMini: anHour })
  await crash({ place: { ...cart, pod: 'cart-2' } })
  t.match(await crash(), { rung: 'mini', reason: 'slots' })
  t.match(await crash(), { rung: 'record', reason: 'rate' })
  t.strictSame(await counts(), { full: 1, 'mini slots': 1, 'record rate': 1 })
})

t.test('what the store did not take costs nothing, what did not come costs no bytes', { skip }, async t => {
  const { kept } = node(t, { workloadFull: anHour, namespaceBytesPerHour: 2 * GIB })
  const lost = await kept()
  await settle(lost, 0)
  const cut = await kept()
  t.match(cut, { rung: 'full' })
  await settle(cut, 256 * MIB)
  const sidecar = { place: { ...cart, container: 'sidecar' } }
  t.match(await kept({ ...sidecar, bytesExpected: GIB }), { rung: 'full' })
  t.match(await kept({ place: { ...cart, container: 'third' } }), { rung: 'trimmed', bytesMax: 768 * MIB })
})

t.test('settling never fails, whatever became of the state', { skip }, async t => {
  const directory = join(stateDir(t), 'corelift')
  const { kept } = node(t, { stateDir: directory })
  const whole = await kept()
  rmSync(directory, { recursive: true })
  writeFileSync(directory, '')
  for (const bytesKept of [0, 1, GIB, 2 * GIB]) await t.resolves(settle(whole, bytesKept))
})

t.test('a rate that cannot be kept to costs no core', { skip }, async t => {
  const { kept, directory } = node(t, { workloadFull: anHour })
  symlinkSync('/dev/null', join(directory, 'ledger.json'))
  for (let crash = 0; crash < 2; crash++)
    t.match(await kept(), { rung: 'full', warnings: [/^no rate was kept to: .*ledger\.json.*ELOOP/] })
})

t.test('a ledger that was corrupt is said once, and crashes are kept', { skip }, async t => {
  const { kept, directory } = node(t)
  writeFileSync(join(directory, 'ledger.json'), '{')
  t.match(await kept(), { rung: 'full', warnings: [/ledger\.json .* was corrupt: set aside/] })
  t.match(await kept(), { rung: 'full', warnings: [] })
})

t.test('without a directory to trust it is a mini core: nothing else bounds the load', { skip }, async t => {
  const { crash } = node(t, { stateDir: '/nonexistent/corelift' })
  t.match(await crash(), {
    rung: 'mini',
    reason: 'slots',
    text: /budget\.state_dir .* cannot be made: ENOENT/,
    warnings: [/^no rate was kept to/],
  })
})

t.test(
  'a storm of one pod costs another pod nothing, and every crash of it is counted',
  { skip },
  async t => {
    const { crash, at, counts } = node(t, { slots: 4, slotWaitSeconds: 0 })
    const streaming: { until: number; admission: Admission }[] = []
    const rungs: Record<string, number> = {}
    const others: Admission[] = []
    for (let number = 0; number < 600; number++) {
      const second = number / 20
      at(second)
      // A core takes five seconds: the storm would fill every slot.
      while (streaming[0] && streaming[0].until <= second) release(streaming.shift()!.admission)
      const admission = await crash({ signature: `SIGSEGV worker+${number % 7}` })
      rungs[admission.rung] = (rungs[admission.rung] ?? 0) + 1
      streaming.push({ until: second + 5, admission })
      if (number % 200 !== 5) continue
      const place = { ...cart, pod: `neighbour-${number}`, container: 'db' }
      const other = await crash({ place, signature: 'SIGABRT db' })
      others.push(other)
      release(other)
    }
    t.match(others, [{ rung: 'full' }, { rung: 'full' }, { rung: 'full' }])
    t.equal(rungs['full'], 10)
    t.equal(rungs['mini'], 60)
    t.equal(rungs['record'], 530)
    const all = Object.values(await counts()).reduce((sum, count) => sum + count, 0)
    t.equal(all, 603)
  },
)

t.test('a burst of many pods at once gets what there is, and nobody is forgotten', { skip }, async t => {
  const { crash, counts } = node(t, { slots: 4, slotWaitSeconds: 1 })
  const admissions = await Promise.all(
    Array.from({ length: 60 }, async (_, pod) => {
      const admission = await crash({ place: { ...cart, pod: `pod-${pod}` } })
      await new Promise(resolve => setTimeout(resolve, 20))
      release(admission)
      return admission
    }),
  )
  const full = admissions.filter(({ rung }) => rung === 'full').length
  t.ok(full >= 4)
  t.ok(admissions.every(admission => admission.rung === 'full' || admission.rung === 'mini'))
  t.strictSame(await counts(), { full, ...(full < 60 && { 'mini slots': 60 - full }) })
})
