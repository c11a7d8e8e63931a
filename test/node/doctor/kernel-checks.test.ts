import t from 'tap'
import {
  coreModesCheck,
  corePatternCheck,
  pipeLimitCheck,
  suidDumpableCheck,
  sysctlFilesCheck,
} from '../../../src/node/doctor/kernel-checks.ts'
import type { Tree } from '../tree.ts'
import { examined, fakeNode, PATTERN } from './examining.ts'

const CORE_PATTERN = '/proc/sys/kernel/core_pattern'
const PIPE_LIMIT = '/proc/sys/kernel/core_pipe_limit'
const SYSCTL_FILE = '/etc/sysctl.d/60-corelift.conf'

t.test('a core_pattern of ours is in order', async t => {
  const node = fakeNode(t, { tree: { [CORE_PATTERN]: `${PATTERN}\n` } })
  t.match(await examined(t, corePatternCheck, node), { result: 'ok', found: PATTERN, fix: null })
})

t.test('a core_pattern of others is told by its owner, with what takes it back', async t => {
  const take = (pattern: string, tree: Tree = {}) => {
    return examined(t, corePatternCheck, fakeNode(t, { tree: { [CORE_PATTERN]: `${pattern}\n`, ...tree } }))
  }
  for (const [pattern, found] of [
    ['core', /^not ours: the kernel writes files \(core\)/],
    ['', /^not ours: it is empty/],
    ['|/usr/lib/systemd/systemd-coredump %P', /^not ours: systemd-coredump has it/],
    ['|/opt/agent/dump %P', /^not ours: somebody has it \(\|\/opt\/agent\/dump %P\)/],
    ['@@/run/systemd/coredumpd/kernel', /^not ours: systemd-coredump has it/],
    ['|/usr/local/bin/corelift handle %P', /another version/],
  ] as const)
    t.match(await take(pattern), { result: 'fail', found, fix: 'corelift install' }, pattern)
  t.match(await take('core', { [SYSCTL_FILE]: '' }), { fix: `sysctl -p ${SYSCTL_FILE}` })
})

t.test('the pipe limit fits the memory of the node', async t => {
  const limited = (limit: string, gibibytes: number) =>
    examined(
      t,
      pipeLimitCheck,
      fakeNode(t, {
        tree: {
          [PIPE_LIMIT]: `${limit}\n`,
          '/proc/meminfo': `MemTotal:       ${gibibytes * 1024 ** 2} kB\n`,
        },
      }),
    )
  t.match(await limited('0', 64), { result: 'fail', fix: 'sysctl -w kernel.core_pipe_limit=256' })
  t.match(await limited('64', 64), { result: 'warn', found: /^64, where 256/ })
  t.match(await limited('64', 8), { result: 'ok', found: '64' })
  t.match(await limited('16', 8), { result: 'warn', fix: 'sysctl -w kernel.core_pipe_limit=64' })
  t.match(await limited('300', 64), { result: 'ok' })
})

t.test('suid_dumpable is to be 2, and never 1', async t => {
  for (const [value, result] of [
    ['2', 'ok'],
    ['0', 'warn'],
    ['1', 'fail'],
  ] as const) {
    const node = fakeNode(t, { tree: { '/proc/sys/fs/suid_dumpable': `${value}\n` } })
    t.match(await examined(t, suidDumpableCheck, node), { result })
  }
})

t.test('a kernel that tells its modes has to have pipes', async t => {
  const modes = (tree: Tree) => examined(t, coreModesCheck, fakeNode(t, { tree }))
  t.match(await modes({}), { result: 'ok', found: /not told/ })
  t.match(await modes({ '/proc/sys/kernel/core_modes': 'file\npipe\nsocket\n' }), { result: 'ok' })
  t.match(await modes({ '/proc/sys/kernel/core_modes': 'file\n' }), { result: 'fail' })
})

t.test('what would hold after the next boot is told by file and line', async t => {
  const own = { [SYSCTL_FILE]: `kernel.core_pattern=${PATTERN}\nkernel.core_pipe_limit=256\n` }
  const files = (tree: Tree) => examined(t, sysctlFilesCheck, fakeNode(t, { tree }))
  t.match(await files(own), { result: 'ok' })
  t.match(await files({ ...own, '/etc/sysctl.d/99-x.conf': 'kernel.core_pattern=core\n' }), {
    result: 'fail',
    found: '/etc/sysctl.d/99-x.conf:1 sets kernel.core_pattern to core',
  })
  t.match(await files({ ...own, '/etc/sysctl.conf': 'kernel.core_pipe_limit=4\n' }), { result: 'warn' })
  t.match(await files({}), { result: 'skipped' })
  t.match(await files({ [CORE_PATTERN]: `${PATTERN}\n` }), {
    result: 'warn',
    found: /not ours after the next boot/,
  })
})
