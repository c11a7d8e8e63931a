import t from 'tap'
import type { Memory } from '../../../src/core/memory.ts'
import { type StackTrace, Unwinder } from '../../../src/core/unwind/unwinder.ts'
import {
  buildImage,
  CIE_RULES,
  type FunctionSpec,
  memoryOf,
  moduleOf,
  threadWith,
  words,
} from './build-image.ts'

const IMAGE = 0x7f00_0000_0000
const STACK = 0x7ffd_0000_0000

/** advance_loc 1, def_cfa_offset 16, offset rbp; advance_loc 3, def_cfa_register rbp. */
const PUSHES_RBP = [0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6]
const UNDEFINED_RIP = [0x07, 16]
const FUNCTIONS: FunctionSpec[] = [
  { at: 0x100, bytes: 0x40, rules: [] },
  { at: 0x140, bytes: 0x40, rules: PUSHES_RBP },
  { at: 0x180, bytes: 0x40, rules: UNDEFINED_RIP },
]

function process(
  stack: Uint8Array,
  options: { image?: Uint8Array; more?: Record<number, Uint8Array> } = {},
): { memory: Memory; modules: ReturnType<typeof moduleOf>[] } {
  const { image = buildImage(FUNCTIONS), more = {} } = options
  return { memory: memoryOf({ [IMAGE]: image, [STACK]: stack, ...more }), modules: [moduleOf(IMAGE)] }
}

const offsets = ({ frames }: StackTrace): (number | undefined)[] => frames.map(({ module }) => module?.offset)

t.test('a stack is unwound by .eh_frame to the function that has no caller', async t => {
  const stack = words(IMAGE + 0x150, 0, STACK + 0x40, IMAGE + 0x190)
  const thread = threadWith({ rip: IMAGE + 0x100, rsp: STACK, rbp: STACK + 0x10 })
  const trace = new Unwinder(process(stack)).unwind(thread)
  t.match(trace, { tid: 7, end: 'outermost' })
  t.strictSame(offsets(trace), [0x100, 0x150, 0x190])
  t.strictSame(
    trace.frames.map(({ isExact }) => isExact),
    [true, false, false],
  )
  t.match(trace.frames[0]!.module, { start: IMAGE, buildId: '00112233445566778899aabbccddeeff00112233' })
})

t.test(
  'a return address behind a function that ends with its call is looked up in that function',
  async t => {
    const stack = words(IMAGE + 0x180, 0, IMAGE + 0x190)
    const thread = threadWith({ rip: IMAGE + 0x100, rsp: STACK, rbp: STACK + 8 })
    t.strictSame(offsets(new Unwinder(process(stack)).unwind(thread)), [0x100, 0x180, 0x190])
  },
)

t.test('no more frames are unwound than asked for, and none after the deadline', async t => {
  const recursion = words(...Array<number>(100).fill(IMAGE + 0x110))
  const thread = threadWith({ rip: IMAGE + 0x100, rsp: STACK })
  const unwinder = new Unwinder(process(recursion))
  t.match(unwinder.unwind(thread), { end: 'limit', frames: { length: 64 } })
  t.match(unwinder.unwind(thread, { framesMax: 10 }), { end: 'limit', frames: { length: 10 } })
  let milliseconds = 0
  const trace = unwinder.unwind(thread, { deadlineMs: 5, now: () => milliseconds++ })
  t.match(trace, { end: 'deadline', frames: { length: 7 } })
})

t.test('what a signal interrupted is exact, wherever its stack is', async t => {
  // CFA: rsp - 64.
  const cie = { augmentation: 'zRS', rules: [0x12, 7, 8, 0x90, 1] }
  const restorer = { at: 0x1c0, bytes: 0x40, rules: [] }
  const stack = words(0, 0, 0, 0, 0, 0, 0, 0, IMAGE + 0x1d0)
  stack.set(words(IMAGE + 0x180), 0)
  const thread = threadWith({ rip: IMAGE + 0x100, rsp: STACK + 64 })
  const unwind = (functions: FunctionSpec[]): StackTrace =>
    new Unwinder(process(stack, { image: buildImage(functions) })).unwind(thread)

  const trace = unwind([...FUNCTIONS, { ...restorer, cie }])
  t.strictSame(offsets(trace), [0x100, 0x1d0, 0x180])
  t.strictSame(
    trace.frames.map(({ isExact }) => isExact),
    [true, true, true],
  )
  t.equal(trace.end, 'outermost', 'by the function that begins there, not the one before')
  const other = unwind([...FUNCTIONS, { ...restorer, cie: { ...cie, augmentation: 'zR' } }])
  t.match(other, { end: 'corrupt', frames: { length: 2 } }, 'a call does not lead down the stack')
})

t.test('a restorer without unwind information is known by its code', async t => {
  const restorer = 0x5555_0000_0000
  for (const code of ['48c7c00f0000000f05', 'b80f0000000f05']) {
    // From rsp on: 40 bytes of struct ucontext, then r8 … rip.
    const context = words(...Array<number>(5).fill(0), ...Array<number>(15).fill(1), 0x6000, IMAGE + 0x180)
    const stack = Buffer.concat([words(restorer), context])
    const more = { [restorer]: Buffer.from(code, 'hex') }
    const trace = new Unwinder(process(stack, { more })).unwind(
      threadWith({ rip: IMAGE + 0x100, rsp: STACK }),
    )
    t.match(trace, { end: 'outermost', frames: { length: 3 } })
    t.match(trace.frames.slice(1), [
      { pc: restorer, isExact: true },
      { pc: IMAGE + 0x180, isExact: true },
    ])
  }
})

