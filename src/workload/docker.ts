// A container's names from the Docker Engine: GET /containers/<id>/json of its API. The kubelet's names are labels
// there (cri-dockerd); a container without them is a plain one.
import { stat } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { ANSWER_BYTES_MAX, checkNames, podAnswer } from './source.ts'
import type { Source, SourceAnswer } from './source.ts'

/** Every status is an answer: of one that it takes for an error, docker-modem collects the body, whatever its length. */
const EVERY_STATUS = Array.from({ length: 1000 }, () => true)

/** What is read of an answer; nothing says that a field is there or of its type. */
interface Inspection {
  readonly Id?: unknown
  readonly Name?: unknown
  readonly Config?: {
    readonly Image?: unknown
    readonly Labels?: Readonly<Record<string, unknown>> | null
  } | null
}

/** Names a container by asking the Docker Engine. */
export const dockerApi: Source = {
  name: 'docker-api',
  runtime: 'docker',
  async ask(containerId, config, signal) {
    if (!(await isSocket(config.dockerSocket))) return { detail: 'no docker socket' }
    const { status, body } = await inspect(config.dockerSocket, containerId, signal)
    if (status === 404) return { detail: 'the docker engine does not know the container' }
    const inspection = status === 200 ? inspectionOf(body) : undefined
    if (inspection?.Id !== containerId)
      return { detail: `the docker socket gave no usable answer (HTTP ${status})` }
    return namesOf(inspection)
  },
}

async function isSocket(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isSocket()
  } catch {
    return false
  }
}

async function inspect(socketPath: string, containerId: string, signal: AbortSignal) {
  // Loading dockerode takes longer than everything else here together: only a crash that needs it pays for it.
  const { default: Docker } = await import('dockerode')
  // An empty host: DOCKER_HOST of the environment would else outweigh the socket.
  const { modem } = new Docker({ host: '', protocol: 'http', socketPath })
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    // As a stream, which container.inspect() does not offer: it would collect a body of any length.
    const request = {
      path: `/containers/${containerId}/json`,
      method: 'GET',
      isStream: true,
      abortSignal: signal,
      statusCodes: EVERY_STATUS,
    }
    modem.dial(request, (error: Error | null, result: unknown) => {
      if (error) reject(error)
      else resolve(result as IncomingMessage)
    })
  })
  return { status: response.statusCode, body: await readBody(response) }
}

async function readBody(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  // Leaving the loop, also by throwing, destroys the response and its socket.
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > ANSWER_BYTES_MAX)
      throw new Error(`the docker socket's answer is over ${ANSWER_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function inspectionOf(body: Buffer): Inspection | undefined {
  try {
    return (JSON.parse(body.toString('utf8')) as Inspection | null) ?? undefined
  } catch {
    return undefined
  }
}

function namesOf(inspection: Inspection): SourceAnswer {
  const label = (key: string) => inspection.Config?.Labels?.[`io.kubernetes.${key}`]
  const image = inspection.Config?.Image
  if (label('pod.name') !== undefined) {
    const found = checkNames({
      namespace: label('pod.namespace'),
      pod: label('pod.name'),
      podUid: label('pod.uid'),
      container: label('container.name'),
      image,
    })
    return podAnswer(found, 'labels')
  }
  const name = typeof inspection.Name === 'string' ? inspection.Name.replace(/^\//, '') : undefined
  const { names, malformed } = checkNames({ dockerName: name, image })
  if (names.dockerName === undefined)
    return { detail: "the container's name has not the form of docker's names" }
  return {
    names: {
      kind: 'container',
      container: names.dockerName,
      ...(names.image === undefined ? {} : { image: names.image }),
    },
    ...(malformed.length > 0 ? { detail: "the image's name is not printable" } : {}),
  }
}
