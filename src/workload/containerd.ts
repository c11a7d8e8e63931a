// A pod's names from the bundle that containerd keeps of a running container: its config.json (OCI runtime
// specification, "annotations") carries what the CRI plugin knew. One small file, no socket; it stays for as long
// as the crashed process is not reaped.
import { constants } from 'node:fs'
import { lstat, open, readdir } from 'node:fs/promises'
import path from 'node:path'
import { ANSWER_BYTES_MAX, checkNames, podAnswer, SANDBOX_CONTAINER } from './source.ts'
import type { Source, SourceAnswer } from './source.ts'

/** The v2 runtime plugin's directory: <state>/io.containerd.runtime.v2.task/<namespace>/<id>, in containerd 1.3 to 2. */
const TASKS = 'io.containerd.runtime.v2.task'
/** containerd's namespace of all that came through the CRI. */
const CRI_NAMESPACE = 'k8s.io'

/** Names a container from containerd's state directory. */
export const containerdBundle: Source = {
  name: 'containerd-bundle',
  runtime: 'containerd',
  async ask(containerId, config) {
    const tasks = path.join(config.containerdStateDir, TASKS)
    const namespaces = await namespacesOf(tasks)
    if (namespaces === undefined) return { detail: 'no containerd state directory' }

    let answer: SourceAnswer = { detail: 'no bundle of this container' }
    for (const namespace of namespaces) {
      const text = await readConfig(path.join(tasks, namespace, containerId))
      if (text === undefined) continue
      answer = 'detail' in text ? text : namesOf(text.json)
      if (answer.names !== undefined) return answer
    }
    return answer
  },
}

/** The CRI's namespace first; others (`default`, `moby`) where a runtime was set up differently. */
async function namespacesOf(tasks: string): Promise<string[] | undefined> {
  try {
    const entries = await readdir(tasks, { withFileTypes: true })
    const names = entries.filter(entry => entry.isDirectory()).map(entry => entry.name)
    return names.sort((a, b) => Number(b === CRI_NAMESPACE) - Number(a === CRI_NAMESPACE))
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

/**
 * Reads a bundle's config.json, if the bundle is a directory and this a regular file in it: neither a symbolic link
 * that leads out of the state directory nor a FIFO that blocks (apport's CVE-2021-25684).
 */
async function readConfig(bundle: string): Promise<{ json: string } | { detail: string } | undefined> {
  try {
    if (!(await lstat(bundle)).isDirectory()) return { detail: 'the bundle is no directory' }
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
    await using file = await open(path.join(bundle, 'config.json'), flags)
    const stat = await file.stat()
    if (!stat.isFile()) return { detail: "the bundle's config.json is no regular file" }
    // One byte more than is allowed, so that a file that grows meanwhile is noticed as well.
    const buffer = Buffer.alloc(Math.min(stat.size, ANSWER_BYTES_MAX) + 1)
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0)
    if (bytesRead > ANSWER_BYTES_MAX)
      return { detail: `the bundle's config.json is over ${ANSWER_BYTES_MAX} bytes` }
    return { json: buffer.toString('utf8', 0, bytesRead) }
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

function isAbsent(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code === 'ENOENT' || code === 'ENOTDIR'
}

function namesOf(json: string): SourceAnswer {
  const annotations = annotationsOf(json)
  if (annotations === undefined) return { detail: "the bundle's config.json is no OCI configuration" }
  const cri = (key: string) => annotations[`io.kubernetes.cri.${key}`]
  if (cri('sandbox-name') === undefined) return { detail: 'the bundle has no annotations of the CRI' }
  const isSandbox = cri('container-type') === 'sandbox'
  const found = checkNames({
    namespace: cri('sandbox-namespace'),
    pod: cri('sandbox-name'),
    podUid: cri('sandbox-uid'),
    container: isSandbox ? SANDBOX_CONTAINER : cri('container-name'),
    image: cri('image-name'),
  })
  return podAnswer(found, 'annotations')
}

function annotationsOf(json: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const spec = JSON.parse(json) as { annotations?: unknown } | null
    const annotations = spec?.annotations ?? {}
    return typeof annotations === 'object' ? (annotations as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
