// What a sweep sends in which order, and when it gives up for this time.
import t, { type Test } from 'tap'
import { CoreliftError } from '../../src/errors.ts'
import { deliver } from '../../src/sweep/deliver.ts'
import { noTmpfs } from '../budget/state-dir.ts'
import { crashNote, idOf } from '../spool/crash-note.ts'
import { open } from '../spool/spooled.ts'
import { MemoryStore } from '../store/memory.ts'

const skip = noTmpfs

/** Crashes that wait, by their numbers, before a store that answers some keys with an error. */
async function waiting(t: Test, count: number, refuse: (key: string) => CoreliftError | undefined) {
  const { spool } = await open(t)
  for (let number = 1; number <= count; number++) {
    const entry = await spool.create(idOf(number))
    await entry.save(crashNote({ id: idOf(number) }))
    await entry.release()
  }
  const store = new MemoryStore()
  const asked: string[] = []
  const put = store.put.bind(store)
  store.put = async (key, body) => {
    asked.push(key)
    const error = refuse(key)
    if (error) throw error
    return await put(key, body)
  }
  const options = { node: 'n', version: '1', graceSeconds: 0, now: () => new Date(), random: Math.random }
  return { asked, spool, sweep: () => deliver([spool], store, options) }
}

const failed = () => new CoreliftError('E_STORE_UNREACHABLE', 'the store failed', { retryable: true })

t.test('crashes that the store never takes do not stand before all others for ever', { skip }, async t => {
  const POISON = 6
  const isPoison = (key: string) =>
    Array.from({ length: POISON }, (_, at) => idOf(at + 1)).some(id => key.includes(id))
  const { spool, sweep } = await waiting(t, 20, key => (isPoison(key) ? failed() : undefined))
  for (let sweeps = 0; (await spool.ids()).length > POISON && sweeps < 50; sweeps++) await sweep()
  t.equal((await spool.ids()).length, POISON, 'all others are in the store')
})

t.test(
  'a store that takes nothing is asked a few times, one that asks for fewer requests less',
  { skip },
  async t => {
    const away = await waiting(t, 40, failed)
    t.match(await away.sweep(), { sent: [], waiting: { length: 40 } })
    t.ok(away.asked.length < 10, `${away.asked.length} requests`)
    const slow = () => new CoreliftError('E_STORE_THROTTLED', 'fewer requests', { retryable: true })
    const throttling = await waiting(t, 40, slow)
    t.match(await throttling.sweep(), { sent: [], waiting: { length: 40 } })
    t.ok(throttling.asked.length < 6, `${throttling.asked.length} requests`)
  },
)
