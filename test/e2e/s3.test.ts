// The whole way over S3: a handler with nothing but its configuration, the people's commands from somewhere else.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateBucketCommand } from '@aws-sdk/client-s3'
import t, { type Test } from 'tap'
import { createClient } from '../../src/store/s3-client.ts'
import { cephMissing, startCeph } from '../lab/ceph.ts'
import { noKernelControl, startCrasher, underPattern } from '../lab/kernel.ts'
import { BINARY, compileFixture, makeNode, noBinary, run, sha256OfFile } from '../lab/node.ts'
import { startEmbeddedS3, type S3Server } from '../lab/s3-embedded.ts'
import { s3Options, writeCredentials } from '../store/s3-options.ts'

const unable = noKernelControl() ?? noBinary()

async function embedded(t: Test): Promise<S3Server> {
  const server = await startEmbeddedS3()
  t.teardown(() => server.stop())
  return server
}

async function ceph(t: Test): Promise<S3Server> {
  const directory = mkdtempSync(join(tmpdir(), 'corelift-ceph-'))
  const server = { ...(await startCeph(directory)), bucket: 'cores' }
  t.teardown(async () => {
    await server.stop()
    rmSync(directory, { recursive: true })
  })
  const client = await createClient(s3Options(server, writeCredentials(t, server)))
  await client.send(new CreateBucketCommand({ Bucket: server.bucket }))
  client.destroy()
  return server
}

const SERVERS = [
  ['an embedded S3 server', embedded, undefined],
  ['Ceph RADOS Gateway', ceph, cephMissing()],
] as const
for (const [name, start, missing] of SERVERS) {
  t.test(
    `a crash goes into ${name} in parts, and comes back`,
    { skip: unable ?? missing ?? false, timeout: 300_000 },
    async t => {
      const server = await start(t)
      const credentials = writeCredentials(t, server)
      const url = `s3://${server.bucket}/clusters/test`
      const node = makeNode(
        '',
        `[store]\nurl = "${url}"\nendpoint = "${server.endpoint}"\npath_style = true\nregion = "us-east-1"\ncredentials_file = "${credentials}"`,
      )
      t.teardown(() => node.remove())
      const crasher = compileFixture('crasher', node.dir)
      await underPattern(node.teePattern, () => startCrasher([crasher, '--mib', '48']).ended)

      const laptop = {
        PATH: process.env['PATH'],
        AWS_ACCESS_KEY_ID: server.accessKey,
        AWS_SECRET_ACCESS_KEY: server.secretKey,
        AWS_REGION: 'us-east-1',
        CORELIFT_STORE_ENDPOINT: server.endpoint,
        CORELIFT_STORE_PATH_STYLE: 'true',
      }
      const corelift = (...args: string[]) => run(BINARY, [...args, '--store-url', url], undefined, laptop)
      const crashes = await listed(() => corelift('ls', '--json'))
      t.match(crashes, [{ comm: 'crasher', outcome: 'full', complete: true }])
      t.ok(crashes[0]!.bytesStored > 15 * 2 ** 20, 'the object has several parts')
      const core = join(node.dir, 'core')
      t.match(await corelift('get', crashes[0]!.id, '-o', core), { code: 0 })
      t.equal(await sha256OfFile(core), await sha256OfFile(node.teeFile))
      t.match(await corelift('info', crashes[0]!.id), { code: 0, stdout: /SIGSEGV/ })
    },
  )
}

interface Listed {
  readonly id: string
  readonly bytesStored: number
}

/** The handler goes on for a moment after the crashed process is gone. */
async function listed(list: () => ReturnType<typeof run>): Promise<Listed[]> {
  for (let tries = 0; tries < 300; tries++) {
    const { stdout } = await list()
    if (stdout.trim() !== '[]' && stdout !== '') return JSON.parse(stdout) as Listed[]
    await new Promise(resolve => setTimeout(resolve, 100))
  }
  throw new Error('no crash is listed after half a minute')
}

t.test(
  'a store that refuses costs nothing but time; where nobody else takes the record either, the log says what is lost',
  { skip: noBinary() ?? false },
  async t => {
    const refusing =
      '[store]\nurl = "s3://cores/x"\nendpoint = "http://127.0.0.1:9"\nretry_seconds = 0\ncredentials_file = "$DIR/credentials"'
    const node = makeNode('', refusing)
    t.teardown(() => node.remove())
    const credentials = '[default]\naws_access_key_id = a\naws_secret_access_key = b\n'
    writeFileSync(join(node.dir, 'credentials'), credentials)
    const specifiers = [process.pid, process.pid, 11, 1700000000, 2n ** 64n - 1n, 1, 0, 0, 'vm', ''].map(
      String,
    )
    const { buildCore } = await import('../core/build-core.ts')
    t.match(await node.handle(specifiers, buildCore().whole()), { code: 13, stderr: '' })
    const status = JSON.parse((await node.cli('status', '--json')).stdout) as object
    t.match(status, { spool: null, waiting: [{ outcome: 'record', why: /E_STORE_UNREACHABLE/ }] })

    chmodSync(join(node.dir, 'state'), 0o777)
    const { code, stderr } = await node.handle(specifiers, buildCore().whole())
    t.equal(code, 5)
    t.match(stderr, /crash of pid \d+ \(.*\) by SIGSEGV lost: .*\[E_STORE_/)
  },
)
