// An S3 server in a child process: path-style and virtual-hosted addresses, multipart, ranges, listings. It checks no
// credentials; ceph.ts does.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** A server to test against; the bucket exists. */
export interface S3Server {
  /** `http://127.0.0.1:PORT` */
  readonly endpoint: string
  readonly bucket: string
  readonly accessKey: string
  readonly secretKey: string
  stop(): Promise<void>
}

const BUCKET = 'cores'

/** Starts it on a free port, with one empty bucket. */
export async function startEmbeddedS3(): Promise<S3Server> {
  const program = fileURLToPath(new URL('./s3-embedded-server.mjs', import.meta.url))
  const child = spawn(process.execPath, [program, '0', BUCKET], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const [line] = (await Promise.race([once(createInterface(child.stdout), 'line'), exited])) as unknown[]
  if (typeof line !== 'string') throw new Error('the embedded S3 server did not start')
  const { endpoint } = JSON.parse(line) as { endpoint: string }
  return {
    endpoint,
    bucket: BUCKET,
    accessKey: 'embedded',
    secretKey: 'embedded',
    async stop() {
      child.stdin.end()
      await exited
    },
  }
}
