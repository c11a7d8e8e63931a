// Plans of heads and memory that say anything.
import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { scanHead } from '../../src/core/head.ts'
import type { Memory } from '../../src/core/memory.ts'
import { PLAN_BYTES_MIN } from '../../src/core/plan.ts'
import { buildCore, type CoreSpec } from './build-core.ts'
import { plan, scanned, TEXT, threadNote, written } from './crash-scene.ts'

/** Numbers that lead somewhere, or nowhere. */
const hostileAddress = fc.oneof(
  fc.nat(40).map(page => 0x1000 * page + 8),
  fc.constantFrom(0, 2 ** 47, 2 ** 53 - 4096, Number(TEXT)),
)
const hostileSegment = fc.record({
  vaddr: fc.oneof(
    hostileAddress.map(BigInt),
    fc.nat(30).map(page => BigInt(page * 4096)),
    fc.constant(2n ** 64n - 4096n),
  ),
  filesz: fc.oneof(
    fc.nat(9).map(pages => pages * 4096),
    fc.constantFrom(1, 5000, 2 ** 40),
  ),
  memsz: fc.option(fc.constantFrom(0n, 4096n, 2n ** 20n, 2n ** 64n - 1n), { nil: undefined }),
  flags: fc.nat(7),
})
const hostileNote = fc.oneof(
  fc
    .tuple(hostileAddress, hostileAddress)
    .map(([rsp, rip]) => threadNote(1, { rsp, rip, fsBase: rsp, rax: rip })),
  fc.record({
    name: fc.constantFrom('CORE', 'LINUX'),
    type: fc.constantFrom(1, 2, 6, 0x202, 0x46494c45),
    desc: fc.uint8Array({ maxLength: 400 }),
  }),
  fc.tuple(hostileAddress, hostileAddress, hostileAddress).map(words => ({
    name: 'CORE',
    type: 6,
    desc: new Uint8Array(
      BigUint64Array.from([3, words[0], 5, 9, 33, words[1], 25, words[2]].map(BigInt)).buffer,
    ),
  })),
)
const hostileFile = fc.tuple(fc.nat(40), fc.nat(40), fc.nat(2)).map(([start, end, pageOffset]) => ({
  start: BigInt(start * 4096),
  end: BigInt(end * 4096),
  pageOffset: BigInt(pageOffset),
  path: 'file',
}))

/** Answers with words that may be addresses, and as often as not with less than was asked for. */
function hostileMemory(seed: number): Memory {
  let state = seed
  const next = (): number => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8
  return {
    read(_, into) {
      const view = new DataView(into.buffer, into.byteOffset, into.byteLength)
      for (let at = 0; at + 8 <= into.length; at += 8) {
        view.setUint32(at, [21, 2, 6, (next() % 40) * 4096 + 8, 0x33, 0x246][next() % 6]!, true)
        view.setUint32(at + 4, [0, 0, 0, 0x2b_0000][next() % 4]!, true)
      }
      return next() % 3 === 0 ? next() % (into.length + 1) : into.length
    },
  }
}

t.test('hostile heads and memory: it never throws, keeps the budget, and says its size exactly', async () => {
  fc.assert(
    fc.property(
      fc.record({
        threads: fc.constant([]),
        segments: fc.array(hostileSegment, { maxLength: 12 }),
        notes: fc.array(hostileNote, { maxLength: 12 }),
        files: fc.array(hostileFile, { maxLength: 8 }),
      }),
      fc.integer({ min: 0, max: 400_000 }),
      fc.nat(),
      (spec, bytesMax, seed) => {
        const scan = scanHead(buildCore(spec as CoreSpec).head)
        if (scan.state !== 'core') return
        const planned = plan({ head: scan.head, memory: hostileMemory(seed) }, bytesMax)
        const { bytes } = written(planned, hostileMemory(seed))
        deepStrictEqual(bytes.length, planned.bytes)
        if (bytes.length > Math.max(bytesMax, PLAN_BYTES_MIN))
          throw new Error(`${bytes.length} of ${bytesMax}`)
        const again = scanned(bytes)
        deepStrictEqual(again.bytesExpected >= again.headBytes, true)
        let end = 0
        for (const run of planned.runs) {
          if (run.start < end) throw new Error('segments overlap')
          end = run.start + run.memoryBytes
        }
        const kept = [...planned.mappings()].reduce((sum, { bytesKept }) => sum + bytesKept, 0)
        deepStrictEqual(
          planned.runs.reduce((sum, { bytes }) => sum + bytes, 0),
          kept,
        )
      },
    ),
    { numRuns: 500 },
  )
})
