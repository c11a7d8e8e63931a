// DWARF expressions as unwind tables have them (DWARF 5, 2.5): those of PLT entries, of signal frames, of functions that
// align their stack. 64-bit arithmetic, hence bigint: they are rare.
import { ADDRESS_MAX } from '../memory.ts'
import { Cursor } from './cursor.ts'
import type { PageCache } from './pages.ts'

/** Those in use have about ten operations; DW_OP_skip can loop. The stack grows by one with each at most. */
const OPERATIONS_MAX = 256

/**
 * Evaluates an expression.
 * @param registers - By DWARF's numbers; NaN for those not known.
 * @param initial - What the stack begins with: the CFA, for a register's rule.
 * @returns NaN where it has no value: it needs what is not known or not readable, or is malformed.
 */
export function evaluate(
  expression: Uint8Array,
  registers: Float64Array,
  pages: PageCache,
  initial?: number,
): number {
  const machine = new Machine(expression, registers, pages)
  if (initial !== undefined) machine.push(exact(initial))
  for (let count = 0; machine.code.at < machine.code.end; count++) {
    if (count === OPERATIONS_MAX) return Number.NaN
    machine.run(machine.code.u8())
    if (machine.failed) return Number.NaN
  }
  const value = machine.pop()
  return machine.failed || machine.code.overrun ? Number.NaN : Number(value)
}

class Machine {
  readonly code: Cursor
  failed = false
  readonly #stack: bigint[] = []
  readonly #registers: Float64Array
  readonly #pages: PageCache

  constructor(expression: Uint8Array, registers: Float64Array, pages: PageCache) {
    this.code = new Cursor(expression, 0)
    this.#registers = registers
    this.#pages = pages
  }

  run(operation: number): void {
    if (operation >= 0x30 && operation <= 0x4f)
      this.push(BigInt(operation - 0x30)) // DW_OP_lit0 …
    else if (operation >= 0x70 && operation <= 0x8f)
      this.pushRegister(operation - 0x70) // DW_OP_breg0 …
    else (OPERATIONS[operation] ?? fail)(this)
  }

  /** @param value - undefined fails. */
  push(value: bigint | undefined): void {
    if (value === undefined) this.failed = true
    else this.#stack.push(BigInt.asUintN(64, value))
  }

  pop(): bigint {
    const value = this.#stack.pop()
    if (value === undefined) this.failed = true
    return value ?? 0n
  }