t.test('a call of what is no code leads back to its caller', async t => {
  for (const rip of [0, 0xdead_0000, 2n ** 64n - 4096n]) {
    const trace = new Unwinder(process(words(IMAGE + 0x190))).unwind(threadWith({ rip, rsp: STACK }))
    t.match(trace, { end: 'outermost', frames: { length: 2 } })
    t.match(trace.frames, [
      { pc: Number(rip), isExact: true },
      { pc: IMAGE + 0x190, isExact: false },
    ])
    t.equal(trace.frames[0]!.module, undefined)
  }
})

t.test('code without unwind information is left by its frame pointer', async t => {
  const jit = 0x3000_0000
  const stack = words(1, STACK + 0x28, jit + 0x20, 2, 3, 4, IMAGE + 0x190)
  const options = { more: { [jit]: new Uint8Array(64) } }
  const thread = threadWith({ rip: jit + 0x10, rsp: STACK, rbp: STACK + 8 })
  const trace = new Unwinder(process(stack, options)).unwind(thread)
  t.equal(trace.end, 'outermost')
  t.strictSame(
    trace.frames.map(({ pc, module }) => [pc, module?.offset]),
    [
      [jit + 0x10, undefined],
      [jit + 0x20, undefined],
      [IMAGE + 0x190, 0x190],
    ],
  )
})

t.test('a frame pointer that leads nowhere ends the stack', async t => {
  const jit = 0x3000_0000
  const options = { more: { [jit]: new Uint8Array(64) } }
  const endOf = (rbp: number, stack: Uint8Array): unknown => {
    const { end, frames } = new Unwinder(process(stack, options)).unwind(
      threadWith({ rip: jit, rsp: STACK + 8, rbp }),
    )
    return [end, frames.length]
  }
  const stack = words(0, STACK + 8, jit, 0)
  t.strictSame(endOf(STACK + 8, stack), ['no-unwind-info', 2], 'its own address')
  t.strictSame(endOf(STACK, stack), ['no-unwind-info', 1], 'below the stack pointer')
  t.strictSame(endOf(STACK + 9, stack), ['no-unwind-info', 1], 'not of a word')
  t.strictSame(endOf(STACK + 2 ** 24, stack), ['no-unwind-info', 1], 'too far away')
  t.strictSame(endOf(STACK + 0x100, stack), ['unreadable', 1])
})

t.test('a return address of 0 ends the stack', async t => {
  const trace = new Unwinder(process(words(0))).unwind(threadWith({ rip: IMAGE + 0x100, rsp: STACK }))
  t.match(trace, { end: 'outermost', frames: { length: 1 } })
})

t.test('a stack that cannot be read ends where it cannot', async t => {
  const trace = new Unwinder(process(words(IMAGE + 0x110))).unwind(
    threadWith({ rip: IMAGE + 0x100, rsp: STACK }),
  )
  t.match(trace, { end: 'unreadable', frames: { length: 2 } })
})

t.test('a caller whose stack does not grow is none', async t => {
  // CFA: rsp; the return address is above it.
  const still = { at: 0x200, bytes: 0x40, rules: [0x0e, 0, 0x2f, 16, 1] }
  const memory = process(words(0, IMAGE + 0x210), { image: buildImage([still]) })
  const trace = new Unwinder(memory).unwind(threadWith({ rip: IMAGE + 0x200, rsp: STACK }))
  t.match(trace, { end: 'corrupt', frames: { length: 1 } })
})

t.test('an image without an index is searched for its unwind information', async t => {
  const image = buildImage(FUNCTIONS, { indexed: false })
  const stack = words(IMAGE + 0x150, 0, STACK + 0x40, IMAGE + 0x190)
  const thread = threadWith({ rip: IMAGE + 0x100, rsp: STACK, rbp: STACK + 0x10 })
  const trace = new Unwinder(process(stack, { image })).unwind(thread)
  t.strictSame(offsets(trace), [0x100, 0x150, 0x190])
  t.equal(trace.end, 'outermost')
})

t.test('a module that is no ELF image has no place in a trace', async t => {
  const trace = new Unwinder(process(words(0), { image: new Uint8Array(0x4000) })).unwind(
    threadWith({ rip: IMAGE + 0x100, rsp: STACK, rbp: 0 }),
  )
  t.strictSame(trace.frames, [{ pc: IMAGE + 0x100, isExact: true }])
})

t.test('a thousand threads at the same place cost a read each', async t => {
  let reads = 0
  const stacks = Object.fromEntries(
    Array.from({ length: 1000 }, (_, index) => [STACK + index * 0x10_0000, words(IMAGE + 0x190)]),
  )
  const { memory, modules } = process(words(0), { more: stacks })
  const counted: Memory = { read: (address, into) => (reads++, memory.read(address, into)) }
  const unwinder = new Unwinder({ memory: counted, modules })
  for (const start of Object.keys(stacks))
    unwinder.unwind(threadWith({ rip: IMAGE + 0x100, rsp: Number(start) }))
  t.ok(reads < 1020, `${reads} reads`)
})

t.test('the rules of a CIE hold where an FDE changes nothing', async t => {
  const [first, ...others] = FUNCTIONS
  const image = buildImage([{ ...first!, cie: { rules: [...CIE_RULES, ...UNDEFINED_RIP] } }, ...others])
  const trace = new Unwinder(process(words(0), { image })).unwind(
    threadWith({ rip: IMAGE + 0x120, rsp: STACK }),
  )
  t.match(trace, { end: 'outermost', frames: { length: 1 } })
})
