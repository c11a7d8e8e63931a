// What podman keeps of a container in files. Names and image are in the index of containers/storage, labels only in
// podman's database. Its pods are none of Kubernetes': podman's container is a plain one.
import { lstat } from 'node:fs/promises'
import path from 'node:path'
import type { RawFacts } from './forms.ts'
import type { Values } from './kubernetes.ts'
import { jsonObject, jsonValue, objectOf, readRuntimeFile } from './runtime-file.ts'

/** The second is of containers that go with the node's next start (`--rm`). */
const INDEXES = ['containers.json', 'volatile-containers.json']
/** Written by the log driver `k8s-file`; that of `journald` has no file. */
const LOG = 'ctr.log'
/** Annotations of podman itself; what is left are people's, and the image's. */
const OWN_ANNOTATION = /^(?:io\.container\.manager$|io\.podman\.|io\.kubernetes\.cri-o\.)/

/**
 * @param annotations - Of the container's OCI configuration.
 * @param homes - The container's directories `userdata`.
 */
export async function podmanFacts(
  annotations: Values,
  containerId: string,
  homes: readonly string[],
): Promise<RawFacts> {
  const entry = await findEntry(containerId, homes)
  const metadata = typeof entry?.['metadata'] === 'string' ? jsonObject(entry['metadata']) : undefined
  const names = entry?.['names']
  return {
    container: (Array.isArray(names) ? (names as unknown[])[0] : undefined) ?? containerId,
    image: metadata?.['image-name'],
    imageDigest: entry?.['image'],
    logPath: await findLog(homes),
    annotations: Object.fromEntries(
      Object.entries(annotations).filter(([name]) => !OWN_ANNOTATION.test(name)),
    ),
  }
}

/** The index lies beside the containers' directories: two levels above `userdata`. */
async function findEntry(containerId: string, homes: readonly string[]): Promise<Values | undefined> {
  for (const home of homes)
    for (const index of INDEXES) {
      const file = await readRuntimeFile(path.dirname(path.dirname(home)), index)
      const entries = file && 'text' in file ? jsonValue(file.text) : undefined
      if (!Array.isArray(entries)) continue
      const entry = entries.map(objectOf).find(entry => entry?.['id'] === containerId)
      if (entry !== undefined) return entry
    }
  return undefined
}

async function findLog(homes: readonly string[]): Promise<string | undefined> {
  for (const home of homes) {
    const log = path.join(home, LOG)
    const stat = await lstat(log).catch(() => undefined)
    if (stat?.isFile()) return log
  }
  return undefined
}
