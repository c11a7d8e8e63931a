import t from 'tap'
import type { Workload } from '../../src/crash.ts'
import { placeOf } from '../../src/workload/place.ts'

const ID = '4f1c0a9e7b3d5826f0e1d2c3b4a5968778695a4b3c2d1e0f6258d3b7e9a0c1f4'
const UID = '6f1d3a52-0c4e-4b7a-9a37-52d0b6f0a1c9'
const NODE = 'node-17'
const place = (workload: Workload) => Object.values(placeOf(workload, NODE)).join(' ')
const sources: Workload['sources'] = []

t.test('a crash in a pod goes under the names of the pod', async t => {
  const names = { namespace: 'shop', pod: 'web-0', container: 'app' }
  t.same(placeOf({ kind: 'pod', ...names, containerId: ID, runtime: 'docker', sources }, NODE), names)
})

t.test('a crash in no pod goes where no pod can', async t => {
  t.equal(
    place({ kind: 'container', container: 'db_1', containerId: ID, runtime: 'docker', sources }),
    '_container db_1 db_1',
  )
  t.equal(place({ kind: 'host', unit: 'nginx.service', sources }), '_host node-17 nginx.service')
  t.equal(place({ kind: 'host', sources }), '_host node-17 -')
})

t.test('a crash of somebody unknown goes under what is known', async t => {
  const unknown = { kind: 'unknown', reason: '', sources } as const
  t.equal(place({ ...unknown, podUid: UID, containerId: ID }), `_unknown ${UID} -`)
  t.equal(place({ ...unknown, containerId: ID }), '_unknown 4f1c0a9e7b3d -')
  t.equal(place(unknown), '_unknown node-17 -')
})
