// An S3 server that answers what a test tells it to, and keeps what it was asked.

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { openS3Store } from '../../src/store/s3.ts'
import type { S3StoreOptions } from '../../src/store/s3-client.ts'
import { s3Options, writeCredentials } from './s3-options.ts'

export type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** A server that gives these answers, one a request, and a store on it. */
export async function openScripted(
  t: Test,
  answers: readonly Answer[],
  settings: Partial<S3StoreOptions> = {},
) {
  const left = [...answers]
  const requests: string[] = []
  const server = createServer((request, response) => {
    const answer = left.shift() ?? status(501)
    const body: Buffer[] = []
    request.on('error', () => {})
    request.on('data', (chunk: Buffer) => body.push(chunk))
    request.on('end', () => {
      requests.push(`${request.method} ${request.url!.split('?')[0]} ${Buffer.concat(body).toString()}`)
      answer(request, response)
    })
  }).listen(0, '127.0.0.1')
  const options = { ...(await listening(t, server, 'http')), ...settings }
  const store = await openS3Store(options)
  t.teardown(() => store.close())
  return { store, options, requests, server }
}

export async function listening(
  t: Test,
  server: ReturnType<typeof createServer>,
  scheme: string,
): Promise<S3StoreOptions> {
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const endpoint = `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`
  return s3Options(
    { endpoint, bucket: 'cores' },
    writeCredentials(t, { accessKey: 'OLD', secretKey: 'SECRET' }),
  )
}

export function status(code: number, body = '', headers: Record<string, string> = {}): RequestListener {
  return (_, response) => void response.writeHead(code, headers).end(body)
}

export function error(code: number, name: string): RequestListener {
  return status(code, `<?xml version="1.0"?><Error><Code>${name}</Code><Message>m</Message></Error>`)
}

export function started(id: string): RequestListener {
  return status(
    200,
    `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
  )
}
