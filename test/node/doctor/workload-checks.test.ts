import t from 'tap'
import type { WhoseAnswer } from '../../../src/commands/whose.ts'
import { coreRlimitsCheck, runtimesCheck } from '../../../src/node/doctor/workload-checks.ts'
import type { Tree } from '../tree.ts'
import { examined, fakeNode } from './examining.ts'

t.test('a runtime that keeps its files elsewhere is told with the lines for the configuration', async t => {
  const runtimes = (tree: Tree, config = '') => examined(t, runtimesCheck, fakeNode(t, { tree, config }))
  t.match(await runtimes({}), { result: 'warn', found: /none where the configuration says/ })
  t.match(await runtimes({ '/run/containerd/containerd.sock': '', '/var/lib/docker/x': '' }), {
    result: 'ok',
    found:
      'containerd (/run/containerd), containerd (/run/containerd/containerd.sock), Docker (/var/lib/docker)',
  })
  const k3s: Tree = { '/run/k3s/containerd/containerd.sock': '' }
  t.match(await runtimes(k3s), {
    result: 'warn',
    found: /containerd of k3s or RKE2 is here/,
    fix: /^\[workload\] containerd_state_dir = "\/run\/k3s\/containerd"; containerd_socket = "\/run\/k3s\/containerd\/containerd\.sock" in /,
  })
  const configured =
    '[workload]\ncontainerd_state_dir = "/run/k3s/containerd"\ncontainerd_socket = "/run/k3s/containerd/containerd.sock"\n'
  t.match(await runtimes(k3s, configured), { result: 'ok' })
})

const container = (digit: string) =>
  `0::/kubepods/pod0fa3fa28-0b6c-4a3c-9a0e-2f4b0c1d2e3f/${digit.repeat(64)}\n`
const limits = (soft: string) =>
  `Limit  Soft Limit  Hard Limit  Units\nMax core file size        ${soft.padEnd(20)} unlimited            bytes     \n`

function processes(...softs: readonly string[]): Tree {
  return Object.fromEntries([
    ['/proc/1/cgroup', '0::/init.scope\n'],
    ['/proc/1/limits', limits('0')],
    ...softs.flatMap((soft, index) => [
      [`/proc/${100 + index}/cgroup`, container('abcdef'[index]!)],
      [`/proc/${100 + index}/limits`, limits(soft)],
    ]),
  ])
}

t.test('containers whose processes may leave no core are counted, and some named', async t => {
  const named = async (pid: number) => {
    if (pid === 101) throw new Error('it has ended')
    return {
      place: { namespace: 'shop', pod: `cart-${pid}`, container: 'app' },
      comm: 'cart\n',
    } as WhoseAnswer
  }
  const rlimits = (tree: Tree, config = '') =>
    examined(t, coreRlimitsCheck, fakeNode(t, { tree, config, changes: { whose: named } }))
  t.match(await rlimits(processes()), { result: 'skipped' })
  t.match(await rlimits(processes('unlimited', '1048576')), {
    result: 'ok',
    found: '2 containers, none of them limited',
  })
  t.match(await rlimits(processes('0', '1', 'unlimited')), {
    result: 'warn',
    found: '2 of 3 containers: shop/cart-100 (cart), pid 101',
    fix: /LimitCORE=infinity/,
  })
  t.match(await rlimits(processes('0', '0', '0', '0', '0')), { found: /^5 of 5 containers: .* and 2 more$/ })
})

t.test('where the limit is not honoured, only that of exactly 1 matters', async t => {
  const config = '[capture]\nhonor_core_rlimit = false\n'
  const whose = () => Promise.reject(new Error('gone'))
  const rlimits = (tree: Tree) =>
    examined(t, coreRlimitsCheck, fakeNode(t, { tree, config, changes: { whose } }))
  t.match(await rlimits(processes('0', '4096')), { result: 'ok' })
  t.match(await rlimits(processes('0', '1')), {
    result: 'warn',
    found: '1 of 2 containers: pid 101 (of exactly 1)',
  })
})
