import t from 'tap'
import { Cursor } from '../../../src/core/unwind/cursor.ts'

const cursorOf = (...bytes: number[]): Cursor => new Cursor(Uint8Array.from(bytes), 0x10_0000)

t.test('numbers of variable length: the examples of DWARF 5, 7.6', async t => {
  for (const [bytes, unsigned, signed] of [
    [[2], 2, 2],
    [[0x7f], 127, -1],
    [[0x80, 1], 128, 128],
    [[0x81, 0x7f], 16_257, -127],
    [[0xff, 0], 127, 127],
    [[0x80, 0x7f], 16_256, -128],
  ] as const) {
    t.equal(cursorOf(...bytes).uleb(), unsigned)
    t.equal(cursorOf(...bytes).sleb(), signed)
  }
})

t.test('each encoding of a pointer', async t => {
  const minus16 = [0xf0, 0xff, 0xff, 0xff]
  for (const [name, encoding, bytes, value] of [
    ['absptr', 0x00, [1, 2, 0, 0, 0, 0, 0, 0], 0x201],
    ['uleb128', 0x01, [0x80, 1], 128],
    ['udata2', 0x02, [0xff, 0xff], 0xffff],
    ['udata4', 0x03, minus16, 0xffff_fff0],
    ['udata8', 0x04, [0, 0, 0, 0, 1, 0, 0, 0], 2 ** 32],
    ['sleb128', 0x09, [0x7f], -1],
    ['sdata2', 0x0a, [0xff, 0xff], -1],
    ['sdata4', 0x0b, minus16, -16],
    ['sdata8', 0x0c, [...minus16, ...minus16.slice(1), 0xff], -16],
    ['pcrel sdata4', 0x1b, minus16, 0x10_0000 - 16],
    ['pcrel absptr that is negative', 0x10, [...minus16, ...minus16.slice(1), 0xff], 0x10_0000 - 16],
    ['datarel sdata4', 0x3b, minus16, 0x7000 - 16],
    ['indirect pcrel sdata4', 0x9b, minus16, 0x10_0000 - 16],
  ] as const)
    t.equal(cursorOf(...bytes).pointer(encoding, 0x7000), value, name)
  for (const encoding of [0x05, 0x20, 0x40, 0x50, 0xff])
    t.ok(Number.isNaN(cursorOf(...minus16, ...minus16).pointer(encoding)), `0x${encoding.toString(16)}`)
})

t.test('reading past the end gives zeros and is remembered', async t => {
  const cursor = cursorOf(0xff, 0xff)
  t.equal(cursor.u32(), 0)
  t.ok(cursor.overrun)
  t.equal(cursor.at, 2)
  for (const read of [() => cursor.u8(), () => cursor.u16(), () => cursor.uleb(), () => cursor.sleb()])
    t.equal(read(), 0)
  t.equal(cursor.u64(), 0n)
  t.equal(cursor.block().length, 0)
})

t.test('a number that does not end is no length', async t => {
  for (const byte of [0xff, 0x80]) {
    const cursor = cursorOf(...Array<number>(300).fill(byte))
    t.equal(cursor.block().length, 0)
    t.ok(cursor.overrun)
  }
  const endless = cursorOf(1, 2)
  t.equal(endless.skip(Number.NaN), 0)
  t.ok(endless.overrun)
})

t.test('text ends with a NUL within its bound', async t => {
  t.equal(cursorOf(0x7a, 0x52, 0).text(8), 'zR')
  t.equal(cursorOf(0x7a, 0x52, 0x7a, 0x52, 0).text(3), undefined)
})