  pick(depth: number): void {
    this.push(this.#stack.at(-1 - depth))
  }

  /** The offset follows in the code. */
  pushRegister(register: number): void {
    this.push(exact((this.#registers[register] ?? Number.NaN) + this.code.sleb()))
  }

  load(bytes: number): void {
    const at = this.pop()
    const word = at < ADDRESS_MAX && bytes <= 8 ? this.#pages.bytes(Number(at), bytes) : undefined
    this.push(word?.reduceRight((value, byte) => value * 256n + BigInt(byte), 0n))
  }

  /** The topmost goes below the others. */
  rotate(depth: number): void {
    const moved = this.#stack.splice(-depth)
    if (moved.length < depth) this.failed = true
    this.#stack.push(moved.pop() ?? 0n, ...moved)
  }

  add(addend: number): void {
    const value = exact(addend)
    this.push(value === undefined ? undefined : this.pop() + value)
  }

  /** A distance follows in the code, and counts from behind itself. */
  jump(taken = true): void {
    const distance = (this.code.u16() << 16) >> 16
    if (!taken) return
    const target = this.code.at + distance
    if (target >= 0 && target <= this.code.end) this.code.at = target
    else this.failed = true
  }
}

type Operation = (machine: Machine) => void

function fail(machine: Machine): void {
  machine.failed = true
}

function constant(read: (code: Cursor) => number): Operation {
  return machine => machine.push(exact(read(machine.code)))
}

function unary(compute: (value: bigint) => bigint): Operation {
  return machine => machine.push(compute(machine.pop()))
}

function binary(compute: (left: bigint, right: bigint) => bigint | undefined): Operation {
  return machine => {
    const right = machine.pop()
    machine.push(compute(machine.pop(), right))
  }
}

function comparison(holds: (left: bigint, right: bigint) => boolean): Operation {
  return binary((left, right) => (holds(signed(left), signed(right)) ? 1n : 0n))
}

/** A shift by more would be a number of so many bits. */
function shifted(value: bigint, bits: bigint, shift: (value: bigint, bits: bigint) => bigint): bigint {
  return bits < 64n ? shift(value, bits) : shift(shift(value, 63n), 1n)
}

/** By opcode: DWARF 5, 7.7.1. */
const OPERATIONS: Readonly<Record<number, Operation>> = {
  0x03: machine => machine.push(machine.code.u64()), // DW_OP_addr
  0x06: machine => machine.load(8), // DW_OP_deref
  0x08: constant(code => code.u8()),
  0x09: constant(code => (code.u8() << 24) >> 24),
  0x0a: constant(code => code.u16()),
  0x0b: constant(code => (code.u16() << 16) >> 16),
  0x0c: constant(code => code.u32()),
  0x0d: constant(code => code.u32() | 0),
  0x0e: machine => machine.push(machine.code.u64()),
  0x0f: machine => machine.push(machine.code.u64()),
  0x10: constant(code => code.uleb()),
  0x11: constant(code => code.sleb()),
  0x12: machine => machine.pick(0), // DW_OP_dup
  0x13: machine => machine.pop(), // DW_OP_drop
  0x14: machine => machine.pick(1), // DW_OP_over
  0x15: machine => machine.pick(machine.code.u8()), // DW_OP_pick
  0x16: machine => machine.rotate(2), // DW_OP_swap
  0x17: machine => machine.rotate(3), // DW_OP_rot
  0x19: unary(value => (signed(value) < 0n ? -signed(value) : value)), // DW_OP_abs
  0x1a: binary((left, right) => left & right),
  0x1b: binary((left, right) => (right === 0n ? undefined : signed(left) / signed(right))),
  0x1c: binary((left, right) => left - right),
  0x1d: binary((left, right) => (right === 0n ? undefined : left % right)),
  0x1e: binary((left, right) => left * right),
  0x1f: unary(value => -value),
  0x20: unary(value => ~value),
  0x21: binary((left, right) => left | right),
  0x22: binary((left, right) => left + right),
  0x23: machine => machine.add(machine.code.uleb()), // DW_OP_plus_uconst
  0x24: binary((left, right) => shifted(left, right, (value, bits) => value << bits)),
  0x25: binary((left, right) => shifted(left, right, (value, bits) => value >> bits)),
  0x26: binary((left, right) => shifted(signed(left), right, (value, bits) => value >> bits)),
  0x27: binary((left, right) => left ^ right),
  0x28: machine => machine.jump(machine.pop() !== 0n), // DW_OP_bra
  0x29: comparison((left, right) => left === right),
  0x2a: comparison((left, right) => left >= right),
  0x2b: comparison((left, right) => left > right),
  0x2c: comparison((left, right) => left <= right),
  0x2d: comparison((left, right) => left < right),
  0x2e: comparison((left, right) => left !== right),
  0x2f: machine => machine.jump(), // DW_OP_skip
  0x92: machine => machine.pushRegister(machine.code.uleb()), // DW_OP_bregx
  0x94: machine => machine.load(machine.code.u8()), // DW_OP_deref_size
  0x96: () => {}, // DW_OP_nop
}

function signed(value: bigint): bigint {
  return BigInt.asIntN(64, value)
}

/** @returns undefined for what is no exact whole number. */
function exact(value: number): bigint | undefined {
  return Number.isSafeInteger(value) ? BigInt(value) : undefined
}
