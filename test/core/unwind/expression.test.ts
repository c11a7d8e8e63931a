import t from 'tap'
import { evaluate } from '../../../src/core/unwind/expression.ts'
import { PageCache } from '../../../src/core/unwind/pages.ts'
import { memoryOf, words } from './build-image.ts'

const pages = new PageCache(memoryOf({ 0x1000: words(0x1122_3344_5566, 0xff, 2 ** 52) }))
const registers = new Float64Array(17).fill(Number.NaN)
registers.set([0x1000], 7)
registers.set([0x40_1237], 16)

const valueOf = (...expression: number[]): number => evaluate(Uint8Array.from(expression), registers, pages)

t.test('the CFA of a PLT entry depends on where in it the thread is', async t => {
  // rsp + 8 + ((rip & 15) >= 11) * 8, as ld writes it.
  const plt = [0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22]
  t.equal(valueOf(...plt), 0x1008)
  registers[16] = 0x40_123b
  t.equal(valueOf(...plt), 0x1010)
})

t.test('memory is read by words and parts of them', async t => {
  t.equal(valueOf(0x77, 0, 0x06), 0x1122_3344_5566)
  t.equal(valueOf(0x77, 0, 0x94, 2), 0x5566)
  t.ok(Number.isNaN(valueOf(0x77, 0x18, 0x06)), 'what cannot be read has no value')
  t.ok(Number.isNaN(valueOf(0x77, 0, 0x94, 9)), 'no part is larger than a word')
})

t.test('each constant', async t => {
  const ones = Array<number>(8).fill(0xff)
  for (const [expression, value] of [
    [[0x03, 1, 2, 0, 0, 0, 0, 0, 0], 0x201],
    [[0x08, 0xff], 0xff],
    [[0x09, 0xff, 0x35, 0x22], 4],
    [[0x0a, 0xff, 0xff], 0xffff],
    [[0x0b, 0xff, 0xff, 0x35, 0x22], 4],
    [[0x0c, 0xff, 0xff, 0xff, 0xff], 0xffff_ffff],
    [[0x0d, 0xff, 0xff, 0xff, 0xff, 0x35, 0x22], 4],
    [[0x0e, ...ones, 0x35, 0x22], 4],
    [[0x0f, ...ones, 0x35, 0x22], 4],
    [[0x10, 0x80, 2], 256],
    [[0x11, 0x7f, 0x35, 0x22], 4],
    [[0x4f], 31],
    [[0x92, 7, 0x7f], 0xfff],
  ] as const)
    t.equal(valueOf(...expression), value)
})

t.test('each operation', async t => {
  const [L1, L2, L3, L7] = [0x31, 0x32, 0x33, 0x37]
  const minus7 = [0x09, 0xf9]
  for (const [name, expression, value] of [
    ['dup', [L3, 0x12, 0x22], 6],
    ['drop', [L3, L2, 0x13], 3],
    ['over', [L3, L2, 0x14], 3],
    ['pick', [L3, L2, L1, 0x15, 2], 3],
    ['swap', [L3, L7, 0x16, 0x1c], 4],
    ['rot', [L1, L2, L3, 0x17, 0x13], 1],
    ['abs', [...minus7, 0x19], 7],
    ['and', [L7, L2, 0x1a], 2],
    ['div', [...minus7, L2, 0x1b, 0x1f], 3],
    ['minus', [L7, L2, 0x1c], 5],
    ['mod', [L7, L2, 0x1d], 1],
    ['mul', [L7, L3, 0x1e], 21],
    ['not', [L7, 0x20, L7, 0x1a], 0],
    ['or', [L1, L2, 0x21], 3],
    ['plus', [L1, L2, 0x22], 3],
    ['plus_uconst', [L1, 0x23, 0x80, 1], 129],
    ['shl', [L1, L7, 0x24], 128],
    ['shl by more than 63', [L1, 0x08, 64, 0x24], 0],
    ['shr', [L7, L1, 0x25], 3],
    ['shr by more than 63', [...minus7, 0x08, 64, 0x25], 0],
    ['shra', [...minus7, L1, 0x26, 0x1f], 4],
    ['xor', [L7, L2, 0x27], 5],
    ['eq', [L7, L7, 0x29], 1],
    ['ge', [L7, ...minus7, 0x2a], 1],
    ['gt', [L7, L7, 0x2b], 0],
    ['le', [L7, L7, 0x2c], 1],
    ['lt', [...minus7, L7, 0x2d], 1],
    ['ne', [L7, L7, 0x2e], 0],
    ['bra taken', [L7, L1, 0x28, 1, 0, 0x1f], 7],
    ['bra not taken', [L7, L7, 0x1c, L7, 0x16, 0x28, 1, 0, 0x13, L3], 3],
    ['skip', [L7, 0x2f, 1, 0, 0x13], 7],
    ['nop', [L7, 0x96], 7],
  ] as const)
    t.equal(valueOf(...expression), value, name)
})

t.test('the CFA is there to begin with, in a register’s rule', async t => {
  t.equal(evaluate(Uint8Array.of(0x23, 8), registers, pages, 0x2000), 0x2008)
})

t.test('what has no value is not a number', async t => {
  for (const [name, expression] of [
    ['nothing at all', []],
    ['a register that is not known', [0x73, 0]],
    ['an operation that does not exist', [0xff]],
    ['an operand that is missing', [0x0c, 1]],
    ['an empty stack', [0x31, 0x22]],
    ['too little to swap', [0x31, 0x16]],
    ['a division by zero', [0x31, 0x30, 0x1b]],
    ['a remainder by zero', [0x31, 0x30, 0x1d]],
    ['a loop', [0x31, 0x2f, 0xfd, 0xff]],
    ['a jump out of it', [0x31, 0x2f, 0xf0, 0xff]],
    ['a jump behind it', [0x31, 0x2f, 2, 0]],
    ['a stack without end', [0x31, 0x12, 0x2f, 0xfc, 0xff]],
    ['a constant without end', [0x10, ...Array<number>(200).fill(0xff), 1]],
    ['a shift by 2^63', [0x31, 0x0e, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x24, 0x06]],
  ] as const)
    t.ok(Number.isNaN(valueOf(...expression)), name)
})
