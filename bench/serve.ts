// The overview of `corelift serve` over ten thousand crashes of a week.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { crashId, crashPrefix, indexKey, manifestKey } from '../src/store/keys.ts'
import { encodeManifest } from '../src/store/manifest.ts'
import { manifestOf } from '../test/commands/crashes.ts'
import { makeNode, noBinary, type TestNode } from '../test/lab/node.ts'
import { startS3Node } from './handlers.ts'
import { listed, type Measurement, median, type Row } from './measurement.ts'

const CRASHES = 10_000
const PODS = 400
const WEEK_SECONDS = 7 * 86_400
const PUTS_IN_FLIGHT = 64
const ROUNDS = 9
const PARALLEL = 20
const FIRST_BYTE_MS_MAX = 1000
const RSS_MIB_MAX = 256
/** The embedded server takes no empty object without a type. */
const OCTETS = { 'content-type': 'application/octet-stream' }

const firstByteOf = (store: string) => `first byte of the overview, 10,000 crashes, ${store}`
const memoryOf = (store: string) => `peak RSS of \`serve\`, ${store}`
const STORES = ['file store', 'S3'] as const

export const serve: Measurement = {
  name: 'serve',
  quantities: STORES.flatMap(store => [firstByteOf(store), memoryOf(store)]),
  whyNot: noBinary,
  measure: async () => [...(await overDirectory()), ...(await overS3())],
}

/** The newest 200 have their manifests read: only those need one. */
const MANIFESTS = 300

function* objectsOf(now: number): Generator<{ key: string; body: Uint8Array }> {
  for (let number = 0; number < CRASHES; number++) {
    const random = new Uint8Array(5)
    new DataView(random.buffer).setUint32(0, number)
    const seconds = Math.floor(now / 1000 - 60 - ((WEEK_SECONDS - 7200) * number) / CRASHES)
    const id = crashId(seconds, number % 1000, random)
    const pod = `pod-${number % PODS}`
    const namespace = `namespace-${number % 20}`
    if (number < MANIFESTS) {
      const signature = `SIGSEGV app[93ac61ec5a8e]+0x${(number % 12).toString(16)}139`
      const manifest = { ...manifestOf({ id, namespace, pod }, null), signature }
      yield { key: manifestKey(crashPrefix({ namespace, pod, id })), body: encodeManifest(manifest) }
    }
    const entry = {
      id,
      namespace,
      pod,
      container: 'app',
      signal: 11,
      comm: 'app',
      outcome: 'record' as const,
    }
    yield { key: indexKey(entry), body: new Uint8Array(0) }
  }
}

async function overDirectory(): Promise<Row[]> {
  const node = makeNode()
  try {
    for (const { key, body } of objectsOf(Date.now())) {
      mkdirSync(dirname(join(node.storeDir, key)), { recursive: true })
      writeFileSync(join(node.storeDir, key), body)
    }
    return await measureServer(node, STORES[0])
  } finally {
    node.remove()
  }
}

async function overS3(): Promise<Row[]> {
  const node = await startS3Node()
  try {
    const objects = objectsOf(Date.now())
    const { endpoint, bucket } = node.server
    const putAll = async (): Promise<void> => {
      for (const { key, body } of objects) {
        const response = await fetch(`${endpoint}/${bucket}/bench/${key}`, {
          ...{ method: 'PUT', body, headers: OCTETS },
        })
        if (!response.ok) throw new Error(`PUT ${key}: HTTP ${response.status}`)
        await response.arrayBuffer()
      }
    }
    await Promise.all(Array.from({ length: PUTS_IN_FLIGHT }, putAll))
    return await measureServer(node, STORES[1])
  } finally {
    await node.stop()
  }
}

interface Times {
  readonly firstByte: number
  readonly whole: number
  readonly bytes: number
}

async function ask(url: string): Promise<Times> {
  const begun = performance.now()
  const response = await fetch(url)
  const reader = response.body!.getReader()
  let bytes = (await reader.read()).value?.length ?? 0
  const firstByte = performance.now() - begun
  for (let next = await reader.read(); !next.done; next = await reader.read()) bytes += next.value.length
  return { firstByte, whole: performance.now() - begun, bytes }
}

async function measureServer(node: TestNode, store: string): Promise<Row[]> {
  const child = spawn(node.binary, ['serve', '--listen', '127.0.0.1:0', '--config', node.configFile], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const [url] = (await once(createInterface(child.stdout), 'line')) as [string]
    const cold = await ask(url)
    const warm: Times[] = []
    for (let round = 0; round < ROUNDS; round++) warm.push(await ask(url))
    const onePeak = peakMib(child.pid!)
    await Promise.all(Array.from({ length: PARALLEL }, () => ask(url)))
    await sleep(100)
    const firstBytes = warm.map(({ firstByte }) => firstByte)
    const whole = median(warm.map(({ whole }) => whole))
    const first = Math.max(cold.firstByte, median(firstBytes))
    const peak = peakMib(child.pid!)
    return [
      {
        quantity: firstByteOf(store),
        target: `≤ ${FIRST_BYTE_MS_MAX} ms`,
        measured: `${first.toFixed(0)} ms`,
        met: first <= FIRST_BYTE_MS_MAX,
        note:
          `of the first request, which reads 200 manifests (whole page: ${cold.whole.toFixed(0)} ms, ` +
          `${(cold.bytes / 1024).toFixed(0)} KiB); then ${listed(firstBytes, 0)} ms, whole page ${whole.toFixed(0)} ms`,
      },
      {
        quantity: memoryOf(store),
        target: `≤ ${RSS_MIB_MAX} MiB`,
        measured: `${peak.toFixed(0)} MiB`,
        met: peak <= RSS_MIB_MAX,
        note: `after ${PARALLEL} requests at once; ${onePeak.toFixed(0)} MiB after ${ROUNDS + 1}, one after the other`,
      },
    ]
  } finally {
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
}

const peakMib = (pid: number): number =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
