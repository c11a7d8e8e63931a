import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { glibcReasons, kernelReasons } from '../../src/node/machine.ts'
import { mountOf, parseMounts } from '../../src/node/mounts.ts'
import { rivalsOf } from '../../src/node/rivals.ts'

t.test('kernels are new enough from 5.3 on', async t => {
  for (const kernel of ['5.3.0', '5.10.0-30-cloud-amd64', '6.18.44', '10.0.1'])
    t.same(kernelReasons(kernel), [], kernel)
  for (const kernel of ['3.10.0-1160.el7', '4.19.0', '5.2.21'])
    t.match(kernelReasons(kernel), [/older than 5\.3/], kernel)
})

/** A root with a libc.so.6 of these bytes. */
function rootWith(t: { testdir(): string }, libc: Uint8Array): string {
  const root = t.testdir()
  mkdirSync(path.join(root, 'usr/lib64'), { recursive: true })
  writeFileSync(path.join(root, 'usr/lib64/libc.so.6'), libc)
  return root
}

function libcOf(version: string, machine = 62): Uint8Array {
  const elf = Buffer.alloc(64)
  elf.writeUInt16LE(machine, 18)
  const words = `GNU C Library (Debian GLIBC ${version}-1) stable release version ${version}.\n`
  return Buffer.concat([elf, Buffer.from(words)])
}

t.test('the C library of a root is found out', async t => {
  t.test('that of this machine will do', async t => t.same(glibcReasons('/'), []))
  t.test('a new one', async t => t.same(glibcReasons(rootWith(t, libcOf('2.34'))), []))
  t.test('an old one', async t =>
    t.match(glibcReasons(rootWith(t, libcOf('2.31'))), [/glibc 2\.31 is older than 2\.34/]),
  )
  t.test('of another machine', async t =>
    t.match(glibcReasons(rootWith(t, libcOf('2.36', 183))), [/not of x86-64/]),
  )
  t.test('something else', async t =>
    t.match(glibcReasons(rootWith(t, Buffer.from('musl'))), [/not of x86-64/]),
  )
  t.test('none', async t => t.match(glibcReasons(t.testdir()), [/no glibc/]))
  t.test('a real one in another place', async t => {
    const root = t.testdir()
    mkdirSync(path.join(root, 'lib64'))
    const libc = ['/lib/x86_64-linux-gnu/libc.so.6', '/lib64/libc.so.6']
    copyFileSync(libc.find(file => existsSync(file)) ?? '', path.join(root, 'lib64/libc.so.6'))
    t.same(glibcReasons(root), [])
  })
})

const MOUNTINFO = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /tmp rw,nosuid,noexec - tmpfs tmpfs rw
31 22 0:26 / /mnt/with\\040blank rw,nosuid - tmpfs tmpfs rw
32 22 0:27 / /tmpfs ro - tmpfs tmpfs ro
33 30 0:28 / /tmp rw,relatime - ext4 /dev/vdb rw
`

t.test('the mount of a path is the last of the longest', async t => {
  t.equal(parseMounts(MOUNTINFO).length, 5)
  t.match(mountOf('/usr/local/bin', MOUNTINFO), { mountPoint: '/', filesystem: 'ext4' })
  t.match(mountOf('/mnt/with blank/x', MOUNTINFO), { mountPoint: '/mnt/with blank' })
  t.match(mountOf('/tmpfs/x', MOUNTINFO), { options: ['ro'] }, 'not /tmp')
  t.match(mountOf('/tmp/x', MOUNTINFO), { filesystem: 'ext4' }, 'the one that hides the other')
})

t.test('who would take the pattern is masked', async t => {
  const root = t.testdir()
  const question = { root, systemdVersion: 252, chainedTo: undefined }
  t.same(rivalsOf(question), ['systemd-coredump.socket'], 'a package may bring it any day')
  t.same(rivalsOf({ ...question, systemdVersion: 262 }), [
    'systemd-coredump.socket',
    'systemd-coredump-register.service',
  ])
  t.same(rivalsOf({ ...question, systemdVersion: undefined }).length, 2, 'an image of whatever age')
  const chainedTo = '|/usr/lib/systemd/systemd-coredump %P %u'
  t.same(rivalsOf({ ...question, chainedTo }), [], 'whom crashes are handed on to')
  mkdirSync(path.join(root, 'etc/init.d'), { recursive: true })
  writeFileSync(path.join(root, 'etc/init.d/apport'), '')
  t.same(rivalsOf(question), ['systemd-coredump.socket', 'apport.service'])
})
