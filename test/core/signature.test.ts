import fc from 'fast-check'
import t from 'tap'
import { signatureOf } from '../../src/core/signature.ts'
import type { Frame } from '../../src/core/unwind/unwinder.ts'

const JIT: Frame = { pc: 0x3000_1234, isExact: false }

function frame(path: string | Uint8Array, offset: number, buildId?: string): Frame {
  const module = { path: Buffer.from(path), start: 0x7f00_0000_0000, offset }
  return { pc: 0x7f00_0000_0000 + offset, isExact: false, module: buildId ? { ...module, buildId } : module }
}

t.test('signal and frames, by file name, build and offset', async t => {
  const frames = [
    frame('/usr/lib/libc.so.6', 0x167ad8, '93ac61ec5a8e0000000000000000000000000000'),
    frame('/usr/lib/python3/_ctypes.so', 0x8608, '0ba798d7e2feffff'),
    frame('/app/server', 0x401000),
  ]
  t.equal(
    signatureOf('SIGSEGV', frames),
    'SIGSEGV libc.so.6[93ac61ec5a8e]+0x167ad8 ‹ _ctypes.so[0ba798d7e2fe]+0x8608 ‹ server+0x401000',
  )
})

t.test('five frames, the innermost', async t => {
  const frames = Array.from({ length: 9 }, (_, index) => frame('a', index))
  t.equal(signatureOf('SIGABRT', frames), 'SIGABRT a+0x0 ‹ a+0x1 ‹ a+0x2 ‹ a+0x3 ‹ a+0x4')
})

t.test('code of no module is unknown, however many frames of it there are', async t => {
  const other = { ...JIT, pc: 0x3000_9999 }
  t.equal(signatureOf('SIGSEGV', [frame('a', 1), JIT, other, frame('a', 2)]), 'SIGSEGV a+0x1 ‹ ? ‹ a+0x2')
  t.equal(signatureOf('SIGSEGV', [frame('a', 1), JIT, frame('a', 2)]), 'SIGSEGV a+0x1 ‹ ? ‹ a+0x2')
})

t.test('a file that was deleted has the name that it had', async t => {
  t.equal(signatureOf('SIGBUS', [frame('/opt/server (deleted)', 16)]), 'SIGBUS server+0x10')
})

t.test('no frames, just the signal', async t => {
  t.equal(signatureOf('SIGKILL', []), 'SIGKILL')
})

t.test('whatever a path is, the signature is one short line of its own characters', async t => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }), paths => {
      const signature = signatureOf(
        'SIGSEGV',
        paths.map(path => frame(path, 1, 'ab')),
      )
      if (!/^SIGSEGV(?: (?:‹ )?[\w.+~@=,:-]{0,64}\[ab\]\+0x1)*$/.test(signature)) throw new Error(signature)
    }),
  )
  t.equal(signatureOf('SIGILL', [frame('/a/\u001b[2J ‹ b\n', 1)]), 'SIGILL __2J_____b_+0x1')
})
