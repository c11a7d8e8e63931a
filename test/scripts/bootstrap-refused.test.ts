// What scripts/bootstrap.sh refuses to begin with.
import { join } from 'node:path'
import t from 'tap'
import { makePath } from '../lab/shell-script.ts'
import { bootstrap, COMMANDS, FIT, scene, serve } from './bootstrap-scene.ts'

t.test('machines that it is not for are refused before anything is fetched', async t => {
  const machines: [string, Record<string, string>, RegExp][] = [
    ['arm', { uname: 'echo aarch64' }, /x86_64 only; this is aarch64/],
    ['no-root', { id: 'echo 1000' }, /needs root/],
    ['old-glibc', { getconf: 'echo glibc 2.28' }, /glibc 2\.34 or newer; this is 2\.28/],
    ['old-glibc-of-ldd', { getconf: 'exit 1', ldd: 'echo "ldd (GNU libc) 2.17"' }, /this is 2\.17/],
    ['musl', { getconf: 'exit 1', ldd: 'echo "musl libc (x86_64)"; exit 1' }, /this is musl libc/],
  ]
  const node = scene(t)
  const mirror = await serve(t, (_, response) => response.end(node.binary))
  for (const [name, answers, reason] of machines) {
    const PATH = makePath(
      join(node.dir, name),
      COMMANDS.filter(command => !(command in FIT) && !(command in answers)),
      { ...FIT, ...answers },
    )
    const run = await bootstrap(node, ['--url', mirror.url, '--sha256', node.sha256], { more: { PATH } })
      .ended
    t.equal(run.code, 9, name)
    t.match(run.stderr, reason)
  }
  t.strictSame(mirror.requests, [])
})

t.test('glibc of another major version, and one that nobody can tell, are left to the binary', async t => {
  const node = scene(t, 'curl', { getconf: 'exit 127', ldd: 'echo "sh: ldd: not found"; exit 127' })
  t.equal((await bootstrap(node, ['--file', join(node.dir, 'corelift')]).ended).code, 0)
})

t.test('arguments that cannot be meant are refused', async t => {
  const node = scene(t)
  const sums = ['--sha256', node.sha256]
  const refused: [string[], RegExp][] = [
    [[], /one of --file, --url and --mirror/],
    [['--file', 'x', '--url', 'y', ...sums], /one of --file, --url and --mirror/],
    [['--url', 'http://127.0.0.1:1/x'], /needs --sha256/],
    [['--mirror', 'http://127.0.0.1:1', ...sums], /needs --version/],
    [['--file', 'x', '--sha256', 'abc'], /not 64 digits/],
    [['--file', 'x', '--sha256', 'g'.repeat(64)], /not hexadecimal/],
    [['--file', 'x', '--prefix', 'opt'], /no absolute path/],
    [['--file', 'x', '--config'], /--config needs a value/],
    [['--fil', 'x'], /no such option: --fil/],
    [['--file', join(node.dir, 'absent')], /cannot read --file/],
  ]
  for (const [args, reason] of refused) {
    const run = await bootstrap(node, args).ended
    t.equal(run.code, 2, args.join(' '))
    t.match(run.stderr, reason)
  }
  t.strictSame(node.asked(), [])
  t.strictSame(node.staged(), [])
})
