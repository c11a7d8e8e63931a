import t from 'tap'
import { Cursor } from '../../../src/core/unwind/cursor.ts'
import type { Fde } from '../../../src/core/unwind/eh-frame.ts'
import { RULE, type Rules, rulesAt } from '../../../src/core/unwind/rules.ts'
import { CIE_RULES } from './build-image.ts'

const [RBX, RBP, RIP] = [3, 6, 16]

/** Rules at so many bytes into a function. */
function rulesOf(
  instructions: readonly number[],
  at = 0x40,
  { codeFactor = 1, cieRules = CIE_RULES } = {},
): Rules | undefined {
  const cursorOf = (bytes: readonly number[]) => () => new Cursor(Uint8Array.from(bytes), 0x9000)
  const cie = {
    ...{ codeFactor, dataFactor: -8, returnColumn: RIP, pointerEncoding: 0 },
    ...{ isSignalFrame: false, isAugmented: true, instructions: cursorOf(cieRules) },
  }
  const fde: Fde = { cie, start: 0x1000, end: 0x2000, instructions: cursorOf(instructions) }
  return rulesAt(fde, 0x1000 + at)
}

const cfaOf = (rules: Rules | undefined): unknown => rules && [rules.cfaRegister, rules.cfaOffset]
const ruleOf = (rules: Rules | undefined, register: number): unknown =>
  rules && [rules.kinds[register], rules.values[register]]

t.test('instructions count up to the address that is asked for', async t => {
  // 1 byte on: CFA rsp + 16; 3 on: rsp + 24; each advance in another form.
  const instructions = [0x41, 0x0e, 16, 0x02, 2, 0x0e, 24, 0x03, 0, 1, 0x0e, 32, 0x04, 0, 0, 1, 0, 0x0e, 40]
  for (const [at, offset] of [
    [0, 8],
    [1, 16],
    [2, 16],
    [3, 24],
    [0x102, 24],
    [0x103, 32],
    [0x10102, 32],
    [0x10103, 40],
  ] as const)
    t.strictSame(cfaOf(rulesOf(instructions, at)), [7, offset], `${at} bytes on`)
  t.strictSame(
    cfaOf(rulesOf([0x41, 0x0e, 16], 3, { codeFactor: 4 })),
    [7, 8],
    'addresses may count in larger units',
  )
  const setLocation = [0x01, 0x10, 0x10, 0, 0, 0, 0, 0, 0, 0x0e, 16]
  t.strictSame(cfaOf(rulesOf(setLocation, 0xf)), [7, 8])
  t.strictSame(cfaOf(rulesOf(setLocation, 0x10)), [7, 16])
})

t.test('each way to say where the CFA is', async t => {
  t.strictSame(cfaOf(rulesOf([0x0c, 6, 16])), [RBP, 16])
  t.strictSame(cfaOf(rulesOf([0x0d, 6])), [RBP, 8])
  t.strictSame(cfaOf(rulesOf([0x0e, 0x80, 2])), [7, 256])
  t.strictSame(cfaOf(rulesOf([0x12, 6, 0x7e])), [RBP, 16], 'signed and factored')
  t.strictSame(cfaOf(rulesOf([0x13, 0x7e])), [7, 16])
  t.strictSame(rulesOf([0x0f, 2, 0x77, 8])?.cfaExpression, Uint8Array.of(0x77, 8))
  t.equal(rulesOf([0x0f, 2, 0x77, 8, 0x0c, 6, 16])?.cfaExpression, undefined, 'the last counts')
})

t.test('each way to say where a register is', async t => {
  const rule = (...instructions: number[]): unknown => ruleOf(rulesOf(instructions), RBX)
  t.strictSame(rule(0x83, 3), [RULE.offset, -24])
  t.strictSame(rule(0x05, 3, 3), [RULE.offset, -24])
  t.strictSame(rule(0x11, 3, 0x7d), [RULE.offset, 24])
  t.strictSame(rule(0x2f, 3, 3), [RULE.offset, 24])
  t.strictSame(rule(0x14, 3, 3), [RULE.valueOffset, -24])
  t.strictSame(rule(0x15, 3, 0x7d), [RULE.valueOffset, 24])
  t.strictSame(rule(0x09, 3, 6), [RULE.register, RBP])
  t.strictSame(rule(0x07, 3), [RULE.undefined, 0])
  t.strictSame(rule(0x83, 3, 0x08, 3), [RULE.same, 0])
  t.strictSame(rule(0x10, 3, 1, 0x96), [RULE.expression, 0])
  t.strictSame(rulesOf([0x16, 3, 1, 0x96])?.expressions[RBX], Uint8Array.of(0x96))
})

t.test('what a function says of no register is what the psABI says', async t => {
  const rules = rulesOf([], 0, { cieRules: [0x0c, 7, 8] })
  t.strictSame(ruleOf(rules, RBX), [RULE.same, 0])
  t.strictSame(ruleOf(rules, RIP), [RULE.offset, -8])
  t.strictSame(ruleOf(rules, 7), [RULE.valueOffset, 0], 'rsp is the CFA')
})

t.test('rules are restored: one to that of the CIE, all to those remembered', async t => {
  t.strictSame(ruleOf(rulesOf([0x90, 5, 0xd0]), RIP), [RULE.offset, -8])
  t.strictSame(ruleOf(rulesOf([0x90, 5, 0x06, 16]), RIP), [RULE.offset, -8])
  const remembered = rulesOf([0x83, 2, 0x0a, 0x83, 4, 0x0e, 64, 0x0b])
  t.strictSame(ruleOf(remembered, RBX), [RULE.offset, -16])
  t.strictSame(cfaOf(remembered), [7, 8])
})

t.test('registers that unwinding needs not are passed over', async t => {
  t.strictSame(cfaOf(rulesOf([0x05, 17, 9, 0x07, 40, 0x0e, 16])), [7, 16])
  t.strictSame(cfaOf(rulesOf([0x2e, 0x80, 1, 0x0e, 16])), [7, 16], 'and the size of arguments')
})

t.test('instructions that make no sense give no rules', async t => {
  t.equal(rulesOf([0x3f]), undefined, 'an unknown one')
  t.equal(rulesOf([0x0e]), undefined, 'without its operand')
  t.equal(rulesOf([0x0b]), undefined, 'nothing was remembered')
  t.equal(rulesOf(Array<number>(100).fill(0x0a)), undefined, 'remembering without end')
  t.equal(rulesOf([0x0c, 99, 8]), undefined, 'the CFA in a register that does not exist')
  t.equal(rulesOf([0x10, 3, 0x7f, 0x96]), undefined, 'an expression longer than the record')
})
