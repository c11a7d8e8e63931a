// Call frame instructions (DWARF 5, 6.4.2, with GNU's): how a function's caller's registers are found at one of its
// instructions.
import type { Cursor } from './cursor.ts'
import type { Fde } from './eh-frame.ts'

/** x86-64's numbers in DWARF (psABI, figure 3.36): general registers, then the return address. */
export const DWARF = { rdx: 1, rcx: 2, rbx: 3, rbp: 6, rsp: 7, r8: 8, rip: 16 } as const
export const REGISTERS = 17

/** Where a register's value in the caller is; numbers in `values`, expressions in `expressions`. */
export const RULE = {
  same: 0,
  undefined: 1,
  /** In memory, so far from the CFA. */
  offset: 2,
  /** So far from the CFA itself. */
  valueOffset: 3,
  /** In another register. */
  register: 4,
  /** In memory, where an expression says. */
  expression: 5,
  valueExpression: 6,
} as const

/** Compilers nest by one. */
const REMEMBERED_MAX = 16

/** What unwinds at one instruction. CFA: Canonical Frame Address, the caller's rsp as a rule. */
export interface Rules {
  readonly cfaRegister: number
  readonly cfaOffset: number
  /** In place of these. */
  readonly cfaExpression: Uint8Array | undefined
  /** RULE by register. */
  readonly kinds: Uint8Array
  readonly values: Float64Array
  readonly expressions: readonly (Uint8Array | undefined)[]
  /** The register with the return address. */
  readonly returnColumn: number
}

/** @returns Rules at `pc`; undefined where the instructions make no sense, or set no CFA. */
export function rulesAt(fde: Fde, pc: number): Rules | undefined {
  const { cie } = fde
  if (!(cie.returnColumn < REGISTERS)) return undefined
  const program = new Program(fde, pc)
  program.run(cie.instructions())
  program.keepInitial()
  program.run(fde.instructions())
  if (program.failed || !(program.row.cfaExpression || program.row.cfaRegister < REGISTERS)) return undefined
  return { ...program.row, returnColumn: cie.returnColumn }
}

interface Row {
  cfaRegister: number
  cfaOffset: number
  cfaExpression: Uint8Array | undefined
  kinds: Uint8Array
  values: Float64Array
  expressions: (Uint8Array | undefined)[]
}

/** What psABI has a function do that says nothing: the return address was pushed last, rsp is the CFA. */
function emptyRow(): Row {
  const kinds = new Uint8Array(REGISTERS)
  const values = new Float64Array(REGISTERS)
  kinds[DWARF.rsp] = RULE.valueOffset
  kinds[DWARF.rip] = RULE.offset
  values[DWARF.rip] = -8
  return { cfaRegister: Number.NaN, cfaOffset: 0, cfaExpression: undefined, kinds, values, expressions: [] }
}

function copyOf(row: Row): Row {
  const { kinds, values, expressions } = row
  return { ...row, kinds: kinds.slice(), values: values.slice(), expressions: [...expressions] }
}

class Program {
  row = emptyRow()
  failed = false
  readonly #fde: Fde
  readonly #pc: number
  #location: number
  #initial = this.row
  readonly #remembered: Row[] = []

  constructor(fde: Fde, pc: number) {
    this.#fde = fde
    this.#pc = pc
    this.#location = fde.start
  }

