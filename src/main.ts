// The binary's entry: puts Bun's own means (libc, the embedded addon) behind the interfaces that the rest is written
// against, and chooses between the kernel's entry and the people's.
import { readFileSync, writeSync } from 'node:fs'
import addonFile from '../build/zstd.node' with { type: 'file' }
import { loadConfig } from './config/load.ts'
import { libcOs, memfdCreate } from './os/libc.ts'
import { openStore } from './store/open.ts'
import { addonZstd, loadAddon, runtimeZstd, type Zstd } from './zstd/codec.ts'

declare const CORELIFT_VERSION: string

/** From memory: unpacking to a disk fails when that is full or read-only, just when a crash handler is needed. */
function embeddedZstd(): Zstd {
  const fd = memfdCreate('zstd-napi')
  const bytes = readFileSync(addonFile)
  for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written)
  return addonZstd(loadAddon(`/proc/self/fd/${fd}`))
}

function zstd(implementation: 'addon' | 'runtime'): Zstd {
  if (implementation === 'runtime') return runtimeZstd()
  try {
    return embeddedZstd()
  } catch {
    return runtimeZstd() // slower; the manifest says which it was
  }
}

const HANDLER_CONFIG = '/etc/corelift/config.toml'
/** Bun keeps the bodies of failed requests until it collects: 341 MiB after 400 resets, 185 with this. */
const beforeRetry = (): void => Bun.gc(true)

async function main(args: readonly string[]): Promise<number> {
  const isHandler = args[0] === 'handle' && args[1] !== '--help'
  if (!isHandler) return 1
  const { handle } = await import('./handle/handle.ts')
  return await handle(args.slice(1), {
    os: libcOs,
    version: CORELIFT_VERSION,
    zstd,
    sha256: () => new Bun.CryptoHasher('sha256'),
    loadConfig: file =>
      loadConfig({ file: file ?? HANDLER_CONFIG, env: process.env, flags: {}, required: ['store.url'] }).config,
    openStore: config => openStore(config, { beforeRetry }),
  })
}

process.exitCode = await main(process.argv.slice(2))
