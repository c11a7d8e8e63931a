import fc from 'fast-check'
import t from 'tap'
import {
  type DropCause,
  dropsIn,
  type KernelDrop,
  groupDrops,
  GROUPS_MAX,
  isDropLine,
} from '../../src/kernel/drops.ts'
import { type KmsgRecord, readKernelLog } from '../../src/kernel/kmsg-reader.ts'
import { BOOTED_AT, NOW, rawRecord, record, recordsOf, sourceOf } from './kmsg-fixture.ts'

/** Longer after the boot than any of the logs. */
const LATER = BOOTED_AT + 30 * 86_400_000

const logOf = (name: string): readonly KmsgRecord[] =>
  readKernelLog(undefined, isDropLine, sourceOf(recordsOf(name), { now: () => LATER })).records

/** `cause comm pid`, and how many where the kernel tells no more. */
const shown = (drops: readonly KernelDrop[]): string[] =>
  drops.map(({ cause, comm, pid, count }) => `${cause} ${comm} ${pid ?? '-'}${count > 1 ? ` x${count}` : ''}`)

t.test('Linux 6.18: a storm over the limit, a missing handler, and lines that were left out', async t => {
  const drops = dropsIn(logOf('linux-6.18-storm'))
  t.strictSame(shown(drops), [
    'pipe-limit one 11176',
    'pipe-limit one 11177',
    'pipe-limit we(ird) n:x 11180',
    'pipe-limit we(ird) n:x 11181',
    'pipe-limit nl\\nx 11183',
    'pipe-limit we(ird) n:x 11182',
    'pipe-limit nl\\nx 11184',
    'pipe-limit nl\\nx 11185',
    'pipe-limit back\\sl 11186',
    'pipe-limit back\\sl 11187',
    'pipe-failed gone 11200',
    'pipe-failed gone2 11202',
    'pipe-limit  - x4',
    'pipe-limit late2 11215',
    'pipe-limit late 11211',
    'pipe-limit late 11213',
    'pipe-limit late2 11217',
    'pipe-limit late2 11218',
  ])
  t.strictSame(drops[12]!.time, drops[9]!.time, 'those left out are as old as the last line of their kind')
  t.equal(drops[12]!.sequence, 19034)
})

t.test(
  'Linux 4.18: no name where the handler failed, and "Skipping core dump" is no crash of its own',
  async t => {
    t.strictSame(shown(dropsIn(logOf('linux-4.18-storm'))), [
      'pipe-failed  -',
      'pipe-failed  -',
      'pipe-limit vasp_std 2216944',
      'pipe-failed  -',
      'pipe-limit vasp_std 2216934',
      'pipe-limit vasp_std 2216918',
      'pipe-limit vasp_std 2216926',
    ])
  },
)

t.test('Linux 6.7 with callers', async t => {
  t.strictSame(shown(dropsIn(logOf('linux-6.7-caller'))), [
    'pipe-limit repro 786',
    ...Array<string>(4).fill('pipe-failed  -'),
  ])
})

t.test('Linux 6.12: lines left out count as the line that follows them', async t => {
  t.strictSame(shown(dropsIn(logOf('linux-6.12-reports'))), [
    'pipe-failed web 41',
    'pipe-failed web 42',
    'pipe-failed web 43',
    'pipe-failed  - x3',
    'pipe-failed web 46',
    'pipe-limit  - x5',
    'pipe-limit web 47',
    'pipe-limit  - x2',
  ])
})

t.test('lines of something else are no crashes, whatever is in them', async t => {
  for (const text of [
    'show_signal_msg: 90 callbacks suppressed',
    'net_ratelimit: 3 callbacks suppressed',
    'x coredump_pipe: 3 callbacks suppressed',
    'coredump_pipe: 3 callbacks suppressed x',
    'coredump: 1(x): over core_pipe_limit, skipping core dump x',
    'x coredump: 1(x): over core_pipe_limit, skipping core dump',
    'Pid 1(x) over core_pipe_limit x',
    'coredump: 1(x): |x pipe failed x',
  ]) {
    t.strictSame(dropsIn([record(text)]), [], text)
  }
})