  /** Until the instructions end, or are those of addresses behind `pc`. */
  run(code: Cursor): void {
    while (code.at < code.end && !this.failed && this.#location <= this.#pc) {
      const opcode = code.u8()
      const operand = opcode & 0x3f
      if (opcode >= 0xc0) this.restore(operand)
      else if (opcode >= 0x80) this.set(operand, RULE.offset, code.uleb() * this.#fde.cie.dataFactor)
      else if (opcode >= 0x40) this.advance(operand)
      else (INSTRUCTIONS[opcode] ?? fail)(this, code)
    }
    if (code.overrun) this.failed = true
  }

  keepInitial(): void {
    this.#initial = copyOf(this.row)
  }

  advance(delta: number): void {
    this.#location += delta * this.#fde.cie.codeFactor
  }

  moveTo(code: Cursor): void {
    this.#location = code.pointer(this.#fde.cie.pointerEncoding)
  }

  factored(offset: number): number {
    return offset * this.#fde.cie.dataFactor
  }

  set(register: number, kind: number, value: number): void {
    // Vector registers and flags have numbers too; unwinding needs none of them.
    if (!(register < REGISTERS)) return
    this.row.kinds[register] = kind
    this.row.values[register] = value
  }

  setExpression(register: number, kind: number, expression: Uint8Array): void {
    this.set(register, kind, 0)
    if (register < REGISTERS) this.row.expressions[register] = expression
  }

  restore(register: number): void {
    if (!(register < REGISTERS)) return
    this.set(register, this.#initial.kinds[register]!, this.#initial.values[register]!)
    this.row.expressions[register] = this.#initial.expressions[register]
  }

  setCfa(register: number, offset: number): void {
    Object.assign(this.row, { cfaRegister: register, cfaOffset: offset, cfaExpression: undefined })
  }

  remember(): void {
    if (this.#remembered.length === REMEMBERED_MAX) this.failed = true
    else this.#remembered.push(copyOf(this.row))
  }

  recall(): void {
    const row = this.#remembered.pop()
    if (row === undefined) this.failed = true
    else this.row = row
  }
}

type Instruction = (program: Program, code: Cursor) => void

function fail(program: Program): void {
  program.failed = true
}

/** By opcode: DWARF 5, 7.24, and binutils' include/dwarf2.def. */
const INSTRUCTIONS: Readonly<Record<number, Instruction>> = {
  0x00: () => {}, // DW_CFA_nop
  0x01: (program, code) => program.moveTo(code), // DW_CFA_set_loc
  0x02: (program, code) => program.advance(code.u8()),
  0x03: (program, code) => program.advance(code.u16()),
  0x04: (program, code) => program.advance(code.u32()),
  0x05: (program, code) => program.set(code.uleb(), RULE.offset, program.factored(code.uleb())),
  0x06: (program, code) => program.restore(code.uleb()),
  0x07: (program, code) => program.set(code.uleb(), RULE.undefined, 0),
  0x08: (program, code) => program.set(code.uleb(), RULE.same, 0),
  0x09: (program, code) => program.set(code.uleb(), RULE.register, code.uleb()),
  0x0a: program => program.remember(),
  0x0b: program => program.recall(),
  0x0c: (program, code) => program.setCfa(code.uleb(), code.uleb()),
  0x0d: (program, code) => program.setCfa(code.uleb(), program.row.cfaOffset),
  0x0e: (program, code) => program.setCfa(program.row.cfaRegister, code.uleb()),
  0x0f: (program, code) => (program.row.cfaExpression = code.block()), // DW_CFA_def_cfa_expression
  0x10: (program, code) => program.setExpression(code.uleb(), RULE.expression, code.block()),
  0x11: (program, code) => program.set(code.uleb(), RULE.offset, program.factored(code.sleb())),
  0x12: (program, code) => program.setCfa(code.uleb(), program.factored(code.sleb())),
  0x13: (program, code) => program.setCfa(program.row.cfaRegister, program.factored(code.sleb())),
  0x14: (program, code) => program.set(code.uleb(), RULE.valueOffset, program.factored(code.uleb())),
  0x15: (program, code) => program.set(code.uleb(), RULE.valueOffset, program.factored(code.sleb())),
  0x16: (program, code) => program.setExpression(code.uleb(), RULE.valueExpression, code.block()),
  0x2e: (_, code) => void code.uleb(), // DW_CFA_GNU_args_size
  0x2f: (program, code) => program.set(code.uleb(), RULE.offset, -program.factored(code.uleb())),
}
