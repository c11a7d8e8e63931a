// A container's names from the Docker Engine, or from podman in its place: GET /containers/<id>/json of its API.
import type { IncomingMessage } from 'node:http'
import { askDocker } from './docker-facts.ts'
import type { DockerReading } from './docker-facts.ts'
import { ANSWER_BYTES_MAX } from './forms.ts'
import { jsonObject } from './runtime-file.ts'
import { isSocket } from './socket.ts'
import type { Source } from './source.ts'

/** Every status is an answer: of one that it takes for an error, docker-modem collects the body, whatever its length. */
const EVERY_STATUS = Array.from({ length: 1000 }, () => true)

/** Names a container by asking the Docker Engine. */
export const dockerApi: Source = {
  name: 'docker-api',
  runtimes: ['docker'],
  ask: ({ containerId }, { dockerSocket }, signal) => askSocket('docker', dockerSocket, containerId, signal),
}

/** Names a container by asking podman's API service. */
export const podmanApi: Source = {
  name: 'podman-api',
  runtimes: ['podman'],
  ask: ({ containerId }, { podmanSocket }, signal) => askSocket('podman', podmanSocket, containerId, signal),
}

async function askSocket(
  runtime: 'docker' | 'podman',
  socketPath: string,
  containerId: string,
  signal: AbortSignal,
) {
  if (!(await isSocket(socketPath))) return { detail: `no ${runtime} socket` }
  return askDocker(runtime, containerId, id => inspect(runtime, socketPath, id, signal))
}

async function inspect(
  runtime: 'docker' | 'podman',
  socketPath: string,
  containerId: string,
  signal: AbortSignal,
): Promise<DockerReading> {
  const response = await request(socketPath, `/containers/${containerId}/json`, signal)
  const body = await readBody(response)
  const status = response.statusCode
  if (status === 404) return { detail: `${runtime} does not know the container` }
  const container = status === 200 ? jsonObject(body.toString('utf8')) : undefined
  if (container?.['Id'] !== containerId)
    return { detail: `the ${runtime} socket gave no usable answer (HTTP ${status})` }
  return { container }
}

async function request(socketPath: string, path: string, signal: AbortSignal): Promise<IncomingMessage> {
  // Loading dockerode takes longer than everything else here together: only a crash that needs it pays for it.
  const [{ default: Docker }, { Agent }] = await Promise.all([import('dockerode'), import('node:http')])
  // Not Node's global agent: it gives the next request the same connection, also one that the other side is about to
  // close, and a header `Connection: close` does not keep it from that. docker-modem's types leave the option out.
  const agent = new Agent({ keepAlive: false })
  // An empty host: DOCKER_HOST of the environment would else outweigh the socket.
  const options = { host: '', protocol: 'http' as const, socketPath, agent }
  const { modem } = new Docker(options)
  return new Promise((resolve, reject) => {
    // As a stream, which container.inspect() does not offer: it would collect a body of any length.
    const request = { path, method: 'GET', isStream: true, abortSignal: signal, statusCodes: EVERY_STATUS }
    modem.dial(request, (error: Error | null, result: unknown) => {
      if (error) reject(error)
      else resolve(result as IncomingMessage)
    })
  })
}

async function readBody(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  // Leaving the loop, also by throwing, destroys the response and its socket.
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > ANSWER_BYTES_MAX) throw new Error(`the socket's answer is over ${ANSWER_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
