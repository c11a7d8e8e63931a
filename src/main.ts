// The binary's entry: puts Bun's own means (libc, the embedded addon) behind the interfaces that the rest is written
// against, and chooses between the kernel's entry and the people's.
import { readFileSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { isatty } from 'node:tty'
import demangleFile from 'gecko-profiler-demangle/index_bg.wasm' with { type: 'file' }
import addonFile from '../build/zstd.node' with { type: 'file' }
import { loadConfig } from './config/load.ts'
import { CORE_PATTERN } from './kernel/core-pattern.ts'
import { libcOs, memfdCreate } from './os/libc.ts'
import { openSigner } from './store/open-signer.ts'
import { openBucket } from './store/open-bucket.ts'
import { openStore } from './store/open.ts'
import { collectingDecompressor } from './zstd/collecting.ts'
import { addonZstd, loadAddon, runtimeZstd, type Zstd } from './zstd/codec.ts'

declare const CORELIFT_VERSION: string

/** From memory: unpacking to a disk fails when that is full or read-only, just when a crash handler is needed. */
function embeddedZstd(): Zstd {
  const fd = memfdCreate('zstd-napi')
  const bytes = readFileSync(addonFile)
  for (let written = 0; written < bytes.length;) written += writeSync(fd, bytes, written)
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

/** Nobody is held: zstd's own default. */
const EXPORT_LEVEL = 3
const HANDLER_CONFIG = '/etc/corelift/config.toml'
/** Bun keeps the bodies of requests until it collects: 341 MiB after 400 resets, 185 with this before each retry. */
const collect = (): void => Bun.gc(true)

async function main(args: readonly string[]): Promise<number> {
  // `--config FILE` may stand before any command, also in a core_pattern: that crash must not be lost.
  if (args[0] === '--config' && args[2] === 'handle')
    return await main(['handle', '--config', args[1]!, ...args.slice(3)])
  if (args[0] === 'handle' && args[1] === '--specifiers') return printSpecifiers()
  if (args[0] === 'handle' && args[1] !== '--help') return await kernelEntry(args.slice(1))
  return await peoplesEntry(args)
}

async function kernelEntry(args: readonly string[]): Promise<number> {
  const { handle } = await import('./handle/handle.ts')
  return await handle(args, {
    os: libcOs,
    version: CORELIFT_VERSION,
    zstd,
    collect,
    loadConfig: file =>
      loadConfig({ file: file ?? HANDLER_CONFIG, env: process.env, flags: {}, required: ['store.url'] })
        .config,
    openStore: config => openStore(config, { beforeRetry: collect }),
  })
}

/** For scripts that write a core_pattern: the order of the arguments is the parser's. */
function printSpecifiers(): number {
  process.stdout.write(`${CORE_PATTERN.map(([, specifier]) => specifier).join(' ')}\n`)
  return 0
}

/** One read(2), which is one line: no more may be taken from a debugger that reads the same terminal next. */
async function readTerminalLine(): Promise<string> {
  const terminal = await open('/dev/tty', 'r')
  try {
    const { buffer, bytesRead } = await terminal.read(Buffer.alloc(4096), 0, 4096, null)
    return buffer.toString('utf8', 0, bytesRead).trim()
  } finally {
    await terminal.close()
  }
}

async function peoplesEntry(args: readonly string[]): Promise<number> {
  const { runCli } = await import('./cli.ts')
  const { loadDemangle } = await import('./commands/demangle.ts')
  const { Interrupts } = await import('./interrupts.ts')
  const { systemPrograms } = await import('./debug/programs.ts')
  const interrupts = new Interrupts(process)
  const { stdout, stderr, env } = process
  return await runCli(
    args,
    { stdout, stderr, env, interrupted: interrupts.signal, ...(isatty(0) && { readLine: readTerminalLine }) },
    {
      version: CORELIFT_VERSION,
      os: libcOs,
      collect,
      loadConfig,
      openStore: (config, hooks) => openStore(config, { beforeRetry: collect, ...hooks }),
      openBucket,
      decompressor: () => collectingDecompressor(zstd('addon').decompressor(), collect),
      compressor: () => zstd('addon').compressor(EXPORT_LEVEL, 'many'),
      openSigner,
      programs: systemPrograms(interrupts),
      demangle: () => loadDemangle(readFileSync(demangleFile)),
      now: () => new Date(),
    },
  )
}

// Not process.exitCode: a runtime that hangs in a socket must not keep the handler.
process.exit(await main(process.argv.slice(2)))
