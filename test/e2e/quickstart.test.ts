// The README's first command, to its end and interrupted.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { noKernelControl } from '../lab/kernel.ts'
import { BINARY, noBinary, run } from '../lab/node.ts'
import { startEmbeddedS3 } from '../lab/s3-embedded.ts'

const QUICKSTART = join(import.meta.dirname, '..', '..', 'scripts', 'quickstart')
const skip = noKernelControl() ?? noBinary() ?? false

/** @param interruptAt - Text after which the whole process group gets SIGINT, as from a terminal. */
async function quickstart(
  interruptAt?: string,
  env?: NodeJS.ProcessEnv,
): Promise<{ code: number | null; output: string }> {
  const child = spawn(QUICKSTART, {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    env: { ...process.env, ...env },
  })
  let output = ''
  const take = (chunk: Buffer): void => {
    output += chunk.toString('utf8')
    if (interruptAt !== undefined && output.includes(interruptAt)) {
      interruptAt = undefined
      process.kill(-child.pid!, 'SIGINT')
    }
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, output }
}

t.test('quickstart shows a real crash, from the kernel to gdb', { skip }, async t => {
  const { code, output } = await quickstart()
  t.equal(code, 0, output)
  t.match(output, /== corelift ls\n.*TIME.*\n.*SIGSEGV +crasher +full/)
  t.match(output, /#0 +crash_here.*\n(.*\n)*#1 .*middle/)
})

t.test('quickstart takes the store that the environment names', { skip }, async t => {
  const server = await startEmbeddedS3()
  t.teardown(() => server.stop())
  const directory = mkdtempSync('/dev/shm/cl-quickstart-')
  t.teardown(() => rmSync(directory, { recursive: true }))
  const aws = {
    AWS_ENDPOINT_URL: server.endpoint,
    AWS_ACCESS_KEY_ID: server.accessKey,
    AWS_SECRET_ACCESS_KEY: server.secretKey,
    AWS_REGION: 'us-east-1',
  }
  for (const url of [`s3://${server.bucket}/somewhere`, `file://${directory}`]) {
    const { code, output } = await quickstart(undefined, { ...aws, CORELIFT_STORE_URL: url })
    t.equal(code, 0, output)
    t.notMatch(output, /embedded S3 server/)
    const { stdout } = await run(BINARY, ['ls', '--json'], undefined, {
      ...process.env,
      ...aws,
      CORELIFT_STORE_URL: url,
    })
    t.match(JSON.parse(stdout), [{ comm: 'crasher', complete: true }], url)
  }
})

t.test('quickstart restores the kernel’s settings when it is interrupted', { skip }, async t => {
  const { code, output } = await quickstart('%P %I %s')
  t.equal(code, 130, output)
  t.notMatch(output, /== Done/)
  const [, handler] = /\|(\S+)\/corelift handle/.exec(output)!
  // Another test may hold the pattern by now: what counts is that this handler does not.
  t.notMatch(readFileSync('/proc/sys/kernel/core_pattern', 'utf8'), handler!)
  t.notOk(existsSync(handler!), 'nothing is left behind')
})