const WORDINGS: readonly {
  cause: DropCause
  since612: boolean
  text: (pid: number, comm: string) => string
}[] = [
  { cause: 'pipe-limit', since612: false, text: (pid, comm) => `Pid ${pid}(${comm}) over core_pipe_limit` },
  {
    cause: 'pipe-limit',
    since612: true,
    text: (pid, comm) =>
      `coredump: ${pid}(${escapedByKernel(comm)}): over core_pipe_limit, skipping core dump`,
  },
  {
    cause: 'pipe-failed',
    since612: true,
    text: (pid, comm) => `coredump: ${pid}(${escapedByKernel(comm)}): |/usr/local/bin/corelift pipe failed`,
  },
]

/** %*pE, lib/string_helpers.c (ESCAPE_ANY_NP); isprint of lib/ctype.c knows Latin-1. */
function escapedByKernel(comm: string): string {
  const named = new Map([...'\n\r\t\v\f\x1b\x07'].map((byte, at) => [byte, `\\${'nrtvfea'[at]}`]))
  return comm.replaceAll(
    /[^\x20-\x7e\xa0-\xff]/g,
    byte => named.get(byte) ?? `\\${byte.charCodeAt(0).toString(8).padStart(3, '0')}`,
  )
}

/** A comm as bytes, a character each: up to 15, none of them NUL; with what would end the name, or begin another line. */
const anyComm = fc
  .oneof(
    fc.uint8Array({ min: 1, maxLength: 15 }).map(bytes => Buffer.from(bytes).toString('latin1')),
    fc
      .array(
        fc.constantFrom('(', ')', '): ', '): |', ' over ', '\n', '\\', '4,1,', ';', 'Pid 1(', 'coredump: 1('),
      )
      .map(parts => parts.join('')),
    fc.string({ unit: 'grapheme' }).map(text => Buffer.from(text).toString('latin1').replaceAll('\0', '')),
  )
  .map(comm => comm.slice(0, 15))
const anyPid = fc.integer({ min: 1, max: 4_194_304 })

t.test('whatever a crashed process is called, its crash counts once, and under its name', async t => {
  fc.assert(
    fc.property(fc.constantFrom(...WORDINGS), anyComm, anyPid, ({ cause, since612, text }, comm, pid) => {
      const { records } = readKernelLog(undefined, isDropLine, sourceOf([rawRecord(1, text(pid, comm))]))
      const name = Buffer.from(comm, 'latin1').toString('utf8')
      const told = since612 && /[^\x20-\x7e\xa0-\xff]/.test(comm) && !isPlainText(name) ? undefined : name
      const drops = dropsIn(records)
      t.match(drops, [{ cause, pid, count: 1, ...(told !== undefined && { comm: told }) }])
      t.equal(drops.length, 1)
    }),
    { numRuns: 2000 },
  )
})

/** Text of more than ASCII that the kernel's escapes leave whole. */
const isPlainText = (name: string): boolean => !/[\x00-\x1f\x7f-\x9f\ufffd\\]/.test(name)

t.test('only the kernel can say that it dropped a crash', async t => {
  fc.assert(
    fc.property(
      fc.constantFrom(...WORDINGS),
      anyComm,
      fc.integer({ min: 8, max: 1023 }),
      ({ text }, comm, priority) => {
        const lines = [text(1, comm), 'coredump_pipe: 9 callbacks suppressed']
        const source = sourceOf(lines.map((line, n) => rawRecord(n, line, { priority })))
        const { records } = readKernelLog(undefined, () => true, source)
        t.strictSame(dropsIn(records), [])
        t.notOk(records.some(isDropLine))
      },
    ),
  )
})

