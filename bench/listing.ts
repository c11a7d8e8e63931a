// `corelift ls POD` in a store with the crashes of many other pods.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { coreKey, crashId, crashPrefix, indexKey, manifestKey } from '../src/store/keys.ts'
import { encodeManifest } from '../src/store/manifest.ts'
import { manifestOf } from '../test/commands/crashes.ts'
import { makeNode, noBinary, type TestNode } from '../test/lab/node.ts'
import { type S3Node, startS3Node } from './handlers.ts'
import { interleaved, type Measurement, median, medianRatio, type Row } from './measurement.ts'

const CRASHES_FEW = 1_000
const CRASHES_MANY = 100_000
const NAMESPACES = 20
const CRASHES_PER_POD = 50
/** The pod that is asked for has few crashes, as pods do. */
const WANTED = { namespace: 'namespace-7', pod: 'wanted-5c8d', crashes: 5 }
const ROUNDS = 11
const TIME_RATIO_MAX = 1.2
const PUTS_IN_FLIGHT = 64
/** The embedded server takes no empty object without a type. */
const OCTETS = { 'content-type': 'application/octet-stream' }
/** A month of crashes, the last of them at this time. */
const LAST_CRASH_SECONDS = Date.UTC(2026, 10, 23) / 1000
const SPAN_SECONDS = 30 * 86_400

const COUNT = 'LIST requests of `ls POD -n NAMESPACE`'
const TIME = 'time of `ls POD -n NAMESPACE`, among 100,000 ÷ among 1,000'

export const listRequests: Measurement = {
  name: 'list-requests',
  quantities: [COUNT],
  whyNot: noBinary,
  measure: countRequests,
}

export const listTime: Measurement = {
  name: 'list-time',
  quantities: [TIME],
  whyNot: noBinary,
  measure: compareTimes,
}

interface Object {
  readonly key: string
  readonly body: Uint8Array
}

/** The objects of a store with this many crashes. */
function* objectsOf(crashes: number): Generator<Object> {
  for (let number = 0; number < crashes; number++) {
    const isWanted = number < WANTED.crashes
    const pod = isWanted ? WANTED.pod : `pod-${Math.floor(number / CRASHES_PER_POD)}`
    const namespace = isWanted
      ? WANTED.namespace
      : `namespace-${Math.floor(number / CRASHES_PER_POD) % NAMESPACES}`
    const random = new Uint8Array(5)
    new DataView(random.buffer).setUint32(0, number)
    const seconds = LAST_CRASH_SECONDS - Math.floor((SPAN_SECONDS * number) / crashes)
    const id = crashId(seconds, number % 1000, random)
    const prefix = crashPrefix({ namespace, pod, id })
    const manifest = manifestOf({ id, namespace, pod }, null)
    yield { key: coreKey(prefix), body: new Uint8Array(1) }
    yield { key: manifestKey(prefix), body: encodeManifest(manifest) }
    const found = {
      id,
      namespace,
      pod,
      container: 'app',
      signal: 11,
      comm: 'app',
      outcome: 'record' as const,
    }
    yield { key: indexKey(found), body: new Uint8Array(0) }
  }
}

/** How many LISTs a counting proxy before the S3 server sees. */
async function countRequests(): Promise<Row[]> {
  const node = await startS3Node()
  const counter = countLists(node)
  try {
    await fillBucket(node, CRASHES_MANY)
    const { pod, namespace } = WANTED
    const named = await counter.during(() => listWanted(node, ['--store-endpoint', counter.url]))
    const unnamed = await counter.during(() => listWanted(node, ['--store-endpoint', counter.url], false))
    const note =
      `of ${pod} in ${namespace} among ${CRASHES_MANY.toLocaleString('en')} crashes in ${NAMESPACES} namespaces, S3. ` +
      `Without -n: ${unnamed}, one of the namespaces and then one for each, in parallel`
    return [{ quantity: COUNT, target: '1', measured: `${named}`, met: named === 1, note }]
  } finally {
    await counter.stop()
    await node.stop()
  }
}

async function fillBucket({ server }: S3Node, crashes: number): Promise<void> {
  const objects = objectsOf(crashes)
  const putAll = async (): Promise<void> => {
    for (const { key, body } of objects) {
      const url = `${server.endpoint}/${server.bucket}/bench/${key}`
      const response = await fetch(url, { method: 'PUT', body, headers: OCTETS })
      if (!response.ok) throw new Error(`PUT ${key}: HTTP ${response.status}`)
      await response.arrayBuffer()
    }
  }
  await Promise.all(Array.from({ length: PUTS_IN_FLIGHT }, putAll))
}

function countLists({ server }: S3Node) {
  let lists = 0
  const proxy = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const { pathname, search, searchParams } = new URL(request.url)
      if (searchParams.has('list-type')) lists++
      return await fetch(server.endpoint + pathname + search, { method: request.method })
    },
  })
  return {
    url: `http://127.0.0.1:${proxy.port}`,
    async during(act: () => Promise<unknown>): Promise<number> {
      lists = 0
      await act()
      return lists
    },
    stop: () => proxy.stop(true),
  }
}

/** Among a hundred times as many crashes it should take the same time. */
async function compareTimes(): Promise<Row[]> {
  const few = makeNode()
  const many = makeNode()
  try {
    fillDirectory(few.storeDir, CRASHES_FEW)
    fillDirectory(many.storeDir, CRASHES_MANY)
    const timed = (node: TestNode) => async (): Promise<number> => {
      const begin = performance.now()
      await listWanted(node)
      return performance.now() - begin
    }
    const milliseconds = await interleaved({ few: timed(few), many: timed(many) }, ROUNDS)
    const ratio = medianRatio(milliseconds.many, milliseconds.few)
    const note =
      `${median(milliseconds.many).toFixed(0)} ms among ${CRASHES_MANY.toLocaleString('en')} crashes, ` +
      `${median(milliseconds.few).toFixed(0)} ms among ${CRASHES_FEW.toLocaleString('en')}, the program's start included; ` +
      `median of ${ROUNDS} pairs, file store on a tmpfs`
    return [
      {
        quantity: TIME,
        target: `≤ ${TIME_RATIO_MAX}`,
        measured: ratio.toFixed(2),
        met: ratio <= TIME_RATIO_MAX,
        note,
      },
    ]
  } finally {
    few.remove()
    many.remove()
  }
}

/** The file store's layout is that of the keys. */
function fillDirectory(storeDir: string, crashes: number): void {
  const made = new Set<string>()
  for (const { key, body } of objectsOf(crashes)) {
    const path = join(storeDir, key)
    const dir = dirname(path)
    if (!made.has(dir)) mkdirSync(dir, { recursive: true })
    made.add(dir)
    writeFileSync(path, body)
  }
}

async function listWanted(
  node: TestNode,
  options: readonly string[] = [],
  withNamespace = true,
): Promise<void> {
  const namespace = withNamespace ? ['-n', WANTED.namespace] : []
  const { stdout, stderr } = await node.cli('ls', WANTED.pod, ...namespace, '--json', ...options)
  const found = (JSON.parse(stdout || '[]') as unknown[]).length
  if (found !== WANTED.crashes) throw new Error(`${found} crashes of ${WANTED.pod} were found: ${stderr}`)
}
