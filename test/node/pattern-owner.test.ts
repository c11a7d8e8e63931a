import t from 'tap'
import { corePattern } from '../../src/kernel/core-pattern.ts'
import { patternOwner } from '../../src/node/pattern-owner.ts'

t.test('a pattern of ours tells its binary and its configuration', async t => {
  t.same(patternOwner(corePattern(['/opt/b', 'handle'])), {
    kind: 'corelift',
    binary: '/opt/b',
    configFile: undefined,
  })
  for (const command of [
    ['/opt/b', 'handle', '--config', '/etc/c.toml'],
    ['/opt/b', '--config', '/etc/c.toml', 'handle'],
  ])
    t.match(patternOwner(corePattern(command)), {
      kind: 'corelift',
      binary: '/opt/b',
      configFile: '/etc/c.toml',
    })
})

t.test('other specifiers are those of another version, or of another program', async t => {
  t.match(patternOwner('|/usr/local/bin/corelift handle %P %s'), { kind: 'other-version' })
  t.match(patternOwner('|/usr/bin/dumper handle %P %s'), { kind: 'program', path: '/usr/bin/dumper' })
})

t.test('who else has it is told where it is known', async t => {
  for (const [pattern, owner] of [
    ['|/usr/lib/systemd/systemd-coredump %P %u', { kind: 'program', name: 'systemd-coredump' }],
    ['@@/run/systemd/coredumpd/kernel', { kind: 'socket', name: 'systemd-coredump' }],
    ['@/run/others.sock', { kind: 'socket', name: undefined, path: '/run/others.sock' }],
    ['|/usr/share/apport/apport -p%p', { kind: 'program', name: 'apport' }],
    ['|/usr/libexec/abrt-hook-ccpp %s', { kind: 'program', name: 'ABRT' }],
    ['|/opt/toString %p', { kind: 'program', name: undefined }],
    ['|/bin/false', { kind: 'program', name: 'nobody: it drops every core' }],
    ['core', { kind: 'file' }],
    ['/var/cores/%e.%p', { kind: 'file' }],
    ['', { kind: 'file' }],
  ] as const)
    t.match(patternOwner(pattern), owner, pattern)
})