t.test('a name in another line of the kernel is no dropped crash', async t => {
  const parts = fc
    .array(
      fc.constantFrom(
        ...[
          'coredump: 1(',
          'coredump_x: 9 ',
          'Pid 1(',
          'Core dump to |',
          ')',
          '): ',
          '): |',
          ' over core_pipe_limit',
        ],
        ...[', skipping core dump', ' pipe failed', ' callbacks suppressed', ' disabled', '\n', 'x'],
      ),
      { maxLength: 6 },
    )
    .map(words => words.join(''))
  const address = '000055dcbb717262'
  fc.assert(
    fc.property(parts, parts, (comm, file) => {
      const segfault = `${comm.slice(0, 15)}[1]: segfault at 0 ip ${address} sp ${address} error 4 in ${file}[1262,${address}+1000] likely on CPU 0 (core 0, socket 0)`
      const oom = `Out of memory: Killed process 1 (${comm.slice(0, 15)}) total-vm:1kB`
      t.strictSame(dropsIn([record(segfault), record(oom)]), [])
    }),
    { numRuns: 2000 },
  )
})

const drop = (comm: string, changes: Partial<KernelDrop> = {}): KernelDrop => ({
  ...{ cause: 'pipe-limit', comm, pid: 1, time: new Date(NOW), sequence: 1, count: 1 },
  ...changes,
})

t.test('crashes of the same cause and name are one group, from the first to the last of them', async t => {
  const [early, late] = [new Date(NOW - 5000), new Date(NOW)]
  const groups = groupDrops([
    drop('web', { sequence: 3, time: late }),
    drop('web', { sequence: 4, time: early, count: 5 }),
    drop('web', { sequence: 5, cause: 'pipe-failed' }),
    drop('db', { sequence: 2, time: late }),
  ])
  t.strictSame(groups, [
    { cause: 'pipe-limit', comm: 'db', count: 1, first: late, last: late, sequence: 2 },
    { cause: 'pipe-limit', comm: 'web', count: 6, first: early, last: late, sequence: 3 },
    { cause: 'pipe-failed', comm: 'web', count: 1, first: late, last: late, sequence: 5 },
  ])
  t.strictSame(groupDrops([]), [])
})

t.test('made-up names do not hide one that crashes more often', async t => {
  const names = Array.from({ length: 500 }, (_, n) => drop(`made-up ${n}`, { sequence: n }))
  const groups = groupDrops([
    ...names,
    ...[1, 2].map(n => drop('web', { sequence: 500 + n, cause: 'pipe-failed' })),
  ])
  t.match(
    groups.find(({ comm }) => comm === 'web'),
    { cause: 'pipe-failed', count: 2 },
  )
  t.match(
    groups.find(({ comm }) => comm === ''),
    { cause: 'pipe-limit', count: 500 - (GROUPS_MAX - 3) },
  )
})

t.test('however many names there are, no crash is lost, and the groups are few', async t => {
  const anyDrop = fc
    .record({
      cause: fc.constantFrom<DropCause>('pipe-limit', 'pipe-failed'),
      comm: fc.integer({ min: 0, max: 60 }).map(n => (n === 0 ? '' : `program ${n}`)),
      time: fc.date({ min: new Date(0), max: new Date(NOW), noInvalidDate: true }),
      sequence: fc.nat(),
      count: fc.integer({ min: 1, max: 1000 }),
    })
    .map(changes => drop('', changes))
  const total = (of: readonly { cause: DropCause; count: number }[], cause: DropCause): number =>
    of.reduce((sum, each) => sum + (each.cause === cause ? each.count : 0), 0)
  fc.assert(
    fc.property(fc.array(anyDrop, { maxLength: 200, size: 'max' }), drops => {
      const groups = groupDrops(drops)
      t.ok(groups.length <= GROUPS_MAX)
      t.equal(new Set(groups.map(({ cause, comm }) => `${cause} ${comm}`)).size, groups.length)
      t.ok(groups.every(({ first, last }) => first <= last))
      for (const cause of ['pipe-limit', 'pipe-failed'] as const)
        t.equal(total(groups, cause), total(drops, cause))
    }),
  )
})
