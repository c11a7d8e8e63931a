// Crashes as the tools of systemd-coredump show them, on a node that has them: the journal and coredumpctl are the real ones.
import t from 'tap'
import { bootInstallNode, buildInstallTree, NEW_BINARY, STORE_DIR } from '../lab/install-node.ts'
import type { InstallNode } from '../lab/install-node.ts'
import { noKernelControl, underPattern } from '../lab/kernel.ts'
import { noBinary } from '../lab/node.ts'
import { whyNoNspawn } from '../lab/nspawn.ts'

const skip = noKernelControl() ?? noBinary() ?? whyNoNspawn(['nsenter', 'python3']) ?? false
const CONFIG = '/root/c.toml'
/** A comm that would turn a terminal red, and ends a line. */
const HOSTILE_COMM = String.raw`a\033[31m\nb`

t.test('a node whose people use coredumpctl', { skip }, async t => {
  const node = await bootInstallNode(t, await buildInstallTree(t))
  await node.sh(
    `printf '[store]\\nurl = "file://${STORE_DIR}"\\n[capture]\\nenviron = ["GREETING"]\\n' >${CONFIG}`,
  )
  await node.sh(`${NEW_BINARY} install --no-canary --config ${CONFIG}`)
  await underPattern(node.pattern, async () => {
    await node.sh(
      `systemd-run --quiet --wait -u shop.service -p LimitCORE=infinity -E GREETING=hello -E SECRET=no ` +
        `sh -c 'kill -s SEGV $$$$' || true`,
    )
    await node.sh(
      `sh -c 'ulimit -c unlimited; printf "${HOSTILE_COMM}" >/proc/self/comm; kill -s ABRT $$' || true`,
    )
  })
  await t.test('lists them', t => lists(t, node))
  await t.test('tells who it was, with the stack and where the core is', t => tells(t, node))
  await t.test('opens the core of a file store', () => opens(node))
  await t.test('has what /proc said in the journal, and of the environment what may be kept', t =>
    fields(t, node),
  )
  await t.test('what a process calls itself does not reach a terminal as it is', t => hostile(t, node))
})

type Asserts = Pick<typeof t, 'equal' | 'match' | 'notMatch' | 'ok'>

async function lists(t: Asserts, node: InstallNode): Promise<void> {
  const listed: unknown = JSON.parse(
    await node.sh('coredumpctl list --json=short COREDUMP_UNIT=shop.service'),
  )
  t.match(listed, [{ sig: 11, uid: 0, gid: 0, corefile: 'present', exe: /\/(da)?sh$/ }])
}

async function tells(t: Asserts, node: InstallNode): Promise<void> {
  const info = await node.sh('coredumpctl info COREDUMP_UNIT=shop.service')
  const stored = await node.sh('corelift ls --json --comm sh')
  const [{ id } = { id: '' }] = JSON.parse(stored) as { id: string }[]
  t.match(info, /^ +Signal: 11 \(SEGV\)$/m)
  t.match(info, /^ +Unit: shop\.service$/m)
  t.match(info, /^ +Slice: system\.slice$/m)
  t.match(info, /^ +Control Group: \/.*shop\.service$/m)
  t.match(info, /^ +Command Line: \S*sh -c/m)
  t.match(info, /^ +Message: crash of pid \d+ \(sh\) by SIGSEGV in _host\//m)
  t.ok(info.includes(`corelift debug ${id}\n`))
  t.match(info, new RegExp(`^ +file://${STORE_DIR}/crashes/\\S+/${id}/core\\.zst$`, 'm'))
  t.match(info, /Stack trace of thread \d+:\n +#0 +0x[0-9a-f]{16} \S+ \(\S+ \+ 0x[0-9a-f]+\)\n/)
}

async function opens(node: InstallNode): Promise<void> {
  await node.sh('coredumpctl dump -o /root/theirs COREDUMP_UNIT=shop.service')
  await node.sh(
    'corelift get --full -o /root/ours "$(journalctl -o cat --output-fields=CORELIFT_ID COREDUMP_UNIT=shop.service)"',
  )
  await node.sh('cmp /root/theirs /root/ours')
}

async function fields(t: Asserts, node: InstallNode): Promise<void> {
  const [pid] = (
    await node.sh('journalctl -o cat --output-fields=COREDUMP_PID COREDUMP_UNIT=shop.service')
  ).split('\n')
  const entry = await node.sh('journalctl -o export --all COREDUMP_UNIT=shop.service')
  t.match(entry, /^CORELIFT_OUTCOME=full$/m)
  t.match(entry, /^COREDUMP_RLIMIT=18446744073709551615$/m)
  t.match(entry, /^COREDUMP_TIMESTAMP=\d{16}$/m)
  t.ok(entry.includes(`Pid:\t${pid}\n`), 'COREDUMP_PROC_STATUS')
  t.match(entry, /libc\.so\.6$/m, 'COREDUMP_PROC_MAPS')
  t.match(entry, /0:\/dev\/null\npos:/, 'COREDUMP_OPEN_FDS')
  t.match(entry, /GREETING=hello/)
  t.notMatch(entry, /SECRET=/)
}

async function hostile(t: Asserts, node: InstallNode): Promise<void> {
  const shown = await node.sh('coredumpctl info COREDUMP_SIGNAL=6')
  t.notMatch(shown, '\u001b')
  t.ok(shown.includes(String.raw`a\x1b[31m\nb`))
}
