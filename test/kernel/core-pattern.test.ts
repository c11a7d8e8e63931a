import fc from 'fast-check'
import t from 'tap'
import { CoreliftError } from '../../src/errors.ts'
import { CORE_PATTERN, corePattern, parseSpecifiers } from '../../src/kernel/core-pattern.ts'

const ARGS = ['4711', '4712', '11', '1700000000', '18446744073709551615', '1', '1000', '1001', 'web-0', '3']

t.test('what the kernel sends is read in the order of the pattern', async t => {
  t.strictSame(parseSpecifiers(ARGS), {
    pid: 4711,
    tid: 4712,
    signal: 11,
    timeSeconds: 1700000000,
    coreRlimitBytes: 2n ** 64n - 1n,
    dumpable: 1,
    uid: 1000,
    gid: 1001,
    hostname: 'web-0',
    pidfd: 3,
  })
})

t.test('an older kernel gives an empty pidfd', async t => {
  t.equal(parseSpecifiers([...ARGS.slice(0, -1), '']).pidfd, undefined)
})

t.test('every argument that the kernel would not send is named at once', async t => {
  const error = t.throws(() =>
    parseSpecifiers(['0', 'x', '99', '-1', '2'.repeat(20), '7', '', '1', 'h', 'a']),
  ) as unknown
  t.match(error, { code: 'E_SPECIFIERS' })
  for (const name of ['pid', 'tid', 'signal', 'timeSeconds', 'coreRlimitBytes', 'dumpable', 'uid', 'pidfd'])
    t.match((error as CoreliftError).message, name)
})

t.test('hostile arguments are read or refused, in one printable line', async t => {
  const argument = fc.oneof(fc.string({ unit: 'binary' }), fc.bigInt().map(String), fc.constantFrom(...ARGS))
  fc.assert(
    fc.property(fc.array(argument, { maxLength: 12 }), args => {
      try {
        return Number.isInteger(parseSpecifiers(args).pid)
      } catch (error) {
        return (
          error instanceof CoreliftError &&
          error.code === 'E_SPECIFIERS' &&
          !/[^\x20-\x7e…]/.test(error.message)
        )
      }
    }),
  )
  t.pass()
})

t.test('the pattern has every specifier, and is refused where the kernel would cut or split it', async t => {
  t.equal(
    corePattern(['/usr/local/bin/corelift', 'handle']),
    `|/usr/local/bin/corelift handle ${CORE_PATTERN.map(([, specifier]) => specifier).join(' ')}`,
  )
  t.throws(() => corePattern([`/${'x'.repeat(120)}`]), { code: 'E_USAGE' })
  t.throws(() => corePattern(['/opt/core lift']), { code: 'E_USAGE' })
  t.throws(() => corePattern(['/opt/%p']), { code: 'E_USAGE' })
})
