import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import * as fc from 'fast-check'
import t from 'tap'
import { loadDemangle } from '../../src/commands/demangle.ts'

const wasm = createRequire(import.meta.url).resolve('gecko-profiler-demangle/index_bg.wasm')
const demangle = loadDemangle(readFileSync(wasm))

t.test('names of C++ and Rust are as people write them, others as they are', async t => {
  t.equal(
    demangle('_ZN4shop4Cart7add_allERKSt6vectorIiSaIiEE'),
    'shop::Cart::add_all(std::vector<int, std::allocator<int> > const&)',
  )
  t.equal(demangle('_ZN4core9panicking5panic17h0123456789abcdefE'), 'core::panicking::panic')
  t.equal(demangle('_RNvCs15kBYyAo9fc_7mycrate4main'), 'mycrate::main')
  for (const name of ['main', 'crash_here', '_Z', '_Znonsense', '_init', '', `_Z${'a'.repeat(600)}`])
    t.equal(demangle(name), name)
})

t.test('whatever a symbol is called, it has a name', async t => {
  fc.assert(fc.property(fc.string(), text => typeof demangle(`_Z${text}`) === 'string'))
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...'NS_SAIiPKRE0123456789aLT'), maxLength: 60 }),
      text => typeof demangle(`_ZN${text}`) === 'string',
    ),
  )
  t.equal(
    demangle('_ZN4core9panicking5panic17h0123456789abcdefE'),
    'core::panicking::panic',
    'and others still',
  )
})

t.test('a name that unfolds to megabytes stays as it is, at once', async t => {
  // f(A<a, a>, A<A<a, a>, A<a, a>>, …): each parameter is twice the one before.
  const doubling = (levels: number) =>
    Array.from({ length: levels }, (_, level) => (level + 1).toString(36).toUpperCase()).reduce(
      (name, seq) => `${name}S_IS${seq}_S${seq}_E`,
      '_Z1f1AI1aS0_E',
    )
  t.match(demangle(doubling(2)), /^f\(A<a, a>, A<A<a, a>, A<a, a> >/)
  const begun = performance.now()
  t.equal(demangle(doubling(22)), doubling(22))
  t.ok(performance.now() - begun < 500)
})
