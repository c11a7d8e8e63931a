import t from 'tap'
import { testStoreContract } from './contract.ts'
import { MemoryStore } from './memory.ts'

t.test('the store of other tests', async t => {
  const places = new Map<number, MemoryStore>()
  await testStoreContract(t, {
    open: async place => {
      const store = places.get(place) ?? new MemoryStore()
      places.set(place, store)
      return store
    },
  })
})
