import t from 'tap'
import { whose } from '../../src/commands/whose.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { ResolveDeps } from '../../src/workload/resolve.ts'

const { config } = loadConfig({ searched: [], env: { CORELIFT_NODE_NAME: 'node-17' } })
const deps: ResolveDeps = {
  sources: { files: [], sockets: [] },
  readCgroup: async () => undefined,
  userName: uid => `user-${uid}`,
}

t.test(
  'a live process has an answer with its name, its cgroup, and where its crash would be found',
  async t => {
    const answer = await whose(String(process.pid), config, deps)
    t.match(answer, { pid: process.pid, comm: 'node', policy: { capture: 'full' } })
    t.match(answer.cgroup, /^\d+:/)
    t.equal(answer.workload.sources[0]!.answered, true)
    if (answer.workload.kind === 'host') {
      t.equal(answer.workload.user, `user-${process.getuid!()}`)
      t.match(answer.place, { namespace: '_host', pod: 'node-17' })
    }
  },
)

t.test('what is no pid, or no process’s, is an error with advice', async t => {
  for (const text of ['', '0', '-1', '1x', '../1', '12345678901', 'self'])
    await t.rejects(whose(text, config, deps), { code: 'E_USAGE', hint: /the pid as the host sees it/ })
  await t.rejects(whose('4194305', config, deps), {
    code: 'E_PROCESS_UNKNOWN',
    exitCode: 3,
    hint: /not the one inside the container/,
  })
})
