// A store for the web page: crashes of several pods, one of them with all that a crash can have, and names in it that try
// to be markup.
import { createHash } from 'node:crypto'
import { indexKey, kitKey, manifestKey, debugFileKey, crashPrefix } from '../../src/store/keys.ts'
import { MINI_ENTRY, TarWriter } from '../../src/kit/tar.ts'
import { encodeManifest, type Manifest, type ManifestStacks } from '../../src/store/manifest.ts'
import type { Store } from '../../src/store/store.ts'
import { manifestOf, podWorkload, seekable, type CrashSpec } from '../commands/crashes.ts'

export const NOW = new Date('2026-11-23T20:45:00Z')
export const HOSTILE_ID = '20261123T204008Z-0000000000ff'
export const BUILD_ID = '93ac61ec5a8e0000000000000000000000000001'
/** Each would run a script, or load something, where it is not escaped. */
export const HOSTILE = {
  comm: '<script>x()',
  exe: '/tmp/"><img src=x onerror=alert(1)>',
  path: "/tmp/'><svg onload=alert(2)>\u202egnp.so",
  annotation: '</dd><iframe src="javascript:alert(3)"></iframe>',
  log: '</pre><script>alert(4)</script>',
  symbol: '<b onmouseover=alert(5)>&amp;\u202e',
} as const

/** Compresses as the store's reader decompresses. */
export type Encode = (content: Uint8Array) => Uint8Array | Promise<Uint8Array>
export const deflated: Encode = content => seekable(content, 64 * 1024).object

/** Puts a crash of this pod, with a signature. */
export async function putSmall(
  store: Pick<Store, 'put'>,
  spec: CrashSpec & { signature?: string },
): Promise<string> {
  const { namespace = 'shop', pod = 'cart-7d9f-x2x4p', container = 'app', signal = 11, comm = 'cart' } = spec
  const prefix = crashPrefix({ namespace, pod, id: spec.id })
  const { signature } = spec
  const manifest = { ...manifestOf(spec, null), ...(signature !== undefined && { signature }) }
  await store.put(manifestKey(prefix), encodeManifest(manifest))
  await store.put(
    indexKey({ id: spec.id, namespace, pod, container, signal, comm, outcome: 'record' }),
    new Uint8Array(),
  )
  return prefix
}

