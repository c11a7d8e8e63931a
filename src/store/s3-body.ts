// The bodies of single requests, as they go over the wire: for what the SDK's own reading and writing leaves out.

import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'

/** A command of the SDK: all that is needed here are the steps that a request takes. */
type Command = { readonly middlewareStack: { add(step: never, options: object): void } }

interface Args {
  readonly request: { body?: unknown; readonly headers: Record<string, string> }
}

interface Result {
  readonly response: { body?: unknown }
}

type Step = (next: (args: Args) => Promise<Result>) => (args: Args) => Promise<Result>

/** @returns What gives the answer's text, after the command was sent. */
export function keepAnswer(command: object): () => string {
  let answer = ''
  const step: Step = next => async args => {
    const result = await next(args)
    const chunks: Buffer[] = []
    for await (const chunk of result.response.body as AsyncIterable<Buffer>) chunks.push(chunk)
    answer = Buffer.concat(chunks).toString()
    result.response.body = Readable.from([answer], { objectMode: false })
    return result
  }
  addStep(command, step, { step: 'deserialize', priority: 'low', name: 'keepAnswer' })
  return () => answer
}

/**
 * Replaces what the SDK wrote, before it is signed. A digest of it goes along: Ceph before 17 and others ask for
 * Content-MD5, where the SDK sends a CRC alone.
 */
export function replaceBody(command: object, replace: (body: string) => string): void {
  const step: Step = next => args => {
    const { request } = args
    const body = replace(String(request.body))
    request.body = body
    request.headers['content-md5'] = createHash('md5').update(body).digest('base64')
    return next(args)
  }
  addStep(command, step, { step: 'build', priority: 'high', name: 'replaceBody' })
}

function addStep(command: object, step: Step, options: object): void {
  ;(command as Command).middlewareStack.add(step as never, options)
}
