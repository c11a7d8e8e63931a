// One run of a command: what it is given, and the options that every command takes.

import type { LoadedConfig } from '../config/load.ts'
import type { ConfigSources } from '../config/settings.ts'
import type { CONFIG_TABLE, Config, ConfigKeyName } from '../config/table.ts'
import type { Programs } from '../debug/programs.ts'
import type { ExitCode } from '../errors.ts'
import type { Os } from '../os/os.ts'
import type { BucketAdmin } from '../store/bucket.ts'
import type { StoreHooks } from '../store/open.ts'
import type { Store } from '../store/store.ts'
import type { UrlSigner } from '../store/url-signer.ts'
import type { FrameCompressor, FrameDecompressor } from '../zstd/codec.ts'
import type { Demangle } from './demangle.ts'
import type { Io } from './terminal.ts'

/** What the commands are given, so that tests can give them something else. */
export interface CliDeps {
  readonly version: string
  /** For commands of the node, and for the cache. */
  readonly os: Pick<Os, 'tryLock'>
  /** Collects garbage, at once. */
  readonly collect: () => void
  readonly loadConfig: (sources: ConfigSources) => LoadedConfig
  readonly openStore: (config: Config['store'], hooks: StoreHooks) => Promise<Store>
  readonly openBucket: (config: Config['store']) => Promise<BucketAdmin>
  /** Called by commands that read cores only: it loads zstd. */
  readonly decompressor: () => FrameDecompressor
  /** Called by `export` only. */
  readonly compressor: () => FrameCompressor
  /** Called by `url` only. @throws CoreliftError `E_USAGE` where the store is no bucket. */
  readonly openSigner: (config: Config['store']) => Promise<UrlSigner>
  /** Other programs: debuggers. */
  readonly programs: Programs
  /** Called by `info` and `bt` only, where there are stacks: it loads demanglers. */
  readonly demangle: () => Demangle
  readonly now: () => Date
}

/** One run of a command. */
export interface Session {
  readonly io: Io
  readonly deps: CliDeps
  exitCode: ExitCode
  /** How long it may take to tidy up once it is interrupted. */
  cleanupMilliseconds: number
}

/** Options of every command, before or after its name. */
export interface GlobalOptions {
  readonly config?: string
  readonly json?: boolean
  readonly color: boolean
}

/** Settings that a laptop needs to reach the store; the others are the handler's. */
export const STORE_KEYS = [
  'url',
  'endpoint',
  'region',
  'path_style',
  'credentials_file',
  'ca_file',
] as const satisfies (keyof (typeof CONFIG_TABLE)['store'])[]

/** @returns The store settings among a command line's flags, as `loadConfig` takes them. */
export function storeFlags(options: object): Partial<Record<ConfigKeyName, string>> {
  const given = STORE_KEYS.flatMap(key => {
    const name = `store_${key}`.replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase())
    const value = (options as Record<string, string | boolean | undefined>)[name]
    return value === undefined ? [] : [[`store.${key}`, String(value)]]
  })
  return Object.fromEntries(given)
}
