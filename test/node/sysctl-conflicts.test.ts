import path from 'node:path'
import t, { type Test } from 'tap'
import { ownSysctls, sysctlConflicts } from '../../src/node/sysctl-conflicts.ts'
import { plant, type Tree } from './tree.ts'

const WANTED = { 'kernel.core_pattern': '|/b handle', 'kernel.core_pipe_limit': '256' }

function conflictsIn(t: Test, tree: Tree): string[] {
  const root = t.testdir()
  plant(root, tree)
  return sysctlConflicts(WANTED, root).map(
    ({ name, value, file, line }) => `${file}:${line} ${name} ${value}`,
  )
}

t.test('names that sort after ours outrank it, from whichever directory', async t => {
  t.same(
    conflictsIn(t, {
      '/usr/lib/sysctl.d/50-coredump.conf': 'kernel.core_pattern=|/systemd-coredump\n',
      '/usr/lib/sysctl.d/90-vendor.conf': '# a comment\n\nkernel.core_pattern = core\n',
      '/run/sysctl.d/70-agent.conf': '-kernel/core_pipe_limit=0\n',
    }),
    [
      '/usr/lib/sysctl.d/90-vendor.conf:3 kernel.core_pattern core',
      '/run/sysctl.d/70-agent.conf:1 kernel.core_pipe_limit 0',
    ],
  )
})

t.test('the last assignment holds, and one that says the same is none', async t => {
  t.same(
    conflictsIn(t, {
      '/etc/sysctl.d/70-a.conf': 'kernel.core_pattern=core\nkernel.core_pipe_limit=256\n',
      '/etc/sysctl.d/80-b.conf': 'kernel.core_pattern=|/b handle\n',
    }),
    [],
  )
})

t.test('a file is hidden by one of its name in an earlier directory, and by a link to nothing', async t => {
  t.same(
    conflictsIn(t, {
      '/etc/sysctl.d/90-vendor.conf': { link: '/dev/null' },
      '/usr/lib/sysctl.d/90-vendor.conf': 'kernel.core_pattern=core\n',
      '/run/sysctl.d/91-vendor.conf': 'kernel.core_pipe_limit=256\n',
      '/usr/local/lib/sysctl.d/91-vendor.conf': 'kernel.core_pipe_limit=4\n',
    }),
    [],
  )
})

t.test('comments, names of others, patterns and other files assign nothing', async t => {
  t.same(
    conflictsIn(t, {
      '/etc/sysctl.d/90-a.conf':
        '#kernel.core_pattern=core\n; kernel.core_pattern=core\nkernel.core_uses_pid=1\nkernel.core_*=0\n-kernel.core_pattern\n',
      '/etc/sysctl.d/90-b.conf.bak': 'kernel.core_pattern=core\n',
    }),
    [],
  )
})

t.test('/etc/sysctl.conf comes last for `sysctl --system`', async t => {
  t.same(conflictsIn(t, { '/etc/sysctl.conf': 'kernel.core_pattern=core\n' }), [
    '/etc/sysctl.conf:1 kernel.core_pattern core',
  ])
})

t.test('what our own file says is read as others are', async t => {
  const root = t.testdir({
    etc: {
      'sysctl.d': { '60-corelift.conf': '# why\nfs.suid_dumpable=2\nkernel.core_pattern=|/b handle\n' },
    },
  })
  t.same(ownSysctls(root), { 'fs.suid_dumpable': '2', 'kernel.core_pattern': '|/b handle' })
  t.same(ownSysctls(path.join(root, 'nowhere')), {})
})
