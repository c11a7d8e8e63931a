// Calls of the Container Runtime Interface over a runtime's socket. Only cri.ts loads this, when it is needed: gRPC takes
// longer to load than all files together take to read.
import { Client, credentials, status } from '@grpc/grpc-js'
import type { ClientOptions } from '@grpc/grpc-js'
import { CALLS, decode } from './cri-proto.ts'
import { ANSWER_BYTES_MAX } from './forms.ts'
import type { Values } from './kubernetes.ts'
import { objectOf } from './runtime-file.ts'

const SERVICE = '/runtime.v1.RuntimeService'

const OPTIONS: ClientOptions = {
  'grpc.max_receive_message_length': ANSWER_BYTES_MAX,
  // A connection that fails is an answer; the pool would keep it for others, who do not come.
  'grpc.enable_retries': 0,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.service_config_disable_resolution': 1,
  // Statistics that nobody asks for.
  'grpc.enable_channelz': 0,
}

export type About = keyof typeof CALLS

export interface CriClient {
  /**
   * Asks about one id.
   * @param verbose - With `info`, texts of the runtime's own choice: more work for it.
   * @returns undefined where the runtime does not know it.
   * @throws Error in plain words: what the runtime says of an error is not repeated.
   */
  readonly ask: (about: About, id: string, verbose?: boolean) => Promise<Values | undefined>
  readonly close: () => void
}

/** @param signal - Ends calls that are not answered yet. */
export function connectCri(socketPath: string, signal: AbortSignal): CriClient {
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure(), OPTIONS)
  const ask = (about: About, id: string, verbose = false) =>
    new Promise<Values | undefined>((resolve, reject) => {
      const call = CALLS[about]
      const unary = client.makeUnaryRequest<string, Values>(
        `${SERVICE}/${call.method}`,
        id => Buffer.from(call.request(id, verbose)),
        bytes => decode(call.answer, bytes),
        id,
        (error, answer) => {
          signal.removeEventListener('abort', cancel)
          if (error?.code === status.NOT_FOUND) resolve(undefined)
          else if (error) reject(new Error(`${call.method}: ${status[error.code] ?? 'no gRPC'}`))
          else resolve(checked(answer, id))
        },
      )
      const cancel = () => unary.cancel()
      signal.addEventListener('abort', cancel, { once: true })
      if (signal.aborted) cancel()
    })
  return { ask, close: () => client.close() }
}

/** What an answer says, if it is about the id that was asked for. */
function checked(answer: Values | undefined, id: string): Values | undefined {
  const it = objectOf(answer?.['it'])
  if (it?.['id'] !== id) return undefined
  return answer?.['info'] === undefined ? it : { ...it, info: answer['info'] }
}
