import t from 'tap'
import { signalFrames } from '../../src/core/signal-frames.ts'
import { SparseMemory } from './sparse-memory.ts'

const STACK = 0x7000_0000
const SELECTORS = 0x002b_0000_0000_0033n

/** The end of struct sigcontext's registers: rsp, rip, eflags, selectors. */
function stackWith(...words: readonly (number | bigint)[]): SparseMemory {
  return new SparseMemory().map(STACK, STACK + 0x1000).words(STACK + 0x100, ...words)
}

function found(memory: SparseMemory, bytes = 0x1000): unknown[] {
  return [...signalFrames(memory, STACK, new Uint8Array(bytes))]
}

t.test('a signal frame tells what was interrupted', async t => {
  t.strictSame(found(stackWith(0x6000_1000, 0x40_1234, 0x1_0246, SELECTORS)), [
    { sp: 0x6000_1000, ip: 0x40_1234 },
  ])
})

t.test('two frames are two', async t => {
  const memory = stackWith(0x6000_1000, 0x40_1234, 0x246, SELECTORS)
  memory.words(STACK + 0x800, 0x5000_1000, 0x40_5678, 0x202, SELECTORS)
  t.equal(found(memory).length, 2)
})

t.test('what looks like one but has impossible flags or addresses is none', async t => {
  t.strictSame(found(stackWith(0x6000_1000, 0x40_1234, 0, SELECTORS)), [], 'bit 1 of eflags is clear')
  t.strictSame(found(stackWith(0x6000_1000, 0x40_1234, 0x8246, SELECTORS)), [], 'bit 15 is set')
  t.strictSame(found(stackWith(0x6000_1000, 0x40_1234, 1n << 32n, SELECTORS)), [], 'above 32 bits')
  t.strictSame(found(stackWith(1n << 60n, 0x40_1234, 0x246, SELECTORS)), [], 'no address')
  t.strictSame(found(stackWith(0x6000_1000, 0x40_1234, 0x246, 0x33)), [], 'no ss')
})

t.test('selectors at the very beginning have nothing before them', async t => {
  const memory = new SparseMemory().map(STACK, STACK + 0x1000).words(STACK, SELECTORS)
  t.strictSame(found(memory), [])
})

t.test('a frame that the window cuts, or that cannot be read, is not seen', async t => {
  const memory = stackWith(0x6000_1000, 0x40_1234, 0x246, SELECTORS)
  t.strictSame(found(memory, 0x11c), [])
  t.equal(found(memory, 0x120).length, 1)
  t.strictSame(found(new SparseMemory()), [])
})
