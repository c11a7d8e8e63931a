// A container's names from the Docker Engine's own files: <data-root>/containers/<id>/config.v2.json, which it rewrites
// with every change of the container's state. No socket; it stays until the container is removed.
import path from 'node:path'
import { askDocker } from './docker-facts.ts'
import type { DockerReading } from './docker-facts.ts'
import { jsonObject, readRuntimeFile } from './runtime-file.ts'
import type { Source } from './source.ts'

const FILE = 'config.v2.json'

/** Names a container from the Docker Engine's data root. */
export const dockerConfig: Source = {
  name: 'docker-config',
  runtimes: ['docker'],
  ask: ({ containerId }, { dockerRoot }) =>
    askDocker('docker', containerId, id => readConfig(path.join(dockerRoot, 'containers', id), id)),
}

async function readConfig(directory: string, containerId: string): Promise<DockerReading> {
  const file = await readRuntimeFile(directory, FILE)
  if (file === undefined) return { detail: 'no such container in the data root' }
  if ('detail' in file) return file
  const container = jsonObject(file.text)
  if (container?.['ID'] !== containerId) return { detail: `${FILE} does not describe the container` }
  return { container }
}