async function kitOf(log: string, encode: Encode): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  const tar = new TarWriter(new Date(0), async bytes => void chunks.push(bytes.slice()))
  for (const [name, text] of [
    [MINI_ENTRY, 'm'.repeat(200_000)],
    ['log', log],
  ] as const)
    await tar.add(name, Buffer.byteLength(text), [Buffer.from(text)])
  await tar.finish()
  return await encode(Buffer.concat(chunks))
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** A crash with all there is, whose texts are hostile. @returns Its prefix. */
export async function putHostile(store: Pick<Store, 'put'>, encode: Encode = deflated): Promise<string> {
  const spec = { id: HOSTILE_ID, comm: HOSTILE.comm }
  const { namespace, pod, container } = podWorkload(spec) as {
    namespace: string
    pod: string
    container: string
  }
  const prefix = crashPrefix({ namespace, pod, id: spec.id })
  const core = Buffer.alloc(300_000, 'core')
  const storedCore = await encode(core)
  const log = `${'line\n'.repeat(300)}${HOSTILE.log}\n\u001b[31mred\n`
  const kit = await kitOf(log, encode)
  const library = Buffer.alloc(150_000, 'elf')
  await store.put(`${prefix}core.zst`, storedCore)
  await store.put(kitKey(prefix), kit)
  await store.put(debugFileKey({ buildId: BUILD_ID }), await encode(library))
  const bare = manifestOf(spec, {
    ...{ key: 'core.zst', complete: true, bytesExpected: core.length, bytesReceived: core.length },
    ...{ bytesStored: storedCore.length, sha256Stored: sha256(storedCore), codec: 'runtime' },
    ...{ frames: 5, frameBytes: 65_536, segments: 3, threads: 4, machine: 'x86-64' },
  })
  const manifest: Manifest = {
    ...bare,
    process: { ...bare.process!, exe: HOSTILE.exe, cmdline: [HOSTILE.exe, HOSTILE.comm] },
    workload: { ...podWorkload(spec), annotations: { note: HOSTILE.annotation } } as Manifest['workload'],
    kit: { key: 'kit.tar.zst', bytes: kit.length, sha256Stored: sha256(kit) },
    mini: { entry: MINI_ENTRY, bytes: 200_000, bytesDropped: 1, bytesUnreadable: 0 },
    signature: 'SIGSEGV cart[93ac61ec5a8e]+0x1139 ‹ libc.so.6[93ac61ec5a8e]+0x2724a',
    stacks: stacksOf(),
    files: {
      mapped: [
        {
          path: HOSTILE.path,
          start: '400000',
          bytes: library.length,
          buildId: BUILD_ID,
          key: debugFileKey({ buildId: BUILD_ID }),
        },
        { path: '/lib/evil.so', start: '500000', key: `${prefix}core.zst` },
        { path: '/lib/away.so', start: '600000', buildId: 'ab', key: 'buildid/ab/executable' },
        { path: '/dev/shm/x', start: '700000', why: '<i>no ELF</i>' },
      ],
      mappedOmitted: 2,
      linkMap: [{ name: '', file: 0 }],
      executable: 0,
    },
    warnings: [`odd: ${HOSTILE.log}`],
  }
  await store.put(manifestKey(prefix), encodeManifest(manifest))
  const entry = {
    id: spec.id,
    namespace,
    pod,
    container,
    signal: 11,
    comm: HOSTILE.comm,
    outcome: 'full' as const,
  }
  await store.put(indexKey(entry), new Uint8Array())
  return prefix
}

function stacksOf(): ManifestStacks {
  const frame = (pc: string, name: string) => ({ pc, module: 0, offset: pc.slice(-4), function: name })
  return {
    modules: [{ path: HOSTILE.path, buildId: BUILD_ID }],
    threads: [
      {
        tids: [4243],
        frames: [
          frame('401139', `${HOSTILE.symbol}+0x5`),
          frame('401200', '_ZN4shop4Cart7add_allERKSt6vectorIiSaIiEE+0x1f'),
          { pc: '7f0000001234' },
        ],
        end: 'outermost',
      },
      { tids: [4244, 4245], frames: [frame('401300', 'futex_wait+0x2')], end: 'no unwind information' },
      { tids: [4246], frames: [frame('401400', 'epoll_wait+0x8')], end: 'outermost' },
    ],
    threadsOmitted: 3,
  }
}

/** Crashes of a week, of some workloads, the newest first by number. */
export async function putMany(store: Pick<Store, 'put'>, count: number): Promise<void> {
  for (let number = 0; number < count; number++) {
    // Uneven, as crashes are.
    const ago = (number / count) ** 1.5 * 6.5 * 86_400_000
    const time = new Date(NOW.getTime() - 600_000 - ago).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')
    const name = ['cart', 'checkout', 'search-indexer', 'a'.repeat(60)][number % 4]!
    await putSmall(store, {
      id: `${time}Z-${number.toString(16).padStart(12, '0')}`,
      namespace: number % 3 === 0 ? 'shop' : 'platform-with-a-long-name',
      pod: number % 4 === 2 ? `${name}-${number % 5}` : `${name}-7d9f5c8b6d-x2x4${'bcdfg'[number % 5]}`,
      comm: name.slice(0, 15),
      signal: number % 5 === 0 ? 6 : 11,
      signature: `SIGSEGV ${name.slice(0, 15)}[93ac61ec5a8e]+0x${(number % 7).toString(16)}139 ‹ libc.so.6[0ba798d7e2fe]+0x2724a`,
    })
  }
}
