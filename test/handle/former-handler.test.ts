// Which program may be run as root: files of its own below /run, where every directory above is root's.
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { formerHandlerOf } from '../../src/handle/former-handler.ts'

const skip = process.getuid?.() !== 0 && 'not root: programs of root cannot be made'

/** @returns A directory with `prog`, a program of root's. */
function makePrograms(t: Tap): string {
  const dir = mkdtempSync('/run/former-')
  t.teardown(() => rmSync(dir, { recursive: true }))
  chmodSync(dir, 0o755)
  writeFileSync(join(dir, 'prog'), '', { mode: 0o755 })
  return dir
}

type Tap = Pick<typeof t, 'teardown'>

t.test('a program of root’s is found, with the pattern’s arguments', { skip }, async t => {
  const dir = makePrograms(t)
  const program = join(dir, 'prog')
  const found = { state: 'found', program, file: program, args: ['-p%p', '%e'] }
  t.strictSame(formerHandlerOf(`|${program} -p%p  %e`), found)
  t.strictSame(
    formerHandlerOf(`|${program.slice(1)}`),
    { ...found, program: program.slice(1), args: [] },
    'the kernel starts in /',
  )
})

t.test('behind a link it is the file that is run, by the name of the link', { skip }, async t => {
  const dir = makePrograms(t)
  symlinkSync('prog', join(dir, 'link'))
  t.match(formerHandlerOf(`|${dir}/link`), { program: `${dir}/link`, file: `${dir}/prog` })
})

t.test('what others could have put there is not run', { skip }, async t => {
  const dir = makePrograms(t)
  const program = join(dir, 'prog')
  const why = (file = program) => {
    const handler = formerHandlerOf(`|${file} %P`)
    return handler.state === 'none' ? handler.why.replace(dir, '') : handler.state
  }
  chmodSync(program, 0o775)
  t.equal(why(), '/prog can be written by others (mode 775)')
  chmodSync(program, 0o644)
  t.equal(why(), '/prog is not executable')
  chmodSync(program, 0o755)
  chownSync(program, 1, 1)
  t.equal(why(), '/prog belongs to uid 1, not to root')
  chownSync(program, 0, 0)
  t.equal(why(), 'found', 'as a check of the check')

  mkdirSync(join(dir, 'prog.d'))
  t.equal(why(join(dir, 'prog.d')), '/prog.d is no file')
  chmodSync(dir, 0o1777)
  t.equal(why(), `/prog is in ${dir}, which can be written by others (mode 1777)`)
})

t.test('a pattern that leads back to corelift goes nowhere', { skip }, async t => {
  const dir = makePrograms(t)
  symlinkSync('prog', join(dir, 'corelift'))
  t.match(formerHandlerOf(`|${dir}/corelift handle %P`, `${dir}/prog`), {
    state: 'none',
    why: `${dir}/corelift is corelift itself`,
  })
})

t.test('without a program to run it is said why', async t => {
  const why = (pattern: string | undefined) => formerHandlerOf(pattern)
  t.match(why(undefined), { why: 'no installation has noted what kernel.core_pattern was before' })
  t.match(why('core.%p'), { why: 'kernel.core_pattern was core.%p before, which names no program' })
  t.match(why('|'), { why: 'kernel.core_pattern was | before, which names no program' })
  t.match(why('|/nonexistent/%e %e'), { why: '/nonexistent/%e: ENOENT' })
})
