// Crashes of real programs in a directory as a store, with all that a debugger needs: as a handler leaves them that lists
// and stores executables and libraries. gdb runs the program, so that what it sees there can be compared.
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { manifestOf } from '../commands/crashes.ts'
import { coreKey, crashPrefix, debugFileKey, indexKey, manifestKey } from '../../src/store/keys.ts'
import { encodeManifest, type ManifestCore, type ManifestFile } from '../../src/store/manifest.ts'
import { openStore } from '../../src/store/open.ts'
import type { Store } from '../../src/store/store.ts'
import { placeOf } from '../../src/workload/place.ts'
import { addonZstd, loadAddon } from '../../src/zstd/codec.ts'
import { SeekableWriter } from '../../src/zstd/seekable-writer.ts'

const ADDON = join(import.meta.dirname, '..', '..', 'build', 'zstd.node')
export const CRASH_ID = '20261123T204008Z-000000000004'
export const POD = 'cart-7d9f-x2x4p'

export interface Seen {
  readonly core: string
  /** gdb's, where everything lay at its place. */
  readonly backtrace: string
  /** From the first byte on, by address. */
  readonly mapped: readonly { readonly path: string; readonly start: string }[]
  /** Names as the dynamic linker has them. */
  readonly libraries: readonly string[]
}

/** Runs a program under gdb until it crashes. @param dir - Where it is started, and the core is written. */
export function crashUnderGdb(
  command: readonly string[],
  dir: string,
  env: NodeJS.ProcessEnv = process.env,
): Seen {
  const core = join(dir, 'core')
  const commands = [
    'set pagination off',
    'set width 0',
    'handle SIGURG nostop noprint',
    'run',
    'echo \\n=== bt\\n',
    'thread apply all -ascending bt',
    'echo \\n=== maps\\n',
    'info proc mappings',
    'echo \\n=== libraries\\n',
    'info sharedlibrary',
    'echo \\n=== core\\n',
    `gcore ${core}`,
    'kill',
  ]
  const args = ['-nx', '-batch', ...commands.flatMap(line => ['-ex', line]), '--args', ...command]
  const output = execFileSync('gdb', args, {
    cwd: dir,
    env: { ...env, DEBUGINFOD_URLS: '' },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 64 << 20,
    timeout: 120_000,
  })
  const [, backtrace = '', maps = '', libraries = ''] = output.split(/^=== \w+$/m)
  const lines = [
    ...maps.matchAll(/^ +0x([0-9a-f]+) +0x[0-9a-f]+ +0x[0-9a-f]+ +(0x[0-9a-f]+) +\S+ +(\/.*)$/gm),
  ]
  return {
    core,
    backtrace,
    mapped: lines
      .filter(([, , offset]) => offset === '0x0')
      .map(([, start = '', , path = '']) => ({ path, start }))
      .filter(({ path }) => isElf(path)),
    libraries: [...libraries.matchAll(/^0x.* (?:Yes|No)(?: \(\*\))? +(.*)$/gm)].map(match => match[1]!),
  }
}

export interface DebugCrash {
  readonly store: string
  readonly files: readonly ManifestFile[]
  remove(): void
}

/** Writes a crash into a store of its own. @param dir - Working directory of the process. */
export async function storeDebugCrash(
  { core, mapped, libraries }: Seen,
  dir: string,
  comm = 'cart',
): Promise<DebugCrash> {
  // A tmpfs: a file store is refused on the root file system.
  const directory = mkdtempSync('/dev/shm/cd-debug-')
  const store = await openStore(storeConfig(`file://${directory}`))
  const spec = { id: CRASH_ID, comm }
  const [object, described] = await storedCore(core)
  const manifest = manifestOf(spec, described)
  const place = placeOf(manifest.workload, 'node-1')
  const prefix = crashPrefix({ ...place, id: CRASH_ID })
  await store.put(coreKey(prefix), object)
  const files = await Promise.all(mapped.map(file => storeFile(store, file)))
  const linkMap = libraries.flatMap(name => {
    const file = mapped.findIndex(({ path }) => sameFile(path, name.startsWith('/') ? name : join(dir, name)))
    return file < 0 ? [] : [{ name, file }]
  })
  const full = {
    ...manifest,
    process: { ...manifest.process!, cwd: dir },
    files: { mapped: files, mappedOmitted: 0, linkMap, executable: 0 },
  }
  await store.put(manifestKey(prefix), encodeManifest(full))
  await store.put(indexKey({ ...place, id: CRASH_ID, signal: 11, comm, outcome: 'full' }), new Uint8Array(0))
  store.close()
  return { store: directory, files, remove: () => rmSync(directory, { recursive: true, force: true }) }
}

async function storeFile(
  store: Store,
  { path, start }: { path: string; start: string },
): Promise<ManifestFile> {
  const content = readFileSync(path)
  const { stdout: notes } = spawnSync('readelf', ['-n', path], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const buildId = /Build ID: ([0-9a-f]+)/.exec(notes)?.[1]
  const id = buildId === undefined ? { sha256: sha256(content) } : { buildId }
  const key = debugFileKey(id)
  await store.put(key, (await seekable(content)).object, { contentEncoding: 'zstd' })
  return { path, start, bytes: content.length, key, ...id }
}

async function storedCore(core: string): Promise<[Uint8Array, ManifestCore]> {
  const content = readFileSync(core)
  const { object, frames, frameBytes } = await seekable(content)
  return [
    object,
    {
      key: 'core.zst',
      complete: true,
      bytesExpected: content.length,
      bytesReceived: content.length,
      bytesStored: object.length,
      sha256Stored: sha256(object),
      codec: 'zstd-napi',
      frames,
      frameBytes,
      segments: 3,
      threads: 1,
      machine: 'x86-64',
    },
  ]
}

/** An object in the seekable format, as handlers write them. */
async function seekable(content: Uint8Array) {
  const chunks: Uint8Array[] = []
  const compressor = addonZstd(loadAddon(ADDON)).compressor(1, 'one')
  const writer = new SeekableWriter(compressor, bytes => void chunks.push(bytes.slice()))
  await writer.write(content)
  const frames = await writer.finish()
  return { object: Buffer.concat(chunks), frames, frameBytes: compressor.frameBytes }
}

function storeConfig(url: string): Parameters<typeof openStore>[0] {
  const config = { url, allowRootFilesystem: true, retrySeconds: 1, pathStyle: false }
  return config as unknown as Parameters<typeof openStore>[0]
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

function isElf(path: string): boolean {
  try {
    return readFileSync(path).subarray(0, 4).equals(Buffer.from('\x7fELF', 'latin1'))
  } catch {
    return false
  }
}

function sameFile(left: string, right: string): boolean {
  try {
    return statSync(left).ino === statSync(right).ino
  } catch {
    return false
  }
}
