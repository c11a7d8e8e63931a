import t from 'tap'
import { coredumpEntry } from '../../src/handle/coredump-entry.ts'
import type { CrashRecord } from '../../src/handle/record.ts'
import { encodeJournalEntry } from '../../src/kernel/journal.ts'
import type { ProcessFacts } from '../../src/kernel/procfs.ts'
import { crashKeys } from '../../src/store/keys.ts'

const MIB = 1024 * 1024
/** net.core.wmem_default, less what unix(7) sockets keep for themselves. */
const DATAGRAM_BYTES_MAX = 212_992 - 32

const PROCESS: ProcessFacts = {
  files: { comm: Buffer.from('cart\n'), cmdline: Buffer.from('cart\0--all\0') },
  links: { exe: Buffer.from('/bin/cart') },
  openFiles: [],
  threadComm: Buffer.from('worker-1\n'),
  environ: [],
  containerCmdline: undefined,
  stat: undefined,
  cut: [],
}

const RECORD: CrashRecord = {
  id: '20231114T221320Z-04ac62b2a536',
  node: 'node-17',
  crash: {
    ...{ pid: 4711, tid: 4712, signal: 11, timeSeconds: 1_700_000_000, coreRlimitBytes: 2n ** 64n - 1n },
    ...{ dumpable: 1, uid: 1000, gid: 1000, hostname: 'cart-0', pidfd: undefined },
  },
  reading: { state: 'read', pidfd: 'absent', process: PROCESS },
  workload: { kind: 'host', unit: 'cart.service', slice: 'system.slice', sources: [] },
  place: { namespace: '_host', pod: 'node-17', container: 'cart.service' },
  policy: { capture: 'full', coreBytesMax: 1, rate: { cores: 1, seconds: 1 }, from: {} } as never,
  head: {} as never,
  outcome: 'record',
  core: null,
  mini: null,
  reduction: { reason: 'policy', text: 'as policy.rules[1] says' },
  signature: undefined,
  stacks: undefined,
  files: undefined,
  kit: null,
  durations: {},
  warnings: [],
  version: '0',
}
const KEPT = {
  committed: { state: 'stored' },
  keys: crashKeys('crashes/_host/node-17/1/'),
  storeUrl: 's3://b/p/',
} as const

const processIn = (more: Partial<ProcessFacts>): CrashRecord => ({
  ...RECORD,
  reading: { state: 'read', pidfd: 'absent', process: { ...PROCESS, ...more } },
})

t.test('a record has what coredumpctl needs, and no file', async t => {
  const { essential } = coredumpEntry(RECORD, 'the line', KEPT)
  t.match(essential, {
    MESSAGE_ID: 'fc2e22bc6ee647b6b90729ab34a250b1',
    MESSAGE: /^the line\n\ns3:\/\/b\/p\/crashes\/_host\/node-17\/1\/manifest\.json\ncorelift info \S+$/,
    COREDUMP_PID: 4711,
    COREDUMP_UID: 1000,
    COREDUMP_GID: 1000,
    COREDUMP_SIGNAL: 11,
    COREDUMP_COMM: 'cart',
    COREDUMP_CMDLINE: 'cart --all',
    COREDUMP_TIMESTAMP: '1700000000000000',
    COREDUMP_UNIT: 'cart.service',
    COREDUMP_THREAD_NAME: 'worker-1',
    CORELIFT_REASON: 'policy',
  })
  t.notOk('COREDUMP_FILENAME' in essential)
})

t.test('the core of a file store is a file, unless it waits for a sweep', async t => {
  const core = { complete: false } as CrashRecord['core']
  const local = { ...KEPT, storeUrl: 'file:///mnt/cores/' }
  const record = { ...RECORD, core, outcome: 'full' } as const
  t.match(coredumpEntry(record, '', local).essential, {
    COREDUMP_FILENAME: '/mnt/cores/crashes/_host/node-17/1/core.zst',
    COREDUMP_TRUNCATED: 1,
  })
  const spooled = { ...local, committed: { state: 'spooled', why: '' } } as const
  t.notOk('COREDUMP_FILENAME' in coredumpEntry(record, '', spooled).essential)
})

t.test('a process whose /proc is gone is told of by what the kernel said', async t => {
  const reading = { state: 'refused', pidfd: 'absent', detail: 'gone' } as const
  const { essential, details } = coredumpEntry({ ...RECORD, reading }, '', KEPT)
  t.match(essential, { COREDUMP_PID: 4711, COREDUMP_COMM: '' })
  t.same(details, {})
})

t.test('however much a process has of everything, its entry fits into a datagram', async t => {
  const much = Buffer.alloc(8 * MIB, 'x y\n')
  const stacks = {
    modules: [{ path: `/${'m'.repeat(4000)}` }],
    threads: [
      {
        tids: [1],
        frames: Array.from({ length: 64 }, () => ({
          pc: '1',
          module: 0,
          offset: '1',
          function: 'f'.repeat(513),
        })),
      },
    ],
  } as unknown as CrashRecord['stacks']
  const record = processIn({
    files: Object.fromEntries(
      ['comm', 'cmdline', 'status', 'stat', 'limits', 'cgroup', 'mountinfo', 'maps', 'auxv'].map(name => [
        name,
        much,
      ]),
    ),
    links: { exe: much, cwd: much, root: much },
    openFiles: Array.from({ length: 512 }, (_, fd) => ({
      fd,
      target: much.subarray(0, 4096),
      info: much.subarray(0, 4096),
    })),
    threadComm: much.subarray(0, 1024),
    environ: [['A', much]],
    containerCmdline: much,
  })
  const { essential, details } = coredumpEntry(
    { ...record, stacks, signature: 's'.repeat(9999) },
    'l'.repeat(5000),
    KEPT,
  )
  const bytes = encodeJournalEntry({ ...essential, ...details }).length
  t.ok(bytes < DATAGRAM_BYTES_MAX, String(bytes))
  t.match(details['COREDUMP_PROC_MAPS']?.toString().at(-1), '\n', 'whole lines')
})

t.test('what is printed as it is, is printable', async t => {
  const evil = Buffer.from('\u001b[31m\n\u202eevil')
  const record = processIn({
    files: { comm: evil, cmdline: evil, cgroup: Buffer.from('1:cpu:/a\n3:name=systemd:/b\u001b\n0::/\n') },
    links: { exe: evil, cwd: evil, root: evil },
    threadComm: evil,
    containerCmdline: evil,
  })
  const { essential } = coredumpEntry(record, 'line', KEPT)
  for (const [name, value] of Object.entries(essential))
    if (name !== 'MESSAGE') t.notMatch(String(value), /[\p{Cc}\u202e]/u, name)
  t.equal(essential['COREDUMP_CGROUP'], String.raw`/b\x1b`)
})
