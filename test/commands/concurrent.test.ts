import t from 'tap'
import { mapConcurrent } from '../../src/commands/concurrent.ts'

t.test('results come in order, and no more calls are under way than allowed', async t => {
  let underWay = 0
  let most = 0
  const call = async (item: number): Promise<number> => {
    most = Math.max(most, ++underWay)
    // Later items are faster.
    for (let turn = item; turn < 10; turn++) await Promise.resolve()
    underWay--
    return item * 2
  }
  const results: number[] = []
  for await (const result of mapConcurrent([1, 2, 3, 4, 5, 6, 7, 8, 9], 3, call)) results.push(result)
  t.same(results, [2, 4, 6, 8, 10, 12, 14, 16, 18])
  t.equal(most, 3)
})

t.test('a consumer that stops starts no more calls', async t => {
  const called: number[] = []
  const call = (item: number) => Promise.resolve(called.push(item))
  for await (const _ of mapConcurrent([1, 2, 3, 4, 5], 2, call)) break
  t.same(called, [1, 2])
})

t.test('a failure is thrown in its turn, and a later one does not end the process', async t => {
  const call = (item: number) =>
    item === 1 ? Promise.resolve(item) : Promise.reject(new Error(`item ${item}`))
  const results = mapConcurrent([1, 2, 3], 3, call)
  t.equal((await results.next()).value, 1)
  await new Promise(resolve => setImmediate(resolve))
  await t.rejects(results.next(), /item 2/)
})
