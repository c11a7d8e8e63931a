// Names of CRI-O's and podman's containers from what both keep on disk, with the library containers/storage: an OCI
// configuration in <dir>/<driver>-containers/<id>/userdata/config.json. What lasts is below its `graphroot`, pid files
// are below its `runroot`; CRI-O writes the configuration to both.
import { lstat, readdir } from 'node:fs/promises'
import path from 'node:path'
import { crioFacts } from './crio-facts.ts'
import { answerOf, CONTAINER_ID } from './forms.ts'
import type { RawFacts } from './forms.ts'
import type { Values } from './kubernetes.ts'
import { podmanFacts } from './podman-facts.ts'
import { isAbsent, jsonObject, objectOf, readCount, readRuntimeFile } from './runtime-file.ts'
import type { Source } from './source.ts'

/** A container's OCI configuration, or why there is none. */
type SpecReading = { readonly spec: Values } | { readonly detail: string }

/** What nearly every node has; other drivers are `vfs`, `btrfs`, `zfs`. */
const OVERLAY = 'overlay-containers'
const DRIVER_DIRECTORY = /^[a-z0-9]+-containers$/

/** Names a container from the directories of containers/storage. */
export const containersStorage: Source = {
  name: 'containers-storage',
  runtimes: ['crio', 'podman'],
  async ask({ containerId }, { containersStorageDirs: storageDirs }) {
    if (!CONTAINER_ID.test(containerId)) return { detail: 'no id that containers/storage gives' }
    const reading = await readSpec(storageDirs, containerId)
    if ('detail' in reading) return reading
    const runtime = runtimeOf(reading.spec, containerId)
    if (runtime === undefined) return { detail: "the configuration's cgroup is neither CRI-O's nor podman's" }

    const annotations = annotationsOf(reading.spec)
    const facts =
      runtime === 'crio'
        ? await crioFacts(annotations, id => readAnnotations(storageDirs, id))
        : await podmanFacts(annotations, containerId, await homesOf(storageDirs, containerId))
    const firstPid = await readFirstPid(storageDirs, containerId)
    return answerOf(runtime, { ...facts, firstPid } satisfies RawFacts, 'annotations')
  },
}

/**
 * Whose the container is. Not by its annotation `io.container.manager`: whoever starts a container may write it, and
 * CRI-O writes a pod's annotations over its own. The cgroup's name is the runtime's word.
 */
function runtimeOf(spec: Values, containerId: string): 'crio' | 'podman' | undefined {
  const cgroup = objectOf(spec['linux'])?.['cgroupsPath']
  if (typeof cgroup !== 'string' || !cgroup.endsWith(containerId)) return undefined
  // `…/crio-<id>`, or for systemd `<slice>:crio:<id>`; podman's below a unit of its own: `libpod-payload-<id>`.
  const prefix = /[/:](crio|libpod|libpod-payload)[-:]$/.exec(cgroup.slice(0, -containerId.length))?.[1]
  return prefix === undefined ? undefined : prefix === 'crio' ? 'crio' : 'podman'
}

async function readSpec(storageDirs: readonly string[], containerId: string): Promise<SpecReading> {
  let reading: SpecReading = { detail: 'no such container in the storage directories' }
  for (const home of await homesOf(storageDirs, containerId)) {
    const file = await readRuntimeFile(home, 'config.json')
    const spec = file && 'text' in file ? jsonObject(file.text) : undefined
    if (spec !== undefined) return { spec }
    if (file !== undefined)
      reading = 'detail' in file ? file : { detail: 'config.json is no OCI configuration' }
  }
  return reading
}

async function readAnnotations(storageDirs: readonly string[], containerId: string): Promise<Values> {
  if (!CONTAINER_ID.test(containerId)) return {}
  const reading = await readSpec(storageDirs, containerId).catch(() => undefined)
  return reading !== undefined && 'spec' in reading ? annotationsOf(reading.spec) : {}
}

const annotationsOf = (spec: Values): Values => objectOf(spec['annotations']) ?? {}

async function readFirstPid(
  storageDirs: readonly string[],
  containerId: string,
): Promise<string | undefined> {
  for (const home of await homesOf(storageDirs, containerId)) {
    const pid = await readCount(home, 'pidfile')
    if (pid !== undefined) return pid
  }
  return undefined
}

/** @returns The container's directories `userdata`, in the order of the storage directories. */
async function homesOf(storageDirs: readonly string[], containerId: string): Promise<string[]> {
  const homes: string[] = []
  for (const storage of storageDirs) {
    const homeBelow = (driver: string) => path.join(storage, driver, containerId, 'userdata')
    const home = homeBelow(OVERLAY)
    const candidates = (await isDirectory(home)) ? [home] : (await otherDrivers(storage)).map(homeBelow)
    for (const candidate of candidates) if (await isDirectory(candidate)) homes.push(candidate)
  }
  return homes
}

async function otherDrivers(storage: string): Promise<string[]> {
  try {
    const names = await readdir(storage)
    return names.filter(name => name !== OVERLAY && DRIVER_DIRECTORY.test(name))
  } catch (error) {
    if (isAbsent(error)) return []
    throw error
  }
}

async function isDirectory(directory: string): Promise<boolean> {
  try {
    return (await lstat(directory)).isDirectory()
  } catch (error) {
    if (isAbsent(error)) return false
    throw error
  }
}
